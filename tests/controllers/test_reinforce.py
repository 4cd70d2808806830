from functools import partial
from typing import Any

import numpy as np
import pytest

from controllers.algorithm import Turn
from controllers.errors import BadSetting
from controllers.policies.independent import Independent
from controllers.policies.policy import decide
from controllers.policy_gradient import PolicyGradient
from controllers.problem import Problem
from controllers.registry import describe
from controllers.reinforce import reinforce, score
from tests.controllers.separable import Separable, beats_random, problem, searched


def make(space: Problem, seed: int, **changes: Any) -> PolicyGradient:
    return reinforce(space, seed, **{**describe("reinforce").settings, **changes})


def test_the_score_is_unbiased() -> None:
    """Over all points, weighed by probability: the slope of the expected reward, whatever the baseline."""
    sizes = (3, 2, 2)
    policy = Independent(sizes, dtype=np.float64)
    policy.parameters[:] = np.random.default_rng(0).normal(size=policy.parameters.size)
    points = np.array(list(np.ndindex(sizes)))
    rewards = np.random.default_rng(1).normal(size=len(points))
    decisions = decide(policy, points)
    probabilities = np.exp(decisions.log_probabilities.sum(axis=1))

    def expected(at: int, step: float) -> float:
        policy.parameters[at] += step
        found = np.exp(decide(policy, points).log_probabilities.sum(axis=1)) @ rewards
        policy.parameters[at] -= step
        return float(found)

    for baseline in (0.0, 5.0):
        advantages = (rewards - baseline)[:, None]
        slopes = score(decisions.log_probabilities, decisions.log_probabilities, advantages)
        gradient = decisions.gradient(slopes * probabilities[:, None], 0.0)
        for at in range(policy.parameters.size):
            assert gradient[at] == pytest.approx((expected(at, 1e-5) - expected(at, -1e-5)) / 2e-5, abs=1e-8)


def test_it_beats_random_on_a_separable_function_with_the_other_policy() -> None:
    """With its own in test_contract.py."""
    assert beats_random(partial(make, policy="independent"), trials=100) < 0.01


def test_it_repeats_by_its_seed_and_differs_between_seeds() -> None:
    space = problem(6)
    values = [searched(make(space, seed), Separable(0, 6), 30, 0, space.sizes) for seed in (1, 1, 2)]
    assert values[0] == values[1]
    assert values[0] != values[2]


def test_gain_is_that_of_the_policy_unless_told() -> None:
    """None of the recurrent policy, as in the paper; 60 of the independent one."""
    space = problem(6)
    for policy, own in (("recurrent", 0.0), ("independent", 60.0)):
        values = [
            searched(make(space, 0, policy=policy, gain=gain), Separable(0, 6), 30, 0, space.sizes)
            for gain in (-1.0, own, 5.0)
        ]
        assert values[0] == values[1]
        assert values[0] != values[2]


def test_a_space_of_one_point_is_no_trouble() -> None:
    algorithm = make(problem(2, 1), 0)
    searched(algorithm, lambda point: 1.0, 5, 0, (1, 1))
    assert algorithm.propose(Turn(np.random.default_rng(0), 5, (), {(0, 0)})) == (0, 0)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(BadSetting, match="batch of reinforce is 0; it must be 1 to 1000"):
        make(problem(), 0, batch=0)
    with pytest.raises(BadSetting, match="policy of reinforce is 'lstm'; allowed: recurrent, independent"):
        make(problem(), 0, policy="lstm")
