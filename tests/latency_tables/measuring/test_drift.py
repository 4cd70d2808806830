"""A table that goes on another day; the canary; anchors that are measured again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.measurement import Settings
from latency_tables.anchoring import anchor
from latency_tables.build import PLAN, Progress, build
from latency_tables.errors import BadTable
from latency_tables.measuring.drift import canary_ms, drift, verdict
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from tests.latency_tables.desk import FACTOR, FACTS, NETWORKS, Desk, chain, true_ms

DAY_S = 86_400.0
UNSEEN = chain(100, 300, 500, 700)
TRUE_MS = FACTOR * sum(true_ms(spec) for spec in UNSEEN.specs)
ANCHORS = {one.name for one in NETWORKS if one.role == "anchor"}
PLAN_3 = replace(PLAN, passes=3)


def on_the_second_day(factor: float) -> Callable[[float], float]:
    return lambda at_s: factor if at_s >= DAY_S / 2 else 1.0


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        yield made


def interrupted_after(count: int) -> Callable[[Progress], None]:
    def interrupt(at: Progress) -> None:
        if at.done == count:
            raise KeyboardInterrupt

    return interrupt


def predicted(table: LatencyTable) -> float:
    return table.predict(UNSEEN.specs).latency_ms


@pytest.mark.parametrize("stops_after", [20, 31])
@pytest.mark.parametrize("factor", [1.06, 0.94])
def test_a_table_that_goes_on_another_day_is_of_that_day(
    table: LatencyTable, factor: float, stops_after: int
) -> None:
    device = Desk(speed=on_the_second_day(factor))
    with pytest.raises(KeyboardInterrupt):
        build(table, device, PLAN_3, interrupted_after(stops_after))
    device.now_s = DAY_S
    report = build(table, device, PLAN_3)
    assert report.anchored
    assert report.stale is None
    assert predicted(table) == pytest.approx(factor * TRUE_MS, rel=0.005)
    # both days' passes stand in the figures, at one speed: they do not spread by the 6 % between days
    for one in table.figures().values():
        assert one.passes >= 3
        assert one.std_error_ms is not None
        assert one.std_error_ms < 0.01 * one.latency_ms


def test_a_slight_change_of_speed_needs_no_new_anchors(table: LatencyTable) -> None:
    device = Desk(speed=on_the_second_day(1.03))
    build(table, device, PLAN_3)
    device.now_s = DAY_S
    report = build(table, device, replace(PLAN, passes=4))
    assert not report.anchored
    assert report.measured == len(NETWORKS)
    assert table.reanchored_at is None


def test_a_single_pass_of_another_day_moves_nothing(table: LatencyTable) -> None:
    device = Desk(speed=on_the_second_day(1.06))
    with pytest.raises(KeyboardInterrupt):
        build(table, device, PLAN_3, interrupted_after(3 * len(NETWORKS) - 1))
    device.now_s = DAY_S
    assert build(table, device, PLAN_3).measured == 1
    assert predicted(table) == pytest.approx(TRUE_MS, rel=0.005)


def test_while_anchors_are_not_measured_again_the_table_is_stale(table: LatencyTable) -> None:
    device = Desk(speed=on_the_second_day(1.08))
    build(table, device, PLAN_3)
    device.now_s = DAY_S
    with pytest.raises(KeyboardInterrupt):
        build(table, device, replace(PLAN, passes=4), interrupted_after(3 * len(NETWORKS) + 10))
    assert table.stale is not None
    assert "8.0 % longer" in table.stale
    report = anchor(table, device, PLAN_3)
    assert (report.anchors, report.stale) == (len(ANCHORS), None)
    assert predicted(table) == pytest.approx(1.08 * TRUE_MS, rel=0.005)


def test_building_a_stale_table_measures_its_anchors_again(table: LatencyTable) -> None:
    device = Desk(speed=on_the_second_day(1.08))
    build(table, device, PLAN_3)
    table.mark_stale("somebody has looked")
    device.now_s = DAY_S
    report = build(table, device, PLAN_3)
    assert report.anchored
    assert (report.measured, report.stale) == (3 * len(ANCHORS), None)
    assert predicted(table) == pytest.approx(1.08 * TRUE_MS, rel=0.005)
    assert build(table, device, PLAN_3).measured == 0


def test_anchors_follow_the_device(table: LatencyTable) -> None:
    device = Desk(speed=on_the_second_day(0.9))
    build(table, device, PLAN_3)
    before = predicted(table)
    device.now_s = DAY_S
    seen: list[Progress] = []
    report = anchor(table, device, PLAN_3, on_progress=seen.append)
    assert before == pytest.approx(TRUE_MS, rel=0.005)
    assert predicted(table) == pytest.approx(0.9 * TRUE_MS, rel=0.005)
    assert report.drifted is not None
    assert "less long" in report.drifted
    assert report.scale is not None
    assert report.scale_before is not None
    assert report.scale == pytest.approx(report.scale_before, rel=0.005)
    assert report.drift_percent == pytest.approx(-10, abs=0.5)
    assert report.measured == 3 * len(ANCHORS)
    assert (seen[-1].done, seen[-1].total, seen[-1].step) == (report.measured, report.measured, "anchors")
    assert set(device.seen[3 * len(NETWORKS) :]) == ANCHORS


def test_an_anchoring_that_was_cut_short_changes_nothing(table: LatencyTable) -> None:
    device = Desk(speed=on_the_second_day(1.2))
    build(table, device, PLAN_3)
    before = predicted(table)
    device.now_s = DAY_S
    with pytest.raises(KeyboardInterrupt):
        anchor(table, device, PLAN_3, on_progress=interrupted_after(3))
    assert table.reanchored_at is None
    report = anchor(table, device, PLAN_3, budget_s=0.0)
    assert (report.anchors, report.measured, report.budget_over) == (0, 0, True)
    assert predicted(table) == pytest.approx(before, rel=0.12)
    anchor(table, device, PLAN_3)
    assert predicted(table) == pytest.approx(1.2 * TRUE_MS, rel=0.005)


def test_an_anchor_that_fails_is_named_and_the_others_count(table: LatencyTable) -> None:
    device = Desk(fails=["anchor-2"])
    report = anchor(table, device, PLAN_3)
    assert report.anchors == len(ANCHORS) - 1
    assert [one.network for one in report.failures] == ["anchor-2"]
    assert Counter(device.seen)["anchor-2"] == 1
    with pytest.raises(BadTable, match=r"no anchor .* could be measured: anchor-\d ended the worker"):
        anchor(table, Desk(fails=sorted(ANCHORS)), PLAN_3)


def test_a_table_without_anchors_cannot_be_anchored(tmp_path: Path) -> None:
    covers = [one for one in NETWORKS if one.role == "cover"]
    with (
        LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), covers) as table,
        pytest.raises(BadTable, match="no anchor networks"),
    ):
        anchor(table, Desk(), PLAN_3)


def test_a_job_told_to_stop_keeps_what_the_device_holds(table: LatencyTable) -> None:
    stop = threading.Event()
    device = Desk(holds=7)

    def tell(at: Progress) -> None:
        if at.done == 3:
            stop.set()

    with pytest.raises(KeyboardInterrupt):
        build(table, device, PLAN_3, tell, stop=stop)
    assert len(table.measured()) == 7


def test_the_canary_tells_how_much_longer_it_takes(table: LatencyTable) -> None:
    assert canary_ms(table) is None
    assert drift(table, 0.2) is None
    build(table, Desk(), PLAN_3)
    assert canary_ms(table) == pytest.approx(0.2)
    assert drift(table, 0.21) == pytest.approx(5.0)


def test_five_percent_are_no_drift() -> None:
    assert verdict("it takes", 5.0) is verdict("it takes", None) is None
    assert verdict("it takes", -5.1) == "it takes 5.1 % less long than when the table was last anchored"
