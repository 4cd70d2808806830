"""A network's latency from the figures of a table: a sum, calibrated, with its interval. Fits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import MissingOperators
from latency_tables.figures import Figure, standard_errors_ms
from latency_tables.fitting.calibration import PASSES, AnchorSum, Calibration, calibrate, together
from latency_tables.fitting.context import SAME_SIZE, Sizes
from latency_tables.ops import OpSpec
from latency_tables.units import Units


@dataclass(frozen=True, slots=True)
class Prediction:
    """A network's latency by the table.

    Attributes:
        latency_ms: what `network_ms` of a measurement would be, the median over passes of each pass's lower
            quartile: not the median of all runs, which is a little higher.
        low_ms: 90 % of networks measured in the session of the anchors lie between this and `high_ms`; None
            where the table has no anchors to tell it from.
        high_ms: likewise.
        sum_ms: the sum of the figures as they are in a network of its size.
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
class _Term:
    """What one unit adds to the sums over a network."""

    ms: float
    variance_ms2: float
    growth_ms: float
    exponent: float

    @classmethod
    def of(cls, figure: Figure, std_error_ms: float) -> Self:
        ms = figure.latency_ms
        return cls(ms, std_error_ms**2, ms * figure.exponent, figure.exponent)


@dataclass(frozen=True, slots=True)
class Predictor:
    """Sums operators: the figures of one table, ready for many networks.

    Attributes:
        figures: by unit, before the calibration.
        table: its address, for messages.
        sizes: of the networks that the figures were measured in.
        anchors: by name, what the table's anchors are predicted by, and would be had they not been measured.
    """

    figures: Mapping[str, Figure]
    calibration: Calibration
    table: str
    sizes: Sizes = SAME_SIZE
    anchors: Mapping[str, AnchorSum] = field(default_factory=dict)
    _units: Units = field(init=False, repr=False, compare=False)
    _terms: dict[str, _Term] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        errors = standard_errors_ms(self.figures)
        terms = {text: _Term.of(one, errors[text]) for text, one in self.figures.items()}
        object.__setattr__(self, "_units", Units(self.figures))  # frozen for all but its making
        object.__setattr__(self, "_terms", terms)

    @property
    def scale(self) -> float:
        """The factor from a sum of operators to a network's latency."""
        return self.calibration.scale

    @property
    def single(self) -> bool:
        """Whether every figure is of a single operator, so that the order of operators counts for nothing."""
        return self._units.single

    def unit_ms(self, unit: str) -> float:
        """What one unit adds to a network's plain sum: its figure.

        Raises:
            MissingOperators: the table has no figure for it.
        """
        return self._term(unit).ms

    def growth_ms(self, unit: str) -> float:
        """What one unit adds to how a network's sum grows with its size: `unit_ms` times its exponent.

        Raises:
            MissingOperators: the table has no figure for it.
        """
        return self._term(unit).growth_ms

    def variance_ms2(self, unit: str) -> float:
        """The squared standard error of `unit_ms` (`figures.standard_errors_ms`).

        A unit that occurs c times adds c^2 times this.

        Raises:
            MissingOperators: the table has no figure for it.
        """
        return self._term(unit).variance_ms2

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
        total, variance, growth = self._add_up(Counter(unit for unit, _ in units))
        sums, variances, growths = np.array([total]), np.array([variance]), np.array([growth])
        latency, low, high = (float(one[0]) for one in self.finish(sums, variances, growths))
        known = self.calibration.lack_of_fit is not None
        return Prediction(
            latency,
            low if known else None,
            high if known else None,
            float(self.sizes.in_context(sums, growths)[0]),
            self.calibration.scale,
            self._shares(units, float(self.sizes.logs(sums)[0]), latency - self.calibration.intercept_ms),
        )

    def finish(
        self,
        sums_ms: NDArray[np.float64],
        variances_ms2: NDArray[np.float64],
        growths_ms: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Latencies and the ends of their intervals, from plain sums over the units of networks.

        Args:
            sums_ms: of `unit_ms`.
            variances_ms2: of `sums_ms`: of the squared counts of units times `variance_ms2`.
            growths_ms: of `growth_ms`.

        Returns:
            Three arrays of the shape of `sums_ms`; the ends are NaN where the table has no anchors.
        """
        return self.calibration.finish(self.sizes.in_context(sums_ms, growths_ms), variances_ms2)

    def _term(self, unit: str) -> _Term:
        try:
            return self._terms[unit]
        except KeyError:
            raise MissingOperators([unit], self.table) from None

    def _add_up(self, counts: Mapping[str, int]) -> tuple[float, float, float]:
        """Plain sum, variance and growth, in one order, so that equal networks have equal latencies."""
        known = [(count, self._terms[unit]) for unit, count in sorted(counts.items())]
        return (
            float(sum(count * one.ms for count, one in known)),
            float(sum(count**2 * one.variance_ms2 for count, one in known)),
            float(sum(count * one.growth_ms for count, one in known)),
        )

    def _shares(self, units: Sequence[tuple[str, int]], size: float, latency_ms: float) -> tuple[float, ...]:
        """What each operator adds to a latency, the logarithm of the network's relative size being given."""
        terms = [self._terms[unit] for unit, _ in units]
        parts = [one.ms * exp(one.exponent * size) for one in terms]
        total = sum(parts) or 1.0
        return tuple(
            latency_ms * part / total / count
            for part, (_, count) in zip(parts, units, strict=True)
            for _ in range(count)
        )

    def reanchored(
        self,
        networks: Mapping[str, Sequence[OpSpec]],
        measured_ms: Mapping[str, float],
        pass_error: float | None = None,
        passes: float = PASSES,
    ) -> Predictor:
        """The same figures, calibrated by anchors measured at another time.

        By the very passes of the table's anchors it is the calibration that the table has.

        Args:
            networks: by name, the operators of the anchors in execution order. A name of `anchors` stands for
                that one; of other networks the error is told from the figures as they are.
            measured_ms: by the same names, their `network_ms` then.
            pass_error: relative standard deviation of one pass of a network around others of it
                (`latency_tables.fitting.intervals.pass_error`); None: as it was before.
            passes: behind each of `measured_ms`.

        Raises:
            BadTable: there are no anchors.
            MissingOperators: the table cannot predict one of them.
        """
        error = self.calibration.pass_error if pass_error is None else pass_error
        sums = [self.anchors.get(name) or self._anchor_sum(specs) for name, specs in networks.items()]
        anchors = together(sums, [measured_ms[name] for name in networks], error, passes)
        return replace(self, calibration=calibrate(anchors))

    def _anchor_sum(self, specs: Sequence[OpSpec]) -> AnchorSum:
        """Of a network that the figures know nothing of."""
        total, variance, growth = self._add_up(Counter(self.units_of(specs)))
        in_context = float(self.sizes.in_context(np.array([total]), np.array([growth]))[0])
        return AnchorSum(in_context, in_context, variance)

    def _split(self, specs: Sequence[OpSpec]) -> list[tuple[str, int]]:
        units, missing = self._units.split(specs)
        if missing:
            raise MissingOperators(list(map(str, missing)), self.table)
        return units
