"""What the runtime's profiler leaves out of each operator, told from whole networks. Knows no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from latency_tables.units import kind_of

#: bounds of what a profile leaves out per operator: its clock counts microseconds, and nothing takes no time
OMISSION_BOUNDS_MS = (0.00005, 0.002)
#: how far kinds, and operators of a kind, are expected to differ in it; how far sums miss a network's latency
OMISSION_SPREAD_MS = 0.0003
SUM_ERROR = 0.02
#: a network never takes less than this share of its profiled operators
LEAST_FACTOR = 0.1


def omissions(
    profiled_ms: Mapping[str, float], networks: Sequence[Sequence[str]], measured_ms: Sequence[float]
) -> dict[str, float]:
    """What the profile leaves out of each operator, in milliseconds.

    The runtime's profiler rounds down to whole microseconds and sees nothing between operators, so that it
    gives the smallest ones no time at all. What is missing shows in whole networks: their latency is fitted
    by `factor x (sum of profiled times + sum of omissions)`, relative errors squared. An operator's omission
    is its kind's and a part of its own, both drawn towards what is common (ridge, normal priors), so that
    few networks do not set them at will, and stays within `OMISSION_BOUNDS_MS`.

    Args:
        profiled_ms: by operator.
        networks: the operators of each network.
        measured_ms: each network's latency, measured without the profiler.
    """
    operators = sorted(profiled_ms)
    numbers = {operator: number for number, operator in enumerate(operators)}
    counts = np.zeros((len(networks), len(operators)))
    for row, network in enumerate(networks):
        for operator in network:
            counts[row, numbers[operator]] += 1
    profiled = np.array([profiled_ms[operator] for operator in operators])
    measured = np.asarray(measured_ms, float)

    factor, of_kinds = _omissions_of_kinds(operators, profiled, counts, measured)
    # the mean of each operator's own part, given what the kinds leave unexplained
    left = measured / factor - counts @ (profiled + of_kinds)
    prior = OMISSION_SPREAD_MS**2 * counts.T
    noise = np.diag((SUM_ERROR * measured / factor) ** 2)
    own = prior @ np.linalg.solve(counts @ prior + noise, left)
    found = np.clip(of_kinds + own, *OMISSION_BOUNDS_MS)
    return dict(zip(operators, map(float, found), strict=True))


def _omissions_of_kinds(
    operators: Sequence[str],
    profiled: NDArray[np.float64],
    counts: NDArray[np.float64],
    measured: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """The factor, and per operator the omission of its kind in milliseconds."""
    from scipy.optimize import lsq_linear

    kinds = sorted({kind_of(operator) for operator in operators})
    belongs = np.array([[float(kind_of(operator) == kind) for kind in kinds] for operator in operators])
    # columns: the factor, the omission of each kind times the factor, the common one
    sums = np.c_[counts @ profiled, counts @ belongs, np.zeros(len(counts))]
    fitted = sums / measured[:, None] / SUM_ERROR
    drawn = np.c_[np.zeros(len(kinds)), np.eye(len(kinds)), -np.ones(len(kinds))] / OMISSION_SPREAD_MS
    goal = np.r_[np.full(len(counts), 1 / SUM_ERROR), np.zeros(len(kinds))]
    least, most = OMISSION_BOUNDS_MS
    bounds = ([LEAST_FACTOR] + [least] * (len(kinds) + 1), [np.inf] + [most] * (len(kinds) + 1))
    factor, *found, _ = lsq_linear(np.r_[fitted, drawn], goal, bounds).x
    return float(factor), belongs @ np.array(found) / factor
