"""Passes of different days join at one speed; what speaks against a pass keeps it out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from latency_tables.fitting.joining import Joined, join, speeds, trusted
from latency_tables.fitting.statistics import Observation
from latency_tables.records import Burst

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: networks of operators, which take so many microseconds
TIMES_MS = {f"op-{number}": 0.05 * (1 + number) for number in range(12)}
NETWORKS = {f"net-{number}": [f"op-{(number + step) % 12}" for step in (0, 1, 1, 5)] for number in range(40)}


def measured(
    visits: Sequence[tuple[str, int, float]],
    speed_at: Callable[[float], float],
    noise: float = 0.0,
    reference: bool = True,
    suspect: Callable[[float], bool] = lambda _: False,
) -> tuple[list[Burst], list[Observation]]:
    """What visits (network, pass, seconds since the start) of a machine of such a speed come to."""
    rng = random.Random(0)
    bursts, observations = [], []
    for network, index, at_s in visits:
        speed = speed_at(at_s) * (1 + rng.gauss(0, noise))
        total = 1.1 * sum(TIMES_MS[name] for name in NETWORKS[network]) * speed
        context = {"suspect": "it was hot"} if suspect(at_s) else {}
        started = (START + timedelta(seconds=at_s)).isoformat(timespec="milliseconds")
        ref = 0.2 * speed if reference else None
        bursts.append(Burst(network, index, started, (total,) * 4, 0, ref, context))
        observations += [
            Observation(name, network, index, TIMES_MS[name] * speed) for name in NETWORKS[network]
        ]
    return bursts, observations


def sweep(index: int, begin_s: float, names: Sequence[str] = tuple(NETWORKS)) -> list[tuple[str, int, float]]:
    order = list(names)
    random.Random(index).shuffle(order)
    return [(name, index, begin_s + number) for number, name in enumerate(order)]


def errors(joined: Joined) -> np.ndarray:
    """How far the operators' times are from the truth, but for what is common to all: relative."""
    times: dict[str, list[float]] = {}
    for one in joined.observations:
        times.setdefault(one.operator, []).append(one.mean_ms)
    ratios = np.log([np.median(found) / TIMES_MS[name] for name, found in times.items()])
    return ratios - np.mean(ratios)


DAY_S = 86_400.0


def slower_on_the_second_day(at_s: float) -> float:
    return 1.06 if at_s >= DAY_S / 2 else 1.0


def test_a_table_that_goes_on_the_next_day_has_one_speed():
    names = list(NETWORKS)
    first, rest = names[:23], names[23:]
    visits = [*sweep(0, 0), *sweep(1, 100, first), *sweep(1, DAY_S, rest)]
    joined = join(*measured(visits, slower_on_the_second_day, noise=0.005), anchors=())
    assert np.abs(errors(joined)).max() < 0.01
    days = [np.mean([joined.speeds[one] for one in ((n, 1) for n in part)]) for part in (first, rest)]
    assert days[1] / days[0] == pytest.approx(1.06, abs=0.01)


def test_networks_that_share_only_operators_with_the_first_day_join_too():
    names = list(NETWORKS)
    visits = [*sweep(0, 0, names[:20]), *sweep(0, DAY_S, names[20:])]
    bursts, observations = measured(visits, slower_on_the_second_day, reference=False)
    joined = join(bursts, observations, anchors=())
    assert np.abs(errors(joined)).max() < 0.005


def test_networks_that_share_nothing_are_joined_by_the_reference():
    # even networks have operators of one half only
    low = {"low": ["op-0", "op-1"], "high": ["op-8", "op-9"]}
    NETWORKS.update(low)
    try:
        visits = [("low", index, float(index)) for index in range(9)]
        visits += [("high", index, DAY_S + index) for index in range(9)]
        bursts, observations = measured(visits, slower_on_the_second_day)
        found = speeds(bursts, observations)
        assert found["high", 0] / found["low", 0] == pytest.approx(1.06, rel=1e-6)
        unknown, observations = measured(visits, slower_on_the_second_day, reference=False)
        assert set(speeds(unknown, observations).values()) == {1.0}
    finally:
        for name in low:
            del NETWORKS[name]


