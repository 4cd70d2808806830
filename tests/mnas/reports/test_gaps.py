from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from mnas.finalists.entrants import entrants
from mnas.gaps import Gap, keep
from mnas.reports.gaps import error_percent, lines, to_json
from mnas.reports.gaps_plot import draw
from mnas.reports.report import to_csv, write_report
from mnas.reports.summary import summarise
from mnas.run import RunDirectory
from tests.mnas import finished
from tests.mnas.test_gaps import gap


def measured(run: RunDirectory, slow: float) -> list[Gap]:
    """Members of the front on a device that is that much slower than its table, and the table's anchors."""
    found = []
    for number, result in enumerate(run.results()[:6]):
        predicted = result.point[1]
        ends = {"predicted_ms": predicted, "low_ms": 0.95 * predicted, "high_ms": 1.05 * predicted}
        one = replace(gap(1.0, "front", network=result.architecture), trial=result.number, **ends)
        found.append(replace(one, measured_ms=slow * predicted, trained=20, factor=1 + 0.01 * number))
    found += [
        replace(gap(slow, "anchor", network=f"anchor-{number}"), trial=None, factor=slow)
        for number in range(4)
    ]
    for one in found:
        keep(run.gaps, one)
    return found


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return finished.searched(tmp_path / "run", finished.POINTS)


def test_the_figures_of_a_slow_device(run: RunDirectory) -> None:
    gaps = measured(run, 1.2)
    (document,) = to_json(gaps)
    assert document["factor"] == pytest.approx(1.2, rel=0.01)
    assert document["error_percent"] == pytest.approx(100 * (1 - 1 / 1.2))
    assert document["corrected_error_percent"] < 1
    assert (document["networks"], document["anchors"], document["inside"]) == (6, 4, 0)
    assert [one["why"] for one in document["measured"]] == ["front"] * 6 + ["anchor"] * 4
    json.dumps(document, allow_nan=False)
    said = list(lines(gaps))
    assert said[0].startswith("latency_ms: networks take 20.0 % longer than predicted, 6 measured")
    assert "off by 16.7 % on the mean" in said[1]
    assert "0 of 6 measured within their 90 % interval" in said[1]


def test_what_is_predicted_without_an_interval_is_not_said_to_be_outside_it(run: RunDirectory) -> None:
    gaps = [replace(one, low_ms=None, high_ms=None) for one in measured(run, 0.8)]
    said = list(lines(gaps))
    assert "% shorter than predicted" in said[0]
    assert "interval" not in said[1]
    half = [*gaps[:3], *(replace(one, low_ms=0.5, high_ms=5.0) for one in gaps[3:6])]
    assert f"{sum(one.measured_ms >= 0.5 for one in half[3:])} of 3 measured within" in list(lines(half))[1]


def test_anchors_alone_tell_no_error_of_predictions() -> None:
    rows = [gap(1.1, "anchor", network=str(number)) for number in range(4)]
    (document,) = to_json(rows)
    assert (document["networks"], document["error_percent"], document["beyond_error_percent"]) == (
        0,
        None,
        None,
    )
    assert len(list(lines(rows))) == 1
    assert error_percent([]) is None


def test_each_cost_is_told_apart() -> None:
    rows = [gap(1.1), replace(gap(0.8), cost="latency_ms:pi5")]
    documents = {one["cost"]: one for one in to_json(rows)}
    assert documents["latency_ms"]["factor"] > 1 > documents["latency_ms:pi5"]["factor"]


def test_pictures_of_one_and_of_two_costs(tmp_path: Path) -> None:
    rows = [gap(1.1), gap(1.05, "cap", visit=2, network="b"), gap(1.0, "anchor", network="c")]
    draw(rows, "one", [tmp_path / "one.png", tmp_path / "one.svg"])
    draw([*rows, replace(gap(0.8), cost="latency_ms:pi5", low_ms=None)], "two", [tmp_path / "two.png"])
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert one.width == two.width > 1500
        assert two.height > 1.5 * one.height
    text = ET.tostring(ET.parse(tmp_path / "one.svg").getroot(), encoding="unicode")
    for label in ("member of the front (1)", "candidate near a cap (1)", "anchor of the table (1)"):
        assert label in text


def test_a_report_shows_predictions_times_the_factor(run: RunDirectory) -> None:
    assert write_report(run).gaps == ()
    assert not (run.path / "gaps.png").exists()
    measured(run, 1.2)
    written = write_report(run)
    assert all(path.exists() for path in written.gaps)
    candidates = {one.result.number: one for one in written.summary.candidates}
    assert candidates[0].corrected_ms == pytest.approx(1.2 * 0.3, rel=0.01)
    assert candidates[0].measured_ms == pytest.approx(1.2 * 0.3)
    assert candidates[7].measured_ms is None
    rows = list(csv.DictReader(io.StringIO(to_csv(written.summary))))
    assert float(rows[0]["corrected_ms"]) == candidates[0].corrected_ms
    assert float(rows[0]["predicted_ms"] or rows[0]["latency_ms"]) == 0.3


def test_the_best_under_the_target_is_so_on_the_device(run: RunDirectory) -> None:
    """Predicted to take 0.9 ms of 1 ms; a device that is 20 % slower takes 1.08."""
    assert [one.result.number for one in summarise(run).candidates if one.best] == [3]
    measured(run, 1.2)
    assert [one.result.number for one in summarise(run).candidates if one.best] == [1]
    assert entrants(run, 1, ())[0].trial == 1


def test_what_was_measured_near_a_cap_counts_as_it_is(run: RunDirectory) -> None:
    results = [
        replace(one, measured_ms={"latency_ms": 0.99}) if one.number == 3 else one for one in run.results()
    ]
    measured(run, 1.2)
    run.results_file.unlink()
    for one in results:
        run.record(one)
    decided = replace(gap(1.0, "cap", network=results[3].architecture), trial=3, measured_ms=0.99)
    keep(run.gaps, decided)  # later than what the look at the front has of it
    assert [one.result.number for one in summarise(run).candidates if one.best] == [3]
