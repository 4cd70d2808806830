from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.judging.scores import intervals, noise, score


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.5, 2.0)), min_size=1, max_size=20))
def test_shares_and_errors_agree(pairs):
    result = score([ms * off for ms, off in pairs], [ms for ms, _ in pairs])
    assert result.networks == len(pairs)
    assert 0 <= result.within_5_percent <= result.within_10_percent <= 100
    assert result.mape_percent >= (100 - result.within_10_percent) * 0.099
    assert abs(result.bias_percent) <= result.worst_percent * 1.0001
    assert result.mape_percent <= result.worst_percent * 1.0001
    for rank in (result.spearman, result.kendall):
        assert rank is None or -1.0000001 <= rank <= 1.0000001


def test_known_figures():
    result = score([11.0, 19.0, 30.0, 44.0], [10.0, 20.0, 30.0, 40.0])
    assert result.mape_percent == pytest.approx((10 + 5 + 0 + 10) / 4)
    assert result.bias_percent == pytest.approx(5.0)
    assert result.worst_percent == pytest.approx(10.0)
    assert result.within_5_percent == 50
    assert (result.spearman, result.kendall) == (pytest.approx(1.0), pytest.approx(1.0))


def test_ranks_of_one_swap():
    result = score([2.0, 1.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert result.spearman == pytest.approx(0.8)
    assert result.kendall == pytest.approx(2 / 3)


@pytest.mark.parametrize("measured", [[1.0, 2.0], [3.0, 3.0, 3.0]])
def test_two_networks_or_all_alike_have_no_rank_correlation(measured):
    result = score([float(number + 1) for number in range(len(measured))], measured)
    assert (result.spearman, result.kendall) == (None, None)


def test_the_noise_floor_is_the_second_instance_against_the_first():
    assert noise([1.1, 1.0], [1.0, 1.25]).floor_percent == pytest.approx((10 + 20) / 2)


def test_a_perfect_predictor_is_off_by_half_the_noise_floor_and_needs_no_more_than_its_width():
    rng = np.random.default_rng(0)
    true = np.linspace(1, 50, 4000)
    first, second = true * rng.normal(1, 0.03, (2, 4000))
    measured = (first + second) / 2
    found = noise(first, second)
    assert score(true, measured).mape_percent == pytest.approx(found.floor_percent / 2, rel=0.05)
    half = found.perfect_width_percent / 200
    perfect = intervals(true * (1 - half), true * (1 + half), measured, found.perfect_width_percent)
    assert perfect.coverage_percent == pytest.approx(90, abs=1.5)
    assert perfect.width_ratio == pytest.approx(1, abs=0.01)
    # of a normal distribution it is known: 2 x 1.645 standard deviations of a mean of two
    assert found.perfect_width_percent == pytest.approx(2 * 1.645 * 3 / 2**0.5, rel=0.05)


def test_an_end_of_an_interval_belongs_to_it():
    found = intervals([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 2.0, 2.1], 25.0)
    assert (found.networks, found.held) == (3, 2)
    assert found.coverage_percent == pytest.approx(200 / 3)
    assert found.width_percent == pytest.approx(100 * (1 / 1 + 1 / 2 + 1 / 2.1) / 3)
    assert found.width_ratio == pytest.approx(found.width_percent / 25)


def test_without_noise_there_is_no_ratio():
    found = noise([1.0, 2.0], [1.0, 2.0])
    assert (found.floor_percent, found.perfect_width_percent) == (0, 0)
    assert intervals([0.9], [1.1], [1.0], found.perfect_width_percent).width_ratio is None