def test_drift_within_an_hour_is_no_spread_of_the_operators():
    visits = [visit for index in range(4) for visit in sweep(index, 60 * index)]
    bursts, observations = measured(visits, lambda at_s: 1.0 + at_s / 2400, noise=0.003)
    joined = join(bursts, observations, anchors=()).observations

    def spread(seen: Sequence[Observation]) -> float:
        return float(np.std(np.log([one.mean_ms / TIMES_MS[one.operator] for one in seen])))

    assert spread(observations) > 0.02
    assert spread(joined) < 0.01


def test_one_short_session_is_left_as_it_was_measured():
    bursts, observations = measured(sweep(0, 0), lambda at_s: 1 + 0.01 * (at_s % 2))
    joined = join(bursts, observations, anchors=["net-0"])
    assert set(joined.speeds.values()) == {1.0}
    assert joined.observations == observations
    assert joined.anchors_ms == {"net-0": [one.samples_ms for one in bursts if one.network == "net-0"]}


def test_nothing_measured_joins_to_nothing():
    assert join([], [], anchors=()) == Joined({}, {}, [], {})


def test_the_calibration_keeps_the_speed_of_its_own_passes():
    anchors = list(NETWORKS)[:12]
    visits = [*sweep(0, 0), *sweep(1, 60), *sweep(2, DAY_S, anchors), *sweep(3, DAY_S + 60, anchors)]
    bursts, observations = measured(visits, slower_on_the_second_day)
    since = (START + timedelta(days=0.5)).isoformat()
    joined = join(bursts, observations, anchors, since)
    for name in anchors:
        truth = 1.1 * sum(TIMES_MS[one] for one in NETWORKS[name])
        assert len(joined.anchors_ms[name]) == 2
        assert np.mean(joined.anchors_ms[name]) == pytest.approx(1.06 * truth, rel=2e-3)
        assert len(joined.samples_ms[name]) == 4
        assert np.mean(joined.samples_ms[name]) == pytest.approx(1.06 * truth, rel=2e-3)


def test_a_few_wild_passes_move_no_block():
    visits = [visit for index in range(3) for visit in sweep(index, 60 * index)]
    bursts, observations = measured(visits, lambda at_s: 5.0 if at_s in {3.0, 70.0, 131.0} else 1.0)
    assert speeds(bursts, observations) == pytest.approx(
        dict.fromkeys(speeds(bursts, observations), 1.0), abs=0.02
    )


def test_doubted_passes_count_only_where_there_are_no_others():
    visits = [("net-0", 0, 0.0), ("net-0", 1, 1.0), ("net-1", 0, 0.5)]
    bursts, observations = measured(visits, lambda _: 1.0, suspect=lambda at_s: at_s < 1)
    assert [(one.network, one.pass_index) for one in trusted(bursts)] == [("net-0", 1), ("net-1", 0)]
    joined = join(bursts, observations, anchors=["net-0", "net-1"])
    assert {(one.network, one.pass_index) for one in joined.observations} == {("net-0", 1), ("net-1", 0)}
    assert {name: len(passes) for name, passes in joined.anchors_ms.items()} == {"net-0": 1, "net-1": 1}


def test_the_order_of_passes_does_not_matter():
    visits = [visit for index in range(3) for visit in sweep(index, 60 * index)]
    bursts, observations = measured(visits, lambda at_s: 1 + at_s / 1000, noise=0.01)
    shuffled = list(bursts)
    random.Random(1).shuffle(shuffled)
    assert speeds(shuffled, observations) == pytest.approx(speeds(bursts, observations), rel=1e-9)
