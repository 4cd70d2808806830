"""A network's latency from the figures of a table: a sum, calibrated. Fits nothing and stores nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.errors import MissingOperators
from latency_tables.ops import OpSpec


@dataclass(frozen=True, slots=True)
class Prediction:
    """A network's latency by the table: `latency_ms = sum_ms x scale`, `sum_ms` being the sum of its figures.

    Attributes:
        latency_ms: what `network_ms` of a measurement would be, the median over passes of each pass's lower
            quartile: not the median of all runs, which is a little higher.
        operators_ms: what each operator adds to `latency_ms`, in the order given.
    """

    latency_ms: float
    sum_ms: float
    scale: float
    operators_ms: tuple[float, ...]


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
        """The latency of a network of these operators, in any order: what `network_ms` of it would be.

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
