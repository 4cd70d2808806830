from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.reports.comparison import Bar, Rated, accuracy_at, compare, rank_correlation


def rated(
    accuracy: float, latency_ms: float, *, bar: float = 0.0, spread_ms: float = 0.0, seeds: int = 3
) -> Rated:
    return Rated(
        "net",
        Bar(accuracy - bar, accuracy, accuracy + bar),
        Bar(latency_ms - spread_ms, latency_ms, latency_ms + spread_ms),
        seeds,
    )


BASELINES = (rated(0.80, 1.0, bar=0.01), rated(0.90, 3.0, bar=0.01))


def test_a_baseline_between_two_is_read_off_the_line() -> None:
    found = accuracy_at(BASELINES, Bar(2.0, 2.0, 2.0))
    assert found is not None
    assert found.middle == pytest.approx(0.85)
    assert (found.low, found.high) == pytest.approx((0.84, 0.86))


@pytest.mark.parametrize("latency_ms", [0.99, 3.01])
def test_nothing_is_extrapolated(latency_ms: float) -> None:
    found = compare(rated(0.99, latency_ms), BASELINES)
    assert (found.baseline, found.difference) == (None, None)
    assert found.verdict == "no baseline at this latency"


@pytest.mark.parametrize(
    ("accuracy", "bar", "verdict"),
    [
        (0.88, 0.01, "higher"),
        (0.82, 0.01, "lower"),
        (0.865, 0.01, "no difference larger than the bars"),
        (0.845, 0.01, "no difference larger than the bars"),
        (0.88, 0.03, "no difference larger than the bars"),
    ],
)
def test_a_difference_smaller_than_the_bars_is_not_claimed(accuracy: float, bar: float, verdict: str) -> None:
    found = compare(rated(accuracy, 2.0, bar=bar), BASELINES)
    assert found.verdict == verdict
    assert found.difference == pytest.approx(accuracy - 0.85)


def test_an_uncertain_latency_widens_the_baselines_bar() -> None:
    assert compare(rated(0.88, 2.0), BASELINES).verdict == "higher"
    assert compare(rated(0.88, 2.0, spread_ms=0.9), BASELINES).verdict == "no difference larger than the bars"


def test_a_baseline_whose_latency_bar_overlaps_counts_whole() -> None:
    steep = (rated(0.80, 1.0), rated(0.99, 2.05, spread_ms=0.1))
    found = accuracy_at(steep, Bar(1.9, 2.0, 2.0))
    assert found is not None
    assert found.high == pytest.approx(0.99)


def test_one_seed_gives_no_bar_and_no_claim() -> None:
    assert compare(rated(0.99, 2.0, seeds=1), BASELINES).verdict == "no bars"
    single = (rated(0.80, 1.0, seeds=1), rated(0.90, 3.0))
    assert compare(rated(0.99, 2.0), single).verdict == "no bars"


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=6),
    st.floats(0.1, 10),
    st.floats(0, 0.09),
)
def test_the_bar_contains_the_line_and_stays_within_the_baselines(
    points: list[tuple[float, float]], latency_ms: float, spread_ms: float
) -> None:
    baselines = [rated(*point) for point in points]
    found = accuracy_at(baselines, Bar(latency_ms - spread_ms, latency_ms, latency_ms + spread_ms))
    latencies = [latency for _, latency in points]
    assert (found is None) == (not min(latencies) <= latency_ms <= max(latencies))
    if found is not None:
        accuracies = [accuracy for accuracy, _ in points]
        assert min(accuracies) - 1e-9 <= found.low <= found.middle <= found.high <= max(accuracies) + 1e-9


def test_rank_correlation() -> None:
    assert rank_correlation([(1, 10), (2, 20), (3, 30), (4, 40)]).spearman == pytest.approx(1)
    assert rank_correlation([(1, 30), (2, 20), (3, 10)]).spearman == pytest.approx(-1)
    found = rank_correlation([(1, 1), (2, 3), (3, 2), (4, 4)])
    assert found.n == 4
    assert found.spearman == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "at least three"),
        ([(1, 1), (2, 2)], "at least three"),
        ([(1, 5), (2, 5), (3, 5)], "constant"),
    ],
)
def test_a_correlation_that_is_not_there_has_a_reason(pairs: list[tuple[float, float]], reason: str) -> None:
    found = rank_correlation(pairs)
    assert found.spearman is None
    assert found.n == len(pairs)
    assert reason in (found.reason or "")


def test_a_correlation_is_a_figure() -> None:
    found = rank_correlation([(0.1, 0.2), (0.3, 0.1), (0.2, 0.2)])
    assert found.spearman is not None
    assert math.isfinite(found.spearman)
