"""How predicted latencies agree with measured ones: errors, ranks, intervals, noise. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: the share of measured latencies that an interval is to hold
PROMISED = 0.90
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Predicted against measured, over some networks. Percents are of the measured latency.

    Attributes:
        mape_percent: mean absolute error.
        bias_percent: median error with its sign: what all networks have in common.
        worst_percent: largest absolute error.
        within_5_percent: percent of the networks whose error is at most 5 %.
        within_10_percent: likewise, 10 %.
        spearman: rank correlation; None for fewer than three networks, or where all are alike.
        kendall: likewise, tau-b.
    """

    networks: int
    mape_percent: float
    bias_percent: float
    worst_percent: float
    within_5_percent: float
    within_10_percent: float
    spearman: float | None
    kendall: float | None


@dataclass(frozen=True, slots=True)
class Noise:
    """What the networks differ from themselves, measured twice in the same run.

    The two instances of a network have the same operators, other weights and another place in memory. Errors
    are told from both together, which lie closer to the truth than either: so a perfect predictor's
    `mape_percent` is about half the floor, not zero and not all of it.

    Attributes:
        floor_percent: mean absolute difference of the two instances, in percent of the second.
        perfect_width_percent: how wide the intervals of a perfect predictor would have to be, in percent of
            the latency, to hold `PROMISED` of the measurements: twice that quantile of half the differences.
    """

    floor_percent: float
    perfect_width_percent: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """Whether predicted intervals hold what was measured.

    Attributes:
        held: networks whose measured latency lies within its interval.
        coverage_percent: percent of the networks.
        width_percent: mean width, in percent of the measured latency.
        width_ratio: that over a perfect predictor's width; None where nothing differs from itself.
    """

    networks: int
    held: int
    coverage_percent: float
    width_percent: float
    width_ratio: float | None


def score(predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> Scores:
    """The figures of some networks, at least one; both in the same order."""
    predicted, measured = np.asarray(predicted_ms, float), np.asarray(measured_ms, float)
    errors = (predicted - measured) / measured * 100
    size = np.abs(errors)
    return Scores(
        networks=len(errors),
        mape_percent=float(np.mean(size)),
        bias_percent=float(np.median(errors)),
        worst_percent=float(np.max(size)),
        within_5_percent=float(np.mean(size <= 5) * 100),
        within_10_percent=float(np.mean(size <= 10) * 100),
        spearman=_rank_correlation("spearmanr", predicted, measured),
        kendall=_rank_correlation("kendalltau", predicted, measured),
    )


def noise(first_ms: Sequence[float], second_ms: Sequence[float]) -> Noise:
    """The noise of networks measured as two instances each, at least one network."""
    first, second = np.asarray(first_ms, float), np.asarray(second_ms, float)
    halves = np.abs(first - second) / (first + second)
    return Noise(
        floor_percent=float(np.mean(np.abs(first - second) / second) * 100),
        perfect_width_percent=float(200 * np.quantile(halves, PROMISED)),
    )


def intervals(
    low_ms: Sequence[float], high_ms: Sequence[float], measured_ms: Sequence[float], perfect_width: float
) -> Intervals:
    """How intervals held, of at least one network.

    Args:
        perfect_width: `Noise.perfect_width_percent` of the same run.
    """
    low, high, measured = (np.asarray(each, float) for each in (low_ms, high_ms, measured_ms))
    inside = (low <= measured) & (measured <= high)
    width = float(np.mean((high - low) / measured) * 100)
    return Intervals(
        networks=len(measured),
        held=int(np.sum(inside)),
        coverage_percent=float(np.mean(inside) * 100),
        width_percent=width,
        width_ratio=width / perfect_width if perfect_width > 0 else None,
    )


def _rank_correlation(name: str, first: Floats, second: Floats) -> float | None:
    from scipy import stats

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(getattr(stats, name)(first, second).statistic)
