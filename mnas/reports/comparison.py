"""Compares networks with baselines at equal latency, claims nothing smaller than the bars. Reads no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Literal

Verdict = Literal[
    "higher", "lower", "no difference larger than the bars", "no bars", "no baseline at this latency"
]


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its error bar: `low <= middle <= high`."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Rated:
    """A measured network.

    Attributes:
        accuracy: mean and range over the seeds, shares from 0 to 1.
        latency_ms: median and quartiles.
        seeds: number of seeds behind `accuracy`; with one there is no bar.
    """

    name: str
    accuracy: Bar
    latency_ms: Bar
    seeds: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A network beside the baselines at its own measured latency.

    Attributes:
        baseline: the baselines' accuracy at that latency; None beyond the latencies they span.
        difference: the network's accuracy less the baselines'; None likewise.
        verdict: `higher` and `lower` only where the bars do not overlap.
    """

    network: Rated
    baseline: Bar | None
    difference: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's rank correlation of `n` pairs; None where it is undefined, with the reason."""

    spearman: float | None
    n: int
    reason: str | None = None


def compare(network: Rated, baselines: Sequence[Rated]) -> Comparison:
    """Set a network beside the baselines at equal latency.

    The baselines' accuracy between two of them is read off the straight line that joins them; nothing is
    extrapolated. Their bar covers the network's whole latency bar, so that uncertain latencies widen it.
    """
    baseline = accuracy_at(baselines, network.latency_ms)
    if baseline is None:
        return Comparison(network, None, None, "no baseline at this latency")
    return Comparison(
        network, baseline, network.accuracy.middle - baseline.middle, _verdict(network, baselines, baseline)
    )


def _verdict(network: Rated, baselines: Sequence[Rated], baseline: Bar) -> Verdict:
    if min(network.seeds, *(other.seeds for other in baselines)) < 2:
        return "no bars"
    if network.accuracy.low > baseline.high:
        return "higher"
    if network.accuracy.high < baseline.low:
        return "lower"
    return "no difference larger than the bars"


def accuracy_at(baselines: Sequence[Rated], latency_ms: Bar) -> Bar | None:
    """The baselines' accuracy at a latency, by straight lines between neighbours; None beyond their range."""
    line = sorted(baselines, key=lambda baseline: (baseline.latency_ms.middle, baseline.accuracy.middle))
    if not line or not line[0].latency_ms.middle <= latency_ms.middle <= line[-1].latency_ms.middle:
        return None
    middle = _between(line, latency_ms.middle)
    corners = [
        middle,
        *(
            _between(line, min(max(edge, line[0].latency_ms.low), line[-1].latency_ms.high))
            for edge in _edges(latency_ms)
        ),
        *(
            other.accuracy
            for other in line
            if other.latency_ms.high >= latency_ms.low and other.latency_ms.low <= latency_ms.high
        ),
    ]
    return Bar(min(bar.low for bar in corners), middle.middle, max(bar.high for bar in corners))


def _edges(bar: Bar) -> tuple[float, float]:
    return bar.low, bar.high


def _between(line: Sequence[Rated], latency_ms: float) -> Bar:
    if latency_ms <= line[0].latency_ms.middle:
        return line[0].accuracy
    for left, right in pairwise(line):
        start, end = left.latency_ms.middle, right.latency_ms.middle
        if latency_ms <= end:
            share = (latency_ms - start) / (end - start) if end > start else 1.0
            low, middle, high = (
                before + share * (after - before)
                for before, after in zip(_corners(left.accuracy), _corners(right.accuracy), strict=True)
            )
            return Bar(low, middle, high)
    return line[-1].accuracy


def _corners(bar: Bar) -> tuple[float, float, float]:
    return bar.low, bar.middle, bar.high


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> RankCorrelation:
    """Spearman's rank correlation of search accuracy and final accuracy, ties given their mean rank."""
    if len(pairs) < 3:
        return RankCorrelation(None, len(pairs), "needs at least three networks")
    if any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return RankCorrelation(None, len(pairs), "one side is constant")
    from scipy.stats import spearmanr

    value = float(spearmanr(*zip(*pairs, strict=True)).statistic)
    return RankCorrelation(value if isfinite(value) else None, len(pairs))
