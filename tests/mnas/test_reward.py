import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.reward import LARGEST, Exponents, MnasReward, Reward, exponent

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


def test_the_paper_s_rule_by_hand() -> None:
    assert exponent() == pytest.approx(-0.070389, abs=1e-6)  # -log 1.05 / log 2
    assert exponent(0.10, 2) == pytest.approx(-0.137504, abs=1e-6)
    assert exponent(0.05, 4) == pytest.approx(-0.035195, abs=1e-6)
    assert Exponents.of("soft") == Exponents(-0.07, -0.07)
    assert Exponents.of("hard") == Exponents(0.0, -1.0)
    assert Exponents.of("hard", beta=-2) == Exponents(0.0, -2)
    assert Exponents.of("soft", -0.1) == Exponents(-0.1, -0.07)


@given(st.floats(0.001, 0.5), st.floats(1.5, 100), latencies, latencies)
def test_the_rule_makes_the_gain_worth_the_cost(
    gain: float, times: float, target: float, latency: float
) -> None:
    weight = exponent(gain, times)
    reward = Reward({"ms": target}, Exponents(weight, weight))
    plain, dear = reward(0.1, {"ms": latency}), reward(0.1 * (1 + gain), {"ms": latency * times})
    assert dear == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize(("gain", "times"), [(0, 2), (-0.1, 2), (0.05, 1), (0.05, 0.5), (math.nan, 2)])
def test_a_rule_that_is_none_is_refused(gain: float, times: float) -> None:
    with pytest.raises(BadInput, match="above 0 and above 1"):
        exponent(gain, times)


def test_kinds_that_there_are_not() -> None:
    with pytest.raises(BadInput, match="'linear'; allowed: soft, hard"):
        Exponents.of("linear")
    with pytest.raises(BadInput, match="0 or less"):
        Exponents.of("soft", beta=0.5)


@given(shares, latencies, latencies)
def test_for_one_device_it_is_the_papers_reward(share: float, target: float, latency: float) -> None:
    for exponents, papers in (
        (Exponents.of("soft"), MnasReward.soft(target)),
        (Exponents.of("hard"), MnasReward.hard(target)),
    ):
        found = Reward({"ms": target}, exponents)(share, {"ms": latency})
        assert found == pytest.approx(float(papers(share, latency)), rel=1e-12)


def test_several_devices_multiply() -> None:
    reward = Reward({"pixel6": 20, "pi5": 80}, Exponents(0.0, -1.0))
    assert reward(0.8, {"pixel6": 40, "pi5": 80, "parameters": 1e6}) == pytest.approx(0.4)
    assert reward(0.8, {"pixel6": 40, "pi5": 160}) == pytest.approx(0.2)
    assert reward(0.8, {"pixel6": 10, "pi5": 40}) == 0.8
    assert Reward({}, Exponents.of("soft"))(0.8, {"pi5": 3}) == 0.8


def test_what_no_reward_can_be_made_of() -> None:
    reward = Reward({"pixel6": 20, "pi5": 80}, Exponents.of("soft"))
    with pytest.raises(BadInput, match="needs pi5; known are: pixel6"):
        reward(0.5, {"pixel6": 1})
    with pytest.raises(BadInput, match="not percent"):
        reward(50, {"pixel6": 1, "pi5": 1})
    for wrong in (0, -1, math.nan, math.inf):
        with pytest.raises(BadInput, match="must be above 0"):
            reward(0.5, {"pixel6": 1, "pi5": wrong})
        with pytest.raises(BadInput, match="target of pi5"):
            Reward({"pi5": wrong}, Exponents.of("soft"))


@pytest.mark.parametrize("ratio", [1e-310, 1e-3, 1e3, 1e300])
def test_whatever_the_exponents_a_reward_is_finite(ratio: float) -> None:
    reward = Reward({"a": 1e20, "b": 1.0}, Exponents(-1e3, -1e3))
    assert 0 <= reward(0.9, {"a": ratio, "b": ratio}) <= LARGEST
