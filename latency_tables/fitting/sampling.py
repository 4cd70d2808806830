"""Which few networks tell most of a device that another's table is known of. Measures nothing.

Greedy: each step takes the candidate after which the latencies of other networks of the space are least
uncertain, by the prior of `latency_tables.fitting.ratios` (A-optimal design for linear functionals: Chaloner
and Verdinelli 1995). The common factor is in the prior, so that the first network is not wasted on it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from latency_tables.fitting.ratios import Ratios, Spreads

Floats = NDArray[np.float64]

#: relative errors that are expected of a unit's time in a profile, besides what its clock rounds off, and of
#: a network's latency
PROFILE_ERROR, CLOCK_MS, LATENCY_ERROR = 0.03, 0.0005, 0.02


def shares(ratios: Ratios, latencies_ms: Mapping[str, float], networks: Sequence[Sequence[str]]) -> Floats:
    """Each unit's share of each network's latency: [networks, units].

    Args:
        latencies_ms: by unit, on the device that is known.
        networks: the units of each, with repetitions.
    """
    found = np.zeros((len(networks), len(ratios.units)))
    for row, units in zip(found, networks, strict=True):
        for unit in units:
            row[ratios.places[unit]] += latencies_ms[unit]
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), np.finfo(float).tiny))


def choose(
    ratios: Ratios,
    latencies_ms: Mapping[str, float],
    candidates: Sequence[Sequence[str]],
    others: Sequence[Sequence[str]],
    count: int,
    *,
    profile: bool = True,
    measured: Sequence[Sequence[str]] = (),
) -> list[int]:
    """Indices of `count` candidates, the most informative first.

    Args:
        latencies_ms: by unit, on the device that is known.
        candidates: networks to choose from, as their units.
        others: random networks of the space, whose latencies are to be known.
        count: at most as many as there are candidates.
        profile: whether the device tells the time of each unit, and not only of whole networks.
        measured: networks that are measured in any case.
    """
    spreads = Spreads()
    covariance = ratios.covariance(spreads)
    targets = shares(ratios, latencies_ms, others)
    figures = np.array([latencies_ms[unit] for unit in ratios.units])
    noise = PROFILE_ERROR**2 + (CLOCK_MS / figures) ** 2
    every = [*candidates, *measured]
    weights = shares(ratios, latencies_ms, every)
    places = [np.array(sorted({ratios.places[unit] for unit in units}), dtype=np.int64) for units in every]

    def observe(number: int) -> tuple[Floats, Floats]:
        """What a network tells: covariances with all units, and of the observations among themselves."""
        if profile:
            at = places[number]
            return covariance[:, at], covariance[np.ix_(at, at)] + np.diag(noise[at])
        across = covariance @ weights[number][:, None]
        return across, weights[number][None] @ across + LATENCY_ERROR**2

    def gain(number: int) -> float:
        across, own = observe(number)
        return float(np.sum((targets @ across) * np.linalg.solve(own, (targets @ across).T).T))

    left = list(range(len(candidates)))
    chosen: list[int] = []
    for fixed in range(len(candidates), len(every)):
        across, own = observe(fixed)
        covariance = covariance - across @ np.linalg.solve(own, across.T)
    while len(chosen) < min(count, len(candidates)):
        best = max(left, key=gain)
        across, own = observe(best)
        covariance = covariance - across @ np.linalg.solve(own, across.T)
        chosen.append(best)
        left.remove(best)
    return chosen
