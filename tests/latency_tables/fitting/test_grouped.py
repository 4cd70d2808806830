from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.fitting.grouped import (
    deviations,
    medians,
    quantiles,
    runs,
    trimmed_means,
    weighted_medians,
)

ROWS = st.lists(st.tuples(st.integers(0, 4), st.floats(-1e3, 1e3)), min_size=1, max_size=40)


def arrays(rows: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([group for group, _ in rows], np.int64), np.array([value for _, value in rows])


@given(ROWS, st.floats(0, 1))
def test_quantiles_are_those_of_each_group(rows: list[tuple[int, float]], share: float) -> None:
    groups, values = arrays(rows)
    found = quantiles(groups, values, 6, share)
    for group in range(6):
        mine = values[groups == group]
        expected = np.quantile(mine, share) if len(mine) else 0.0
        assert found[group] == pytest.approx(expected, abs=1e-9)


@given(ROWS)
def test_medians_and_deviations_are_those_of_each_group(rows: list[tuple[int, float]]) -> None:
    groups, values = arrays(rows)
    middle, spread = medians(groups, values, 5), deviations(groups, values, 5)
    for group in range(5):
        mine = values[groups == group]
        assert middle[group] == pytest.approx(np.median(mine) if len(mine) else 0.0, abs=1e-9)
        if len(mine) > 1:
            assert spread[group] == pytest.approx(np.std(mine, ddof=1), abs=1e-9)
        else:
            assert np.isnan(spread[group])


@given(ROWS)
def test_trimmed_means_leave_a_tenth_out_at_either_end_and_one_at_least(
    rows: list[tuple[int, float]],
) -> None:
    groups, values = arrays(rows)
    found = trimmed_means(groups, values, 5)
    for group in range(5):
        mine = np.sort(values[groups == group])
        cut = 0 if len(mine) < 3 else int(np.ceil(len(mine) / 10))
        expected = np.mean(mine[cut : len(mine) - cut]) if len(mine) else 0.0
        assert found[group] == pytest.approx(expected, abs=1e-9)


@given(ROWS)
def test_with_equal_weights_half_of_a_group_is_at_most_its_median(rows: list[tuple[int, float]]) -> None:
    groups, values = arrays(rows)
    found = weighted_medians(groups, values, np.ones(len(values)))
    for group in set(groups.tolist()):
        mine = np.sort(values[groups == group])
        assert found[group] == mine[(len(mine) - 1) // 2]


def test_weights_count() -> None:
    groups = np.zeros(3, np.int64)
    assert weighted_medians(groups, np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0])).tolist() == [3.0]


def test_runs_of_equal_rows() -> None:
    starts, sizes = runs(np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 8, 8]))
    assert (starts.tolist(), sizes.tolist()) == ([0, 2, 3], [2, 1, 2])
