"""Further passes where operators are not settled, and where the device doubted its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from devices.errors import BadSettings
from devices.measurement import Settings
from devices.plan import Plan
from latency_tables.build import PLAN, Adaptive, build
from latency_tables.figures import Figure
from latency_tables.measuring.precision import unsettled
from latency_tables.ops import OpSpec
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from tests.latency_tables.desk import FACTS, NETWORKS, Desk, logistic

PASSES: Plan = replace(PLAN, passes=3)
NOISY = logistic(500)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        yield made


def noisy(percent: float) -> Desk:
    return Desk(noise=lambda spec: percent / 100 if spec == NOISY else 0.001)


def holders(spec: OpSpec) -> set[str]:
    return {one.name for one in NETWORKS if spec in one.graph.specs}


def test_only_networks_with_a_noisy_operator_are_measured_again(table: LatencyTable) -> None:
    device = noisy(15)
    report = build(table, device, PASSES, adaptive=Adaptive(max_passes=8))
    counts = Counter(device.seen)
    assert max(counts[name] for name in holders(NOISY)) > 3
    more = {name: count - 3 for name, count in counts.items()}
    others = more.keys() - holders(NOISY)
    # beside it others spread, too: of few operators it has a say in how fast a pass was
    assert mean(more[name] for name in holders(NOISY)) > mean(more[name] for name in others)
    assert report.measured == sum(counts.values())


def test_it_ends_when_every_operator_is_settled(table: LatencyTable) -> None:
    device = Desk(noise=lambda _: 0.03)
    report = build(table, device, PASSES, adaptive=Adaptive(precision_percent=2, max_passes=30))
    assert report.unsettled == ()
    for one in table.figures().values():
        assert one.std_error_ms is not None
        assert one.std_error_ms <= 0.02 * one.latency_ms
    assert max(Counter(device.seen).values()) < 30


def test_what_stays_unsettled_after_all_passes_is_named(table: LatencyTable) -> None:
    device = noisy(60)
    report = build(table, device, PASSES, adaptive=Adaptive(max_passes=5))
    assert str(NOISY) in report.unsettled
    assert max(Counter(device.seen).values()) == 5
    assert build(table, device, PASSES, adaptive=Adaptive(max_passes=5)).measured == 0


def test_what_the_clock_cannot_tell_is_not_chased(table: LatencyTable) -> None:
    # 20 % of 0.1 ms is told; of a microsecond's thousandth part nothing is
    tiny = Desk(speed=lambda _: 1e-3, noise=lambda _: 0.2)
    assert build(table, tiny, PASSES, adaptive=Adaptive()).measured == 3 * len(NETWORKS)


def test_without_adaptive_there_are_the_plans_passes(table: LatencyTable) -> None:
    assert build(table, noisy(60), PASSES).measured == 3 * len(NETWORKS)


def test_the_same_passes_are_never_stored_twice(table: LatencyTable) -> None:
    build(table, noisy(30), PASSES, adaptive=Adaptive(max_passes=6))
    keys = [(one.network, one.pass_index) for one in table.bursts()]
    assert len(set(keys)) == len(keys)
    for name, count in Counter(name for name, _ in keys).items():
        assert {index for network, index in keys if network == name} == set(range(count))


def test_progress_of_further_passes_ends_at_its_total(table: LatencyTable) -> None:
    seen = []
    build(table, noisy(30), PASSES, seen.append, adaptive=Adaptive(max_passes=6))
    assert {one.step for one in seen} == {"networks", "more passes"}
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert all(one.done <= one.total for one in seen)


def test_a_doubted_pass_is_measured_again_and_counts_no_more(table: LatencyTable) -> None:
    device = Desk(doubts=lambda at_s: "it was hot" if 5 <= at_s < 9 else None)
    device.speed = lambda at_s: 2.0 if 5 <= at_s < 9 else 1.0
    report = build(table, device, PASSES)
    assert report.measured == 3 * len(NETWORKS) + 4
    assert build(table, device, PASSES).measured == 0
    for one in table.figures().values():
        assert one.between_pass_percent == pytest.approx(0, abs=0.01)


def test_a_device_that_doubts_all_it_measures_is_asked_once_more_only(table: LatencyTable) -> None:
    device = Desk(doubts=lambda _: "it was hot")
    assert build(table, device, PASSES).measured == 4 * len(NETWORKS)
    assert build(table, device, PASSES).measured == 0
    assert table.ready


@pytest.mark.parametrize("wrong", [{"precision_percent": 0}, {"precision_percent": 101}, {"max_passes": 0}])
def test_impossible_wishes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSettings, match=next(iter(wrong)).partition("_")[0]):
        Adaptive(**wrong)


def test_an_operator_whose_passes_spread_widely_has_to_be_known_twice_as_well() -> None:
    def figure(unit: str, spread_percent: float, error_percent: float) -> Figure:
        error_ms = error_percent / 100
        return Figure(unit, 1.0, error_ms, 1.0, "in context", 9, 3, 3, spread_percent, None)

    figures = {one.unit: one for one in (figure("calm", 1.9, 1.5), figure("wide", 2.1, 1.5))}
    assert unsettled(figures, 2.0) == {}
    assert unsettled(figures, 2.0, spread=True) == {"wide": pytest.approx(1.5)}
    assert unsettled({"wide": figure("wide", 9.0, 0.9)}, 2.0, spread=True) == {}
    tiny = replace(figure("tiny", 9.0, 0.0), latency_ms=0.01, std_error_ms=0.0004)  # what no clock can tell
    assert unsettled({"tiny": tiny}, 2.0, spread=True) == {}
