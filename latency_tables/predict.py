"""A network's latency from the figures of a table: a sum, calibrated, with its interval. Fits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latency_tables.calibration import Calibration, calibrate
from latency_tables.errors import MissingOperators
from latency_tables.figures import Figure
from latency_tables.ops import OpSpec
from latency_tables.units import Units, kind_of


@dataclass(frozen=True, slots=True)
class Prediction:
    """A network's latency by the table.

    Attributes:
        latency_ms: what `network_ms` of a measurement would be, the median over passes of each pass's lower
            quartile: not the median of all runs, which is a little higher.
        low_ms: 90 % of networks measured in the session of the anchors lie between this and `high_ms`; None
            where the table has no anchors to tell it from.
        high_ms: likewise.
        sum_ms: the sum of the figures, each times its kind's factor.
        scale: the calibration's: `latency_ms = scale x sum_ms`, plus its intercept if it has one.
        operators_ms: what each operator adds to `latency_ms`, in the order given; the operators of a block
            that has one figure have equal parts of it. An intercept is in none.
    """

    latency_ms: float
    low_ms: float | None
    high_ms: float | None
    sum_ms: float
    scale: float
    operators_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Predictor:
    """Sums operators: the figures of one table, ready for many networks.

    Attributes:
        figures: by unit, before the calibration.
        table: its address, for messages.
    """

    figures: Mapping[str, Figure]
    calibration: Calibration
    table: str
    _units: Units = field(init=False, repr=False, compare=False)
    _ms: dict[str, float] = field(init=False, repr=False, compare=False)
    _variances_ms2: dict[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        factors = self.calibration.factors
        parts = {text: factors.get(kind_of(text), 1.0) for text in self.figures}
        set_once = object.__setattr__  # frozen for all but its making
        set_once(self, "_units", Units(self.figures))
        set_once(self, "_ms", {text: one.latency_ms * parts[text] for text, one in self.figures.items()})
        set_once(
            self,
            "_variances_ms2",
            {text: ((one.std_error_ms or 0.0) * parts[text]) ** 2 for text, one in self.figures.items()},
        )

    @classmethod
    def known(cls, latencies_ms: Mapping[str, float], scale: float, table: str) -> Self:
        """A predictor of units whose latencies are given as they are, without any error."""
        figures = {
            unit: Figure(unit, ms, None, None, "imported", 0, 0, 0, None, None)
            for unit, ms in latencies_ms.items()
        }
        return cls(figures, Calibration("scale", scale), table)

    @property
    def scale(self) -> float:
        """The factor from a sum of operators to a network's latency."""
        return self.calibration.scale

    @property
    def single(self) -> bool:
        """Whether every figure is of a single operator, so that the order of operators counts for nothing."""
        return self._units.single

    def unit_ms(self, unit: str) -> float:
        """What one unit adds to `sum_ms`: its figure times its kind's factor.

        Raises:
            MissingOperators: the table has no figure for it.
        """
        try:
            return self._ms[unit]
        except KeyError:
            raise MissingOperators([unit], self.table) from None

    def variance_ms2(self, unit: str) -> float:
        """The squared standard error of `unit_ms`. A unit that occurs c times adds c^2 times this.

        Raises:
            MissingOperators: the table has no figure for it.
        """
        try:
            return self._variances_ms2[unit]
        except KeyError:
            raise MissingOperators([unit], self.table) from None

    def units_of(self, specs: Sequence[OpSpec]) -> list[str]:
        """The units of a network: at each place the longest that the table has a figure for.

        Args:
            specs: in execution order.

        Raises:
            MissingOperators: the table has no figure for some of them; it names them.
        """
        return [unit for unit, _ in self._split(specs)]

    def predict(self, specs: Sequence[OpSpec]) -> Prediction:
        """The latency of a network: what `network_ms` of it would be.

        Args:
            specs: its operators in execution order; any order will do where every unit is one operator.

        Raises:
            MissingOperators: the table has no figure for some of them; it names them.
        """
        units = self._split(specs)
        # summed in one order, so that equal networks have equal latencies
        counts = sorted(Counter(unit for unit, _ in units).items())
        total = float(sum(count * self._ms[unit] for unit, count in counts))
        variance = float(sum(count**2 * self._variances_ms2[unit] for unit, count in counts))
        latency, low, high = (float(one[0]) for one in self.finish(np.array([total]), np.array([variance])))
        known = self.calibration.lack_of_fit is not None
        scale = self.calibration.scale
        return Prediction(
            latency,
            low if known else None,
            high if known else None,
            total,
            scale,
            tuple(self._ms[unit] * scale / size for unit, size in units for _ in range(size)),
        )

    def finish(
        self, sums_ms: NDArray[np.float64], variances_ms2: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Latencies and the ends of their intervals, from sums of `unit_ms` and their variances.

        See `Calibration.finish`: all three of one shape; the ends are NaN where the table has no anchors.
        """
        return self.calibration.finish(sums_ms, variances_ms2)

    def reanchored(self, sums_ms: Sequence[float], measured_ms: Sequence[float]) -> Predictor:
        """The same figures, calibrated by anchors measured at another time.

        Args:
            sums_ms: `Prediction.sum_ms` of each anchor, by this predictor.
            measured_ms: its `network_ms` then.

        Raises:
            BadTable: there are no anchors.
        """
        found = calibrate(sums_ms, measured_ms)
        before = self.calibration
        return replace(self, calibration=replace(found, factors=before.factors))

    def _split(self, specs: Sequence[OpSpec]) -> list[tuple[str, int]]:
        units, missing = self._units.split(specs)
        if missing:
            raise MissingOperators(list(map(str, missing)), self.table)
        return units
