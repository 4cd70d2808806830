from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from mnas.errors import BadInput
from mnas.finalists.entrants import entrants
from mnas.finalists.ledger import Ledger, Trouble
from mnas.gaps import Gap, keep
from mnas.latency import Latency
from mnas.reports.pick import pick
from mnas.reports.report import COLUMNS, to_chart, to_csv, write_report
from mnas.reports.summary import summarise
from mnas.reports.summary_json import to_json
from mnas.run import RunDirectory, read_run
from mnas.status import status_of
from mnas.wanted import OtherCost
from tests.mnas import finished, measured_table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run")


def rows(run: RunDirectory) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(summarise(run)))))


def copied(run: RunDirectory, path: Path) -> RunDirectory:
    shutil.copytree(run.path, path)
    return read_run(path)


def test_files_are_written_and_can_be_read(run: RunDirectory) -> None:
    written = write_report(run)
    with Image.open(written.png) as image:
        assert image.width > 1500
        assert image.height > 700
    assert ET.parse(written.svg).getroot().tag.endswith("svg")
    assert json.loads(written.json.read_text()) == to_json(written.summary)
    assert not [path.name for path in run.path.iterdir() if path.name.startswith("draft")]


def test_the_table_has_every_candidate_and_network(run: RunDirectory) -> None:
    found = rows(run)
    assert set(found[0]) == set(COLUMNS)
    assert [row["kind"] for row in found] == ["trial"] * 8 + ["finalist"] * 6 + ["baseline"] * 4
    assert [row["trial"] for row in found if row["on_front"] == "true"] == ["0", "1", "3", "5", "6"]
    assert [
        row["trial"] for row in found if row["kind"] == "trial" and row["best_under_target"] == "true"
    ] == ["3"]
    for row in found[8:]:
        low, middle, high = (float(row[name]) for name in ("accuracy_low", "accuracy", "accuracy_high"))
        assert low < middle < high
        q25, median, q75 = (float(row[name]) for name in ("latency_q25_ms", "latency_ms", "latency_q75_ms"))
        assert q25 < median < q75
        assert (run.models / row["model_file"]).exists()
    assert [row["accuracy_split"] for row in found] == ["validation"] * 8 + ["test"] * 10


def test_a_trial_has_nothing_measured(run: RunDirectory) -> None:
    trial = rows(run)[0]
    assert trial["accuracy_low"] == trial["latency_q25_ms"] == trial["seeds"] == trial["model_file"] == ""


def test_the_document_holds_what_the_run_shows(run: RunDirectory) -> None:
    document = to_json(summarise(run))
    assert document["search"]["front"] == [0, 1, 3, 5, 6]
    assert document["search"]["best_under_target"] == 3
    assert [one["name"] for one in document["finalists"][::2]] == ["trial-0", "trial-3", "trial-6"]
    assert {one["name"] for one in document["baselines"]} == set(finished.BASELINES)
    assert document["rank_correlation"]["networks"] == 3
    assert document["rank_correlation"]["spearman"] == pytest.approx(1)
    assert document["test_images"] == 360
    assert document["missing"] == document["failures"] == document["warnings"] == []
    one = document["finalists"][0]
    assert one["latency"]["q25_ms"] < one["latency"]["median_ms"] < one["latency"]["q75_ms"]
    assert one["prediction_error_percent"] == pytest.approx(
        100 * (one["predicted_ms"] / one["latency"]["comparable_ms"] - 1)
    )
    assert document["finalists"][1]["predicted_ms"] is None


def test_finalists_are_compared_with_baselines_of_their_own_type(run: RunDirectory) -> None:
    document = to_json(summarise(run))
    baselines = {
        dtype: sorted(
            (one["latency"]["median_ms"], one["accuracy"])
            for one in document["baselines"]
            if one["dtype"] == dtype
        )
        for dtype in ("float32", "int8")
    }
    assert len(document["comparisons"]) == 6
    for one in document["comparisons"]:
        (start, low), (end, high) = baselines[one["dtype"]]
        if start <= one["latency_ms"] <= end:
            expected = low + (high - low) * (one["latency_ms"] - start) / (end - start)
            assert one["baseline_accuracy"] == pytest.approx(expected)
            assert one["difference"] == pytest.approx(one["accuracy"] - expected)
        else:
            assert one["verdict"] == "no baseline at this latency"


