"""Which networks tell most: by hand for few, by brute force for the first."""

from __future__ import annotations

import numpy as np
import pytest

from latency_tables.fitting.ratios import Ratios, Seen, Spreads
from latency_tables.fitting.sampling import CLOCK_MS, LATENCY_ERROR, PROFILE_ERROR, choose, shares

UNITS = [
    f"{kind}/float32/1x{size}/1x{size}" for kind in ("relu", "tanh", "logistic") for size in (8, 64, 512)
]
UNITS.sort()
MS = {unit: 1.0 + number for number, unit in enumerate(UNITS)}
RATIOS = Ratios(MS)


def some(count: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(UNITS, rng.integers(1, 6))) for _ in range(count)]


def test_shares_are_of_the_time() -> None:
    found = shares(RATIOS, MS, [[UNITS[0], UNITS[0], UNITS[1]], [UNITS[2]]])
    assert found[0, :2].tolist() == [0.5, 0.5]
    assert found.sum(axis=1).tolist() == [1.0, 1.0]


def test_what_is_measured_in_any_case_is_not_chosen_again() -> None:
    candidates = [UNITS[:3], UNITS[3:6], UNITS[6:]]
    others = [UNITS]
    first = choose(RATIOS, MS, candidates, others, 1)
    again = choose(RATIOS, MS, candidates, others, 1, measured=[candidates[first[0]]])
    assert first != again
    assert choose(RATIOS, MS, candidates, others, 2) == first + again


def test_the_choice_is_the_same_each_time_and_goes_on() -> None:
    candidates, others = some(12, 0), some(20, 1)
    five = choose(RATIOS, MS, candidates, others, 5)
    assert choose(RATIOS, MS, candidates, others, 12)[:5] == five
    assert sorted(choose(RATIOS, MS, candidates, others, 99)) == list(range(12))
    assert choose(RATIOS, MS, candidates, others, 0) == []
    done = [candidates[place] for place in five[:2]]
    left = [one for place, one in enumerate(candidates) if place not in five[:2]]
    rest = choose(RATIOS, MS, left, others, 3, measured=done)
    assert [left[place] for place in rest] == [candidates[place] for place in five[2:]]


@pytest.mark.parametrize("profile", [True, False])
def test_the_first_is_the_one_that_leaves_least_unknown(profile: bool) -> None:
    candidates, others = some(10, 2), some(20, 3)
    targets = shares(RATIOS, MS, others)

    def left(units: list[str]) -> float:
        """The mean variance of the others' latencies after a network was measured."""
        weights = shares(RATIOS, MS, [units])
        variances = np.array([LATENCY_ERROR**2])
        if profile:
            places = sorted({RATIOS.places[unit] for unit in units})
            weights = np.eye(len(UNITS))[places]
            variances = np.array([PROFILE_ERROR**2 + (CLOCK_MS / MS[UNITS[place]]) ** 2 for place in places])
        seen = Seen(weights, np.zeros(len(weights)), variances)
        prior = RATIOS.covariance(Spreads())
        across = prior @ seen.weights.T
        own = seen.weights @ across + np.diag(variances)
        after = prior - across @ np.linalg.solve(own, across.T)
        return float(np.trace(targets @ after @ targets.T))

    (first,) = choose(RATIOS, MS, candidates, others, 1, profile=profile)
    assert left(candidates[first]) == pytest.approx(min(map(left, candidates)))
