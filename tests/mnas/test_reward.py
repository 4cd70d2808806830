import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.reward import MnasReward

shares = st.floats(0, 1)
latencies = st.floats(0.01, 1e4)


def test_numbers_worked_out_by_hand() -> None:
    soft = MnasReward.soft(20)
    assert soft(0.75, 20) == 0.75
    assert soft(0.75, 40) == pytest.approx(0.75 * 0.952638, abs=1e-6)  # 2 ** -0.07
    assert soft(0.75, 10) == pytest.approx(0.75 * 1.049717, abs=1e-6)  # 2 ** 0.07
    hard = MnasReward.hard(20)
    assert hard(0.75, 5) == 0.75
    assert hard(0.75, 20) == 0.75
    assert hard(0.75, 40) == 0.375


def test_twice_the_latency_is_worth_five_percent() -> None:
    assert MnasReward.soft(80)(0.6, 80) == pytest.approx(
        float(MnasReward.soft(80)(0.6 * 1.05, 160)), rel=2e-3
    )


def test_is_vectorised_and_broadcasts() -> None:
    rewards = MnasReward.hard(10)(np.array([[0.5], [0.8]]), np.array([5.0, 10.0, 20.0]))
    np.testing.assert_allclose(rewards, [[0.5, 0.5, 0.25], [0.8, 0.8, 0.4]])


@given(shares, latencies, latencies, latencies)
def test_slower_is_never_better(share: float, target: float, one: float, other: float) -> None:
    for reward in (MnasReward.soft(target), MnasReward.hard(target)):
        assert reward(share, max(one, other)) <= reward(share, min(one, other))


@given(shares, shares, latencies, latencies)
def test_more_accurate_is_never_worse(one: float, other: float, target: float, latency: float) -> None:
    for reward in (MnasReward.soft(target), MnasReward.hard(target)):
        assert reward(min(one, other), latency) <= reward(max(one, other), latency)


@pytest.mark.parametrize("target", [0, -1, math.nan, math.inf])
def test_refuses_targets(target: float) -> None:
    with pytest.raises(BadInput, match="target_ms"):
        MnasReward.soft(target)


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, -1), (0, 0.5), (math.nan, 0)])
def test_refuses_exponents_that_favour_the_slow(alpha: float, beta: float) -> None:
    with pytest.raises(BadInput, match="0 or less"):
        MnasReward(10, alpha, beta)


@pytest.mark.parametrize("share", [75.0, -0.1, math.nan, [0.5, 1.01]])
def test_refuses_accuracies_in_percent(share: float | list[float]) -> None:
    with pytest.raises(BadInput, match="not percent"):
        MnasReward.soft(10)(share, 10)


@pytest.mark.parametrize("latency", [0.0, -3, math.nan, math.inf, [1, 0]])
def test_refuses_latencies(latency: float | list[float]) -> None:
    with pytest.raises(BadInput, match="milliseconds"):
        MnasReward.soft(10)(0.5, latency)
