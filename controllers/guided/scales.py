"""The study's objectives: which are known, which are predicted, in which units. Fits nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.guided.encoding import Floats
from controllers.problem import Known

#: quartile distances from the median beyond which a value says no more than that it is bad
OUTLYING = 4.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Turns values into units that have a spread of about 1.

    Attributes:
        log: whether their logarithms count: twice the latency is as far from 10 ms as from 100 ms.
        low: smallest value that counts as it is, after the logarithm.
        high: largest.
        center: what becomes 0.
        spread: what becomes 1.
    """

    log: bool
    low: float
    high: float
    center: float
    spread: float

    @staticmethod
    def of(values: Floats, *, log: bool, clip_low: bool = False, clip_high: bool = False) -> Scale:
        """The scale of values [n], n at least 1; `log` is dropped where one of them is not positive."""
        log = log and bool(np.all(values > 0))
        if log:
            values = np.log(values)
        first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
        reach = OUTLYING * (third - first) if third > first else np.inf
        low = float(median - reach) if clip_low else -np.inf
        high = float(median + reach) if clip_high else np.inf
        values = np.clip(values, low, high)
        spread = float(values.std())
        return Scale(log, low, high, float(values.mean()), spread if spread > 1e-12 else 1.0)

    def __call__(self, values: Floats) -> Floats:
        """Values in these units."""
        if self.log:
            values = np.log(np.maximum(values, 1e-300))
        found: Floats = (np.clip(values, self.low, self.high) - self.center) / self.spread
        return found


@dataclass(frozen=True, slots=True)
class Objectives:
    """Which of the study's objectives is what.

    Attributes:
        primary: the one whose improvement is expected in closed form; of those that are not known, the first.
        others: the rest.
        columns: for each of the others its column among the known figures; None if it is predicted, too.
    """

    primary: int
    others: tuple[int, ...]
    columns: tuple[int | None, ...]

    @staticmethod
    def of(count: int, known: Known | None) -> Objectives:
        """The roles of a study's objectives. If all are known, the first is predicted all the same."""
        at: Mapping[int, int] = (
            {}
            if known is None
            else {
                place: column
                for column, place in enumerate(known.objectives)
                if place is not None and place < count
            }
        )
        primary = next((place for place in range(count) if place not in at), 0)
        others = tuple(place for place in range(count) if place != primary)
        return Objectives(primary, others, tuple(at.get(place) for place in others))

    @property
    def predicted(self) -> tuple[int, ...]:
        """Those that a surrogate is fitted to, the primary first."""
        rest = zip(self.others, self.columns, strict=True)
        return (self.primary, *(place for place, column in rest if column is None))

    def scale(self, place: int, costs: Floats) -> Scale:
        """The scale of a predicted objective's costs [n]: what is far worse than the rest is cut off."""
        return Scale.of(costs, log=place != self.primary, clip_high=True)


def front(costs: Floats) -> NDArray[np.bool_]:
    """Which rows of costs [n, m] no other row dominates, in time proportional to n times those."""
    found = np.zeros(len(costs), bool)
    left = np.lexsort(costs.T[::-1]) if costs.shape[1] else np.arange(len(costs))
    while len(left):  # none of those left dominates the first of them
        best, others = costs[left[0]], costs[left]
        same = np.all(others == best, axis=1)
        same[0] = True  # also what is no number
        found[left[same]] = True
        left = left[~same & np.any(others < best, axis=1)]
    return found
