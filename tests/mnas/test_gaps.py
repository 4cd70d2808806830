from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import BadInput, BadRun
from mnas.gaps import ANCHOR, EXPECTED, UNKNOWN, Gap, fit, in_words, keep, read_gaps

factors = st.floats(0.7, 1.4)


def gap(ratio: float, why: str = "front", visit: int = 1, network: str = "a", width: float = 1.05) -> Gap:
    return Gap(
        at="2026-01-02T03:04:05+00:00",
        cost="latency_ms",
        why=why,
        network=network,
        trial=3,
        trained=20,
        visit=visit,
        predicted_ms=2.0,
        low_ms=2.0 / width,
        high_ms=2.0 * width,
        measured_ms=2.0 * ratio,
        passes=5,
    )


def many(ratio: float, count: int, why: str = "front", visit: int = 1) -> list[Gap]:
    return [gap(ratio, why, visit, f"{why}-{visit}-{number}") for number in range(count)]


def test_nothing_measured_corrects_nothing() -> None:
    found = fit([])
    assert (found.factor, found.speed, found.beyond, found.networks) == (1.0, None, 1.0, 0)
    assert in_words(found) == "nothing is measured yet"


@given(speed=factors, beyond=factors)
def test_a_slow_device_and_an_exploited_table_are_told_apart(speed: float, beyond: float) -> None:
    found = fit([*many(speed, 4, "anchor"), *many(speed * beyond, 8)])
    assert found.speed == pytest.approx(speed, rel=0.02)
    assert found.beyond == pytest.approx(beyond, rel=0.02)
    assert found.factor == pytest.approx(found.speed * found.beyond)
    assert (found.networks, found.anchors) == (8, 4)


@given(factor=factors, count=st.integers(1, 20))
def test_more_networks_are_believed_more(factor: float, count: int) -> None:
    few, more = (fit(many(factor, number)) for number in (count, 3 * count + 3))
    assert abs(math.log(few.factor)) <= abs(math.log(more.factor)) <= abs(math.log(factor)) + 1e-12
    assert (few.error or 0) > (more.error or 0)


@given(st.lists(factors, min_size=3, max_size=9), factors)
def test_the_order_within_a_visit_counts_for_nothing(ratios: list[float], speed: float) -> None:
    rows = [gap(ratio, network=str(number)) for number, ratio in enumerate(ratios)] + many(speed, 3, "anchor")
    assert fit(rows).factor == pytest.approx(fit(rows[::-1]).factor, rel=1e-12)


def test_one_network_is_drawn_towards_the_prediction_by_its_interval() -> None:
    width = math.exp(1.645 * 0.03)
    weight = EXPECTED**2 / (EXPECTED**2 + 0.03**2)
    assert fit([gap(1.2, width=width)]).factor == pytest.approx(1.2**weight)
    blind = replace(gap(1.2), low_ms=None, high_ms=None)
    assert fit([blind]).factor == pytest.approx(1.2 ** (EXPECTED**2 / (EXPECTED**2 + UNKNOWN**2)))


def test_one_odd_network_moves_little() -> None:
    assert fit([*many(1.1, 8), gap(3.0, network="odd")]).factor == pytest.approx(1.1, rel=0.01)


def test_the_last_anchors_say_how_fast_the_device_is_now() -> None:
    """The first day's networks say what was exploited; the second day's anchors how fast the device is."""
    rows = [*many(1.2, 4, "anchor", 1), *many(1.2 * 1.1, 6, visit=1), *many(0.95, 4, "anchor", 2)]
    found = fit(rows)
    drawn = EXPECTED**2 / (EXPECTED**2 + math.pi / 2 * ANCHOR**2 / 4)
    assert found.speed == pytest.approx(0.95**drawn)
    assert found.beyond == pytest.approx(1.1, rel=0.02)
    assert "shorter than for its table, by 4 anchors" in in_words(found)
    assert "longer beyond that" in in_words(found)


def test_a_network_goes_by_the_last_anchors_before_it_and_else_by_the_next() -> None:
    anchors = [*many(1.0, 4, "anchor", 2), *many(1.3, 4, "anchor", 5)]
    for visit, took in ((1, 1.0), (3, 1.0), (7, 1.3)):
        assert fit([*anchors, *many(took, 6, "cap", visit)]).beyond == pytest.approx(1.0, abs=0.01)


def test_gaps_come_back_as_they_were_kept(tmp_path: Path) -> None:
    file = tmp_path / "gaps.jsonl"
    assert read_gaps(file) == []
    rows = [gap(1.1), replace(gap(0.9, "anchor"), low_ms=None, trial=None, governor="performance")]
    for one in rows:
        keep(file, one)
    assert read_gaps(file) == rows


def test_a_torn_line_is_left_out_and_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "gaps.jsonl"
    keep(file, gap(1.1))
    whole = file.read_bytes()
    keep(file, gap(1.2))
    file.write_bytes(file.read_bytes()[:-9])
    assert [one.ratio for one in read_gaps(file)] == [pytest.approx(1.1)]
    keep(file, gap(1.3))
    assert file.read_bytes().startswith(whole)
    assert [one.ratio for one in read_gaps(file)] == [pytest.approx(1.1), pytest.approx(1.3)]


@pytest.mark.parametrize(
    "wrong", [{"measured_ms": 0}, {"why": "cup"}, {"predicted_ms": None}, {"factor": -1.0}, {"colour": "red"}]
)
def test_a_line_that_is_no_gap_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    file = tmp_path / "gaps.jsonl"
    file.write_text(json.dumps(asdict(gap(1.0)) | wrong) + "\n")
    with pytest.raises(BadRun, match=r"gaps\.jsonl"):
        read_gaps(file)


def test_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadInput, match="measured_ms is inf"):
        replace(gap(1.0), measured_ms=math.inf)
