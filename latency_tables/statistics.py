"""From operator times to a figure per operator, from samples to a network's one latency. Stores nothing.

A network's latency is `network_ms` throughout: the median over passes of each pass's lower quartile, which is
a little less than the median of all runs, and the more so the noisier the machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import BadTable

#: the quantile that stands for a burst of runs: steadier than the median where other processes take turns
STATISTIC = 0.25
#: bounds of what a profile leaves out per operator: its clock counts microseconds, and nothing takes no time
OMISSION_BOUNDS_MS = (0.00005, 0.002)
#: how far kinds, and operators of a kind, are expected to differ in it; how far sums miss a network's latency
OMISSION_SPREAD_MS = 0.0003
SUM_ERROR = 0.02
#: a network never takes less than this share of its profiled operators
LEAST_FACTOR = 0.1


@dataclass(frozen=True, slots=True)
class Observation:
    """One operator's mean time in one pass of one network.

    Attributes:
        operator: the text form of the OpSpec.
    """

    operator: str
    network: str
    pass_index: int
    mean_ms: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """One operator's time by the profile, from all its observations.

    Attributes:
        profiled_ms: the median over networks and passes of its mean time there.
        observations: how many times it was seen.
        networks: in how many networks.
        spread_ms: interquartile range over networks and passes.
    """

    profiled_ms: float
    observations: int
    networks: int
    spread_ms: float


def estimates(observations: Iterable[Observation]) -> dict[str, Estimate]:
    """What the profile says of each operator. The result does not depend on the order of the observations."""
    bursts: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for seen in observations:
        bursts[seen.operator][seen.network, seen.pass_index].append(seen.mean_ms)
    return {operator: _estimate(bursts[operator]) for operator in sorted(bursts)}


def _estimate(bursts: Mapping[tuple[str, int], Sequence[float]]) -> Estimate:
    means = np.sort([np.mean(np.sort(times)) for times in bursts.values()])
    lower, middle, upper = np.quantile(means, (0.25, 0.5, 0.75))
    return Estimate(
        profiled_ms=float(middle),
        observations=sum(map(len, bursts.values())),
        networks=len({network for network, _ in bursts}),
        spread_ms=float(upper - lower),
    )


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

    kinds = sorted({_kind(operator) for operator in operators})
    belongs = np.array([[float(_kind(operator) == kind) for kind in kinds] for operator in operators])
    # columns: the factor, the omission of each kind times the factor, the common one
    sums = np.c_[counts @ profiled, counts @ belongs, np.zeros(len(counts))]
    fitted = sums / measured[:, None] / SUM_ERROR
    drawn = np.c_[np.zeros(len(kinds)), np.eye(len(kinds)), -np.ones(len(kinds))] / OMISSION_SPREAD_MS
    goal = np.r_[np.full(len(counts), 1 / SUM_ERROR), np.zeros(len(kinds))]
    least, most = OMISSION_BOUNDS_MS
    bounds = ([LEAST_FACTOR] + [least] * (len(kinds) + 1), [np.inf] + [most] * (len(kinds) + 1))
    factor, *found, _ = lsq_linear(np.r_[fitted, drawn], goal, bounds).x
    return float(factor), belongs @ np.array(found) / factor


def _kind(operator: str) -> str:
    return operator.partition("/")[0]


def network_ms(passes: Iterable[Sequence[float]]) -> float:
    """The one figure for a network's measured latency: the median over passes of each burst's lower quartile.

    Args:
        passes: the samples of each pass in milliseconds.
    """
    bursts = [float(np.quantile(samples, STATISTIC)) for samples in passes if len(samples)]
    if not bursts:
        raise BadTable("a network's latency needs at least one sample")
    return float(np.median(bursts))