def test_marks_on_the_plot(run: RunDirectory) -> None:
    summary = summarise(run)
    chart = to_chart(summary)
    assert [mark.label for mark in chart.marks[:2]] == ["0", "0"]
    assert chart.searched == "float32, measured while searching, lower quartile"
    assert [mark.label for mark in chart.marks[-2:]] == ["0.5", "0.5"]
    assert sum(mark.best for mark in chart.marks) == sum(mark.knee for mark in chart.marks) == 1
    best = next(mark for mark in chart.marks if mark.best)
    below = [mark for mark in chart.marks if mark.latency_ms.middle <= 1.0]
    assert best.accuracy.middle == max(mark.accuracy.middle for mark in below)
    knee = next(mark for mark in chart.marks if mark.knee)
    assert (knee.role, knee.dtype) == ("finalist", "float32")


def test_before_finalizing_it_says_what_is_missing(tmp_path: Path) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS[:5])
    written = write_report(run)
    assert "5 of 8 candidates are trained" in written.summary.missing[0]
    assert f"run mnas finalize {run.path}" in written.summary.missing[1]
    assert written.png.exists()
    assert to_json(written.summary)["finalists"] == []


def test_a_run_without_candidates_has_a_report(tmp_path: Path) -> None:
    run = finished.searched(tmp_path / "run", ())
    written = write_report(run)
    assert "no candidate is trained yet" in written.summary.missing[0]
    assert written.png.exists()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"measured": False}, "8 of 8 models are not measured yet"),
        ({"tested": False}, "8 of 8 models are not tested with every seed yet"),
    ],
)
def test_a_half_finalized_run_says_what_is_missing(tmp_path: Path, state: dict, message: str) -> None:
    state = {"finalists": 3, "baselines": ("mobilenetv2-0.25",), "seeds": 1} | state
    summary = summarise(finished.finished(tmp_path / "run", **state))
    assert message in " ".join(summary.missing)


def test_a_run_without_baselines_says_so(tmp_path: Path) -> None:
    summary = summarise(finished.finished(tmp_path / "run", finalists=1, baselines=(), seeds=2))
    assert summary.missing == ()
    assert "no baselines to compare with" in " ".join(summary.notes)


def test_one_seed_is_no_ground_for_a_claim(tmp_path: Path) -> None:
    run = finished.finished(tmp_path / "run", seeds=1)
    summary = summarise(run)
    assert {comparison.verdict for _, comparison in summary.comparisons} <= {
        "no bars",
        "no baseline at this latency",
    }
    assert "no bar" in " ".join(summary.notes)


def test_a_disturbed_measurement_is_flagged(tmp_path: Path) -> None:
    run = finished.finished(tmp_path / "run", finalists=1, baselines=(), other_load=0.4)
    summary = summarise(run)
    assert [warning.code for warning in summary.networks[0].warnings] == ["disturbed"]
    assert "trial-3 float32: other processes took up to 40%" in " ".join(summary.notes)


def test_troubles_that_were_not_made_good_are_listed(run: RunDirectory, tmp_path: Path) -> None:
    again = copied(run, tmp_path / "run")
    ledger = Ledger(again.finalists)
    ledger.add_trouble(Trouble("trial-0, seed 0", "training", "diverged, then it worked"))
    ledger.add_trouble(Trouble("trial-9, seed 1", "training", "diverged"))
    ledger.add_trouble(Trouble("trial-9, seed 1", "training", "diverged again"))
    found = summarise(again).troubles
    assert [(one.name, one.message) for one in found] == [("trial-9, seed 1", "diverged again")]


def test_a_report_twice_is_the_same(run: RunDirectory) -> None:
    first = {path.name: path.read_bytes() for path in _files(run)}
    assert {path.name: path.read_bytes() for path in _files(run)} == first


