from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from devices.measurement import Failure, Settings
from latency_tables.judging.residuals import Blame, Trend
from latency_tables.judging.scores import Intervals, Noise, score
from latency_tables.judging.validation import Circumstances, HeldOut, Method, Validation
from mnas.reports.validation import Validated, headline, rows, to_markdown, write_validation
from tests.mnas.finished import FACTS

AT = Circumstances(5, "2026-01-02T03:04:05+00:00", "2026-01-02T03:14:05+00:00")


def detail(number: int, off: float, half: float | None = 0.05) -> HeldOut:
    measured = 2.0 + number
    predicted = measured * off
    low, high = (None, None) if half is None else (predicted * (1 - half), predicted * (1 + half))
    instances = (measured * 1.01, measured * 0.99)
    return HeldOut(f"n{number}", predicted, low, high, predicted, measured, instances, 50 + number, 10**8)


def validation(*details: HeldOut) -> Validation:
    scores = score([one.predicted_ms for one in details], [one.measured_ms for one in details])
    return Validation(
        reanchored=scores,
        as_predicted=scores,
        intervals=Intervals(len(details), 2, 200 / len(details), 10.0, 2.5),
        noise=Noise(2.02, 4.0),
        speed_percent=-3.21,
        methods=(
            Method("table, re-anchored", scores, tuple(one.predicted_ms for one in details)),
            Method("sum of blocks alone", None, (None,) * len(details), "no anchor to bring its factor"),
        ),
        depth=Trend(0.1, 0.05, 0.15, 4.0),
        size=Trend(0.1, -0.1, 0.3, 2.0),
        latency=None,
        kinds=(Blame("mean", 9, 2.0, 30.0, 5.0, 0.6), Blame("add", 9, 2.0, 3.0, 5.0, 0.1)),
        operators=(Blame("add/float32/1x2|x", 9, 2.0, -30.0, 5.0, 0.6),),
        details=details,
        anchors=20,
        circumstances=AT,
    )


FOUND = validation(detail(0, 1.01), detail(1, 0.97), detail(2, 1.12))


def validated(found: Validation) -> Validated:
    return Validated("tables/small.db", FACTS, Settings(), found)


def test_the_headline_has_what_matters() -> None:
    assert headline(FOUND) == (
        "On 3 networks that it had not seen, the table was off by 5.33 % on average and by 12.0 % at most; "
        "2 of 3 lay within their 90 % interval of ±5.0 %; one network measured twice differs by 2.02 %."
    )
    without = headline(replace(FOUND, intervals=None))
    assert "interval" not in without
    assert "the table as it is was off" in headline(replace(FOUND, reanchored=None))
    assert headline(validation(detail(0, 1.01))).startswith("On 1 network that")


def test_the_table_has_every_method_and_the_noise_floor() -> None:
    table, blocks, floor = rows(FOUND)
    assert table[:2] == ("table, re-anchored", "5.33 %")
    assert blocks[0] == "sum of blocks alone (no anchor to bring its factor)"
    assert set(blocks[1:]) == {"-"}
    assert floor[:2] == ("noise floor", "2.02 %")
    some = replace(FOUND.methods[0], scores=replace(FOUND.methods[0].scores, networks=2))
    assert next(rows(replace(FOUND, methods=(some,))))[0] == "table, re-anchored (2 of 3 networks)"


def test_the_page_says_what_was_found() -> None:
    page = to_markdown(validated(FOUND), "validation.png")
    assert page.startswith("# How far to trust small.db\n\n**On 3 networks")
    assert "67 % of the networks lie within theirs (promised: 90 %)" in page
    assert "2.5 times a perfect predictor's" in page
    assert "3.2 % faster than when the table was anchored" in page
    assert "+4.0 ± 2.0 points from the shallowest to the deepest network: a trend." in page
    assert "+2.0 ± 4.0 points" in page
    assert "no trend that can be told from chance" in page
    assert "| `mean` | 9 | 2.0 % | +30 ± 5 % | 0.60 % |" in page
    assert "`add`" not in page  # not beyond its own error
    assert "add/float32/1x2&#124;x" in page  # a bar would end the cell
    assert "20 anchors as two instances each, in 5 shuffled passes" in page


def test_the_page_says_what_is_to_be_minded() -> None:
    minded = replace(
        AT,
        crossed=("os_build is 'b', the table's is 'a'",),
        drift="its anchors take 7.0 % longer than when the table was last anchored",
        failures=(Failure("n7/1", "0", "DeadlineExceeded", "too slow"),),
    )
    page = to_markdown(validated(replace(FOUND, circumstances=minded)), "validation.png")
    assert "In spite of a difference: os_build is 'b'" in page
    assert "**The table is stale**: its anchors take 7.0 % longer" in page
    assert "Not measured: n7/1: too slow" in page


def test_figures_that_are_unknown_are_not_in_the_page() -> None:
    bare = replace(
        FOUND,
        intervals=None,
        speed_percent=None,
        depth=None,
        size=None,
        kinds=(),
        operators=(),
        reanchored=None,
    )
    page = to_markdown(validated(bare), "validation.png")
    assert "None" not in page
    assert "Re-anchored" not in page
    assert "too few networks to tell" in page
    assert "No kind and no operator" in page


@pytest.mark.parametrize(
    "found",
    [
        FOUND,
        validation(detail(0, 1.0)),
        validation(*(detail(number, 1.3, 0.01) for number in range(4))),
        validation(*(detail(number, 0.99, None) for number in range(4))),
    ],
    ids=["some", "one network", "all outside", "without intervals"],
)
def test_files_are_written_whole(found: Validation, tmp_path: Path) -> None:
    files = write_validation(validated(found), tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "validation.json",
        "validation.md",
        "validation.png",
    ]
    assert json.loads(files.json.read_text())["networks"] == len(found.details)
    assert files.markdown.read_text() == to_markdown(validated(found), "validation.png")
    with Image.open(files.png) as picture:
        colours = picture.convert("RGB").getcolors(10**6)
    assert len(colours) > 50
