from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.fitting.context import MARGIN, SAME_SIZE, Sizes, Times, fit_context

#: true exponents of three kinds
EXPONENTS = np.array([0.05, 0.3, 0.0])


def world(
    networks: int, passes: int, seed: int, exponents: np.ndarray = EXPONENTS
) -> tuple[Times, np.ndarray, np.ndarray]:
    """Times of 60 units of three kinds in random networks, each burst at its own speed; units, speeds."""
    rng = np.random.default_rng(seed)
    units = rng.uniform(0.02, 0.3, 60)
    kinds = np.arange(60) % 3
    members = [rng.choice(60, size=rng.integers(8, 50), replace=False) for _ in range(networks)]
    sizes = np.array([units[one].sum() for one in members])
    typical = np.exp(np.median(np.log(sizes)))
    speeds = rng.normal(1, 0.05, (networks, passes))
    rows = []
    for network, one in enumerate(members):
        factor = (sizes[network] / typical) ** exponents[kinds[one]]
        for index in range(passes):
            times = units[one] * factor * speeds[network, index] * rng.normal(1, 0.02, len(one))
            rows += [
                (unit, network, network * passes + index, ms) for unit, ms in zip(one, times, strict=True)
            ]
    columns = np.array(rows).T
    codes = columns[:3].astype(np.int64)
    return Times(codes[0], codes[1], codes[2], columns[3], np.ones(len(rows)), kinds), units, speeds


def test_exponents_of_kinds_are_found_under_moving_speeds() -> None:
    times, units, _ = world(40, 3, seed=1)
    found = fit_context(times)
    by_kind = [found.exponents[times.kinds == kind] for kind in range(3)]
    assert all(np.ptp(one) == 0 for one in by_kind)
    np.testing.assert_allclose([one[0] for one in by_kind], EXPONENTS, atol=0.03)
    figures = np.array([np.median(found.typical_ms[times.units == unit]) for unit in range(60)])
    ratios = figures / units
    assert np.std(ratios / np.median(ratios)) < 0.02  # less than a burst's speed moves


def test_few_networks_of_one_size_leave_exponents_near_none() -> None:
    times, _, _ = world(2, 2, seed=3)
    assert np.abs(fit_context(times).exponents).max() < 0.1


def test_times_that_do_not_depend_on_the_network_have_no_exponents() -> None:
    times, _, _ = world(40, 3, seed=2, exponents=np.zeros(3))
    assert np.abs(fit_context(times).exponents).max() < 0.02


SIZES = Sizes(4.0, 1.0, 16.0)
SUMS = st.lists(st.floats(0.01, 100), min_size=1, max_size=5)


@given(SUMS, st.floats(-0.2, 0.5))
def test_one_exponent_is_a_power_of_the_size_within_what_was_seen(sums: list[float], exponent: float) -> None:
    array = np.array(sums)
    expected = array * (np.clip(array, 1.0, 16.0) / 4.0) ** exponent
    np.testing.assert_allclose(SIZES.in_context(array, exponent * array), expected, rtol=1e-12)


@given(SUMS, st.floats(0, 0.5))
def test_without_a_typical_size_sums_are_as_they_are(sums: list[float], exponent: float) -> None:
    array = np.array(sums)
    assert SAME_SIZE.in_context(array, exponent * array).tolist() == sums
    assert SIZES.in_context(np.array([4.0]), np.array([exponent])).tolist() == [4.0]


@given(st.floats(0.01, 100), st.floats(1.0001, 2), st.floats(0, 0.5))
def test_a_network_of_more_of_the_same_takes_longer(sum_ms: float, more: float, exponent: float) -> None:
    sums = np.array([sum_ms, sum_ms * more])
    small, large = SIZES.in_context(sums, exponent * sums)
    assert small < large


def test_nothing_takes_no_time_and_no_error() -> None:
    assert SIZES.in_context(np.zeros(1), np.zeros(1)).tolist() == [0.0]
    zeros = Times(*(np.zeros(2, np.int64),) * 2, np.arange(2), np.zeros(2), np.ones(2), np.zeros(1, np.int64))
    assert fit_context(zeros).sizes == SAME_SIZE


def test_sizes_are_those_of_the_networks() -> None:
    times, units, _ = world(30, 2, seed=5, exponents=np.zeros(3))
    found = fit_context(times).sizes
    true = np.bincount(times.networks[times.bursts % 2 == 0], units[times.units[times.bursts % 2 == 0]])
    assert found.least_ms * MARGIN == pytest.approx(true.min(), rel=0.06)
    assert found.most_ms / MARGIN == pytest.approx(true.max(), rel=0.06)
