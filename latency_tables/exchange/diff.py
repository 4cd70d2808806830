"""Two tables beside each other: what either lacks, and by how much their figures differ. Opens no table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.errors import BadTable
from latency_tables.predict import Predictor
from latency_tables.units import kind_of

#: a figure has changed when it is off by more than this, and by more than its uncertainty explains
THRESHOLD_PERCENT = 5.0
#: standard errors of a ratio that chance may explain: of a thousand operators one or two are farther off
CHANCE = 3.0


@dataclass(frozen=True, slots=True)
class Latency:
    """What a unit adds to the predicted latency of a network of typical size.

    Attributes:
        std_error_ms: None if unknown.
    """

    latency_ms: float
    std_error_ms: float | None


@dataclass(frozen=True, slots=True)
class UnitChange:
    """One unit in both tables.

    Attributes:
        ratio: second over first.
        ratio_error: relative standard error of the ratio; None where a table does not know its own.
        changed: off by more than the threshold and more than `CHANCE` standard errors.
    """

    unit: str
    first_ms: float
    second_ms: float
    ratio: float
    ratio_error: float | None
    changed: bool


@dataclass(frozen=True, slots=True)
class KindChange:
    """All units of one kind that both tables have.

    Attributes:
        ratio: of their sums, second over first: large ones count most.
        median_ratio: each unit counts the same.
        low_ratio: a tenth of the units lies below.
        high_ratio: a tenth lies above.
    """

    kind: str
    units: int
    changed: int
    ratio: float
    median_ratio: float
    low_ratio: float
    high_ratio: float


@dataclass(frozen=True, slots=True)
class TableChange:
    """Two tables compared.

    Attributes:
        ratio: of the sums of all common units, second over first; None where they have none in common.
        units: the common ones, the largest change first.
        only_first: units that the second table lacks.
        only_second: units that the first one lacks.
    """

    ratio: float | None
    kinds: tuple[KindChange, ...]
    units: tuple[UnitChange, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    threshold_percent: float

    @property
    def changed(self) -> int:
        """Common units that have changed."""
        return sum(one.changed for one in self.units)

    @property
    def same(self) -> bool:
        """Whether nothing is missing on either side and no unit has changed."""
        return not (self.only_first or self.only_second or self.changed)


def latencies(predictor: Predictor) -> dict[str, Latency]:
    """What each unit of a table adds to the predicted latency of a network of typical size."""
    scale = predictor.scale
    return {
        unit: Latency(
            predictor.unit_ms(unit) * scale,
            None if figure.std_error_ms is None else math.sqrt(predictor.variance_ms2(unit)) * scale,
        )
        for unit, figure in predictor.figures.items()
    }


def diff(
    first: Mapping[str, Latency],
    second: Mapping[str, Latency],
    threshold_percent: float = THRESHOLD_PERCENT,
) -> TableChange:
    """Compare two tables' units.

    Args:
        first: by unit, the older or the reference.
        second: by unit.
        threshold_percent: changes up to this are none.

    Raises:
        BadTable: the threshold is negative, or both tables are empty.
    """
    if not 0 <= threshold_percent < math.inf:
        raise BadTable(f"a threshold of {threshold_percent} %; it must be 0 or more")
    if not first and not second:
        raise BadTable("neither table has a figure: there is nothing to compare")
    common = [unit for unit in first if unit in second]
    changes = [_change(unit, first[unit], second[unit], threshold_percent) for unit in common]
    by_kind: dict[str, list[UnitChange]] = defaultdict(list)
    for change in changes:
        by_kind[kind_of(change.unit)].append(change)
    return TableChange(
        ratio=_ratio_of_sums(changes) if changes else None,
        kinds=tuple(_kind(kind, by_kind[kind]) for kind in sorted(by_kind)),
        units=tuple(sorted(changes, key=lambda one: (-abs(math.log(one.ratio)), one.unit))),
        only_first=tuple(unit for unit in first if unit not in second),
        only_second=tuple(unit for unit in second if unit not in first),
        threshold_percent=threshold_percent,
    )


def _change(unit: str, first: Latency, second: Latency, threshold_percent: float) -> UnitChange:
    ratio = second.latency_ms / first.latency_ms
    error = None
    if first.std_error_ms is not None and second.std_error_ms is not None:
        error = math.hypot(first.std_error_ms / first.latency_ms, second.std_error_ms / second.latency_ms)
    off = abs(math.log(ratio))
    changed = off > math.log1p(threshold_percent / 100) and off > CHANCE * (error or 0.0)
    return UnitChange(unit, first.latency_ms, second.latency_ms, ratio, error, changed)


def _ratio_of_sums(changes: Sequence[UnitChange]) -> float:
    return sum(one.second_ms for one in changes) / sum(one.first_ms for one in changes)


def _kind(kind: str, changes: Sequence[UnitChange]) -> KindChange:
    low, middle, high = np.quantile([one.ratio for one in changes], (0.1, 0.5, 0.9))
    return KindChange(
        kind=kind,
        units=len(changes),
        changed=sum(one.changed for one in changes),
        ratio=_ratio_of_sums(changes),
        median_ratio=float(middle),
        low_ratio=float(low),
        high_ratio=float(high),
    )
