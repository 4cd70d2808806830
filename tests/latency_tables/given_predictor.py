"""Predictors whose figures are made up, for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from latency_tables.figures import Figure
from latency_tables.fitting.calibration import Calibration
from latency_tables.ops import OpSpec
from latency_tables.predict import Predictor


def known(latencies_ms: Mapping[str, float], scale: float, table: str) -> Predictor:
    """A predictor of units whose latencies are given as they are, without any error."""
    figures = {
        unit: Figure(unit, ms, None, None, "imported", None, 0, 0, None, None)
        for unit, ms in latencies_ms.items()
    }
    return Predictor(figures, Calibration("scale", scale), table)


def sum_variance_ms2(predictor: Predictor, specs: Sequence[OpSpec]) -> float:
    """The variance of a network's plain sum, by the standard errors of its units."""
    counts = Counter(predictor.units_of(specs))
    return sum(count**2 * predictor.variance_ms2(unit) for unit, count in counts.items())