def _files(run: RunDirectory) -> list[Path]:
    written = write_report(run)
    return [written.csv, written.svg, written.json]


def test_another_device_than_the_searchs_is_pointed_out(tmp_path: Path) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS, device="board")
    ledger = Ledger(run.finalists)
    ledger.add_trained(finished.train(run, entrants(run, 1, ())[0], 0))
    finished.measure(run)
    assert "measured on local, predicted for board" in " ".join(summarise(run).notes)


def by_table(path: Path, table: Path, target_ms: float = 1.0) -> RunDirectory:
    """A measured finalist of a search by a table."""
    run = finished.searched(path, finished.POINTS, latency="table", table=str(table), target_ms=target_ms)
    shutil.copy(table, run.table)
    ledger = Ledger(run.finalists)
    ledger.add_trained(finished.train(run, entrants(run, 1, ())[0], 0))
    finished.measure(run)
    return run


def test_a_table_from_elsewhere_is_pointed_out_by_what_differs(tmp_path: Path) -> None:
    same = measured_table.make(tmp_path / "same.db", facts=finished.FACTS)
    other = measured_table.make(tmp_path / "other.db", facts=replace(finished.FACTS, cpu_model="Another CPU"))
    assert "elsewhere" not in " ".join(summarise(by_table(tmp_path / "run", same)).notes)
    notes = " ".join(summarise(by_table(tmp_path / "run2", other)).notes)
    assert "from elsewhere, so its predictions do not compare: cpu_model is 'Test CPU'" in notes
    assert "the table's is 'Another CPU'" in notes


def test_what_the_table_cannot_predict_is_said(tmp_path: Path) -> None:
    table = measured_table.make(tmp_path / "table.db")
    run = by_table(tmp_path / "run", table)
    note = "the table is float32; int8 latencies are measured only: mnas finalize --int8-table"
    assert note in " ".join(summarise(run).notes)
    final = Ledger(run.finalists).read().finals()[1]
    Ledger(run.finalists).add_prediction(final.model.sha256, Latency(0.5, 0.4, 0.625), "int8.db")
    summary = summarise(run)
    assert note not in " ".join(summary.notes)
    names = ("predicted_ms", "predicted_low_ms", "predicted_high_ms")
    assert [to_json(summary)["finalists"][1][name] for name in names] == [0.5, 0.4, 0.625]
    row = next(row for row in rows(run) if row["dtype"] == "int8")
    assert [row[name] for name in names] == ["0.5", "0.4", "0.625"]


def test_a_candidates_prediction_has_its_interval_everywhere(tmp_path: Path) -> None:
    run = by_table(tmp_path / "run", measured_table.make(tmp_path / "table.db"))
    plain = to_json(summarise(run))  # of a search before intervals were kept
    assert {one["low_ms"] for one in plain["search"]["candidates"]} == {None}
    assert plain["finalists"][0]["predicted_low_ms"] is None
    results = [replace(one, low_ms=0.25, high_ms=4.0) for one in run.results()]
    run.results_file.unlink()
    for result in results:
        run.record(result)
    run.finalists.unlink()
    Ledger(run.finalists).add_trained(finished.train(run, entrants(run, 1, ())[0], 0))
    document = to_json(summarise(run))
    assert {(one["low_ms"], one["high_ms"]) for one in document["search"]["candidates"]} == {(0.25, 4.0)}
    final = document["finalists"][0]
    assert (final["predicted_low_ms"], final["predicted_high_ms"]) == (0.25, 4.0)
    shown = rows(run)
    assert {(row["predicted_low_ms"], row["predicted_high_ms"]) for row in shown if row["predicted_ms"]} == {
        ("0.25", "4.0")
    }
    assert all(row["predicted_ms"] == row["latency_ms"] for row in shown if row["kind"] == "trial")


def test_a_damaged_table_is_no_obstacle_to_a_report(tmp_path: Path) -> None:
    run = by_table(tmp_path / "run", measured_table.make(tmp_path / "table.db"))
    run.table.unlink()
    assert "table.db" in " ".join(summarise(run).notes)


