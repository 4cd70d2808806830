"""From operator times to a network's latency: a figure per operator, a sum, a scale. Stores nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.errors import BadTable, MissingOperators
from latency_tables.ops import OpSpec

#: the quantile that stands for a burst of runs: steadier than the median where other processes take turns
STATISTIC = 0.25


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
    """One operator's figure, from all its observations.

    Attributes:
        latency_ms: the figure.
        observations: how many times it was seen.
        networks: in how many networks.
        spread: interquartile range over the median between observations; 0.1 is 10 %.
    """

    latency_ms: float
    observations: int
    networks: int
    spread: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """A network's latency by the table: `latency_ms = sum_ms x scale`.

    Attributes:
        operators_ms: what each operator adds to `latency_ms`, in the order given.
    """

    latency_ms: float
    sum_ms: float
    scale: float
    operators_ms: tuple[float, ...]


def estimates(observations: Iterable[Observation]) -> dict[str, Estimate]:
    """One robust figure per operator: the lower quartile over networks and passes of its mean time there.

    The result does not depend on the order of the observations.
    """
    bursts: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for seen in observations:
        bursts[seen.operator][seen.network, seen.pass_index].append(seen.mean_ms)
    return {operator: _estimate(bursts[operator]) for operator in sorted(bursts)}


def _estimate(bursts: Mapping[tuple[str, int], Sequence[float]]) -> Estimate:
    means = np.sort([np.mean(np.sort(times)) for times in bursts.values()])
    lower, middle, upper = np.quantile(means, (STATISTIC, 0.5, 0.75))
    return Estimate(
        latency_ms=float(lower),
        observations=sum(map(len, bursts.values())),
        networks=len({network for network, _ in bursts}),
        spread=float((upper - lower) / middle) if middle > 0 else 0.0,
    )


def network_ms(passes: Iterable[Sequence[float]]) -> float:
    """The one figure for a network's measured latency: the median over passes of each burst's lower quartile.

    Args:
        passes: the samples of each pass in milliseconds.
    """
    bursts = [float(np.quantile(samples, STATISTIC)) for samples in passes if len(samples)]
    if not bursts:
        raise BadTable("a network's latency needs at least one sample")
    return float(np.median(bursts))


def fit_scale(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> float:
    """The factor from a sum of operators to a network's latency: the median ratio over the anchors.

    Raises:
        BadTable: there are no anchors.
    """
    if not len(sums_ms) or len(sums_ms) != len(measured_ms):
        raise BadTable(
            f"a scale needs anchors: {len(sums_ms)} sums and {len(measured_ms)} measured latencies were given"
        )
    return float(np.median(np.asarray(measured_ms) / np.asarray(sums_ms)))


class Predictor:
    """Sums operators: the figures of one table, ready for many networks."""

    def __init__(self, latencies_ms: Mapping[str, float], scale: float, table: str) -> None:
        self._latencies_ms = {OpSpec.parse(operator): ms for operator, ms in latencies_ms.items()}
        self._scale = scale
        self._table = table

    @property
    def scale(self) -> float:
        """The factor from a sum of operators to a network's latency."""
        return self._scale

    def predict(self, specs: Sequence[OpSpec]) -> Prediction:
        """The latency of a network of these operators, in any order.

        Raises:
            MissingOperators: the table has no figure for some of them; it names them.
        """
        try:
            parts = [self._latencies_ms[spec] for spec in specs]
        except KeyError:
            missing = [str(spec) for spec in specs if spec not in self._latencies_ms]
            raise MissingOperators(missing, self._table) from None
        total = float(np.sum(np.sort(parts)))  # in one order, so that equal networks have equal latencies
        return Prediction(total * self._scale, total, self._scale, tuple(ms * self._scale for ms in parts))