def test_a_target_between_the_two_statistics_is_pointed_out(tmp_path: Path) -> None:
    table = measured_table.make(tmp_path / "table.db")
    one = summarise(by_table(tmp_path / "run", table)).networks[0]
    assert one.comparable_ms is not None
    assert one.latency_ms is not None
    assert one.comparable_ms < one.latency_ms.middle
    between = by_table(tmp_path / "run2", table, (one.comparable_ms + one.latency_ms.middle) / 2)
    notes = [note for note in summarise(between).notes if "by the lower quartile" in note]
    assert len(notes) == sum(
        one.comparable_ms <= between.config.target_ms < one.latency_ms.middle
        for one in summarise(between).networks
        if one.comparable_ms is not None and one.latency_ms is not None
    )


PI5_MS = (10.0, 19.0, 12.0, 25.0, 11.0, 18.0, 40.0, 9.0)
ALSO = {
    "latency_ms:pi5": OtherCost(target=20.0, table="b.db", device="pi5"),
    "parameters": OtherCost(cap=1e9),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Trial 3, the best on the first device, is over the target of the second; trial 7 is its fastest."""
    return finished.finished(
        tmp_path_factory.mktemp("two") / "run",
        finalists=8,
        baselines=finished.BASELINES[:1],
        seeds=1,
        costs=lambda number: {"latency_ms:pi5": PI5_MS[number], "parameters": 1e5},
        also=ALSO,
        target_ms=1.6,
    )


def test_front_best_and_finalists_are_those_of_the_search_over_all_devices(two: RunDirectory) -> None:
    status, summary = status_of(two), summarise(two)
    assert status.best is not None
    assert [one.result.number for one in summary.candidates if one.best] == [status.best.number] == [5]
    document = to_json(summary)["search"]
    assert document["best_under_target"] == 5
    assert set(document["front"]) == {one.number for one in status.front} > {0, 1, 3, 5, 6}
    # the picture has the front of its two axes
    chart = to_chart(summary)
    assert {dot.latency_ms for dot in chart.dots if dot.on_front} == {0.30, 0.60, 0.90, 1.50, 2.50}
    notes = " ".join(summary.notes)
    assert "not known to keep to the target of pi5: trial-3 float32" in notes


def test_a_network_over_another_devices_target_is_neither_best_nor_picked(two: RunDirectory) -> None:
    networks = {(one.final.name, one.final.dtype): one for one in summarise(two).networks}
    missed = {name for (name, _), one in networks.items() if one.missed}
    assert missed == {"trial-3", "trial-6", finished.BASELINES[0]}
    known = [one for one in networks.values() if not one.missed and one.rated]
    assert known
    picked = pick(two, 1e6).network
    assert picked.final.accuracy == max(one.final.accuracy or 0 for one in known)
    assert picked.final.accuracy < max(one.final.accuracy or 0 for one in networks.values())
    over = min(one.latency_ms.middle for one in networks.values() if one.missed and one.latency_ms)
    under = min(one.latency_ms.middle for one in known if one.latency_ms)
    if over < under:
        with pytest.raises(BadInput, match="none is known to keep to the search's target of latency_ms:pi5"):
            pick(two, over)
    assert all(
        one["missed_targets"] == [] for one in to_json(summarise(two))["finalists"] if one["trial"] == 5
    )


def test_what_was_measured_on_the_front_counts_in_a_report(tmp_path: Path) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS)
    assert [one.result.number for one in summarise(run).candidates if one.best] == [3]
    text = str(finished.architecture(3))
    keep(run.gaps, Gap("now", "latency_ms", "front", text, 3, 8, 1, 0.9, 0.85, 0.95, 1.1, 5))
    summary = summarise(run)
    assert [one.measured_ms for one in summary.candidates if one.result.number == 3] == [1.1]
    assert [one.result.number for one in summary.candidates if one.best] == [1]
    assert status_of(run).best == summary.candidates[1].result
