from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.algorithm import Finished, Turn
from controllers.errors import BadSetting
from controllers.policies.policy import decide
from controllers.policies.recurrent import Recurrent
from controllers.policy_gradient import PolicyGradient
from controllers.ppo import RECIPES, clipped, objective, ppo
from controllers.problem import Problem
from controllers.registry import describe
from tests.controllers.separable import Separable, beats_random, problem, searched
from tests.controllers.test_policies import SIZES, numerical


def make(space: Problem, seed: int, **changes: Any) -> PolicyGradient:
    return ppo(space, seed, **{**describe("ppo").settings, **changes})


def turn(number: int, seen: frozenset[tuple[int, ...]] = frozenset()) -> Turn:
    return Turn(np.random.default_rng(number), number, (), seen)


def test_the_gradient_of_the_clipped_objective_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    policy = Recurrent(SIZES, 0, units=6, gain=2.0, dtype=np.float64)
    policy.parameters[:] += rng.normal(scale=0.4, size=policy.parameters.size)
    points = policy.sample(rng, 8)
    advantages = rng.normal(size=(8, 1))
    before = decide(policy, points).log_probabilities
    policy.parameters[:] += rng.normal(scale=0.1, size=policy.parameters.size)

    def value() -> float:
        decisions = decide(policy, points)
        gains = objective(before, decisions.log_probabilities, advantages, clip=0.2)
        return float(np.sum(gains) + 0.3 * np.sum(decisions.entropies))

    decisions = decide(policy, points)
    weights = clipped(before, decisions.log_probabilities, advantages, clip=0.2)
    # some decisions have gone far enough already, most have not
    assert 0 < np.count_nonzero(weights == 0) < weights.size / 2
    gradient = decisions.gradient(weights, 0.3)
    np.testing.assert_allclose(gradient, numerical(value, policy.parameters), atol=1e-6, rtol=1e-5)


@given(
    st.floats(-1.0, 1.0),
    st.floats(-2.0, 2.0).filter(lambda advantage: abs(advantage) > 1e-3),
    st.floats(0.05, 0.5),
)
def test_what_has_gone_far_enough_gains_nothing_more(step: float, advantage: float, clip: float) -> None:
    ratio = np.exp(step)
    far = ratio > 1 + clip if advantage > 0 else ratio < 1 - clip
    slope = clipped(np.array(0.0), np.array(step), np.array(advantage), clip=clip)
    assert slope == (0.0 if far else pytest.approx(ratio * advantage))
    # the objective is a lower bound of the one that is not clipped
    value = objective(np.array(0.0), np.array(step), np.array(advantage), clip=clip)
    assert value <= ratio * advantage + 1e-12


@pytest.mark.parametrize("recipe", ["small", "paper"])
def test_it_beats_random_on_a_separable_function_with_the_other_policy(recipe: str) -> None:
    """With its own in test_contract.py."""
    assert beats_random(partial(make, recipe=recipe, policy="independent"), trials=100) < 0.01


#: the controller of Zoph et al. 2018, as its appendix has it, clip and epochs of Schulman et al.; the
#: batch is ours
PAPER = {
    "gain": 0.0,
    "batch": 5,
    "epochs": 10,
    "clip": 0.2,
    "learning_rate": 0.00035,
    "entropy": 0.00001,
    "baseline": 0.95,
}


def test_the_papers_recipe_is_the_papers_values() -> None:
    """They are the default. Told one by one, whatever the recipe, they make the same search."""
    paper = RECIPES["paper"]
    assert {key: getattr(paper, "recurrent" if key == "gain" else key) for key in PAPER} == PAPER
    space = problem(6)
    own, recipe, small, told = (
        searched(make(space, 0, **changes), Separable(0, 6), 60, 0, space.sizes)
        for changes in ({}, {"recipe": "paper"}, {"recipe": "small"}, {"recipe": "small", **PAPER})
    )
    assert own == recipe == told
    assert recipe != small


@pytest.mark.parametrize("setting", PAPER)
def test_a_setting_that_is_told_goes_before_the_recipes(setting: str) -> None:
    others = {"gain": 5.0, "batch": 7, "epochs": 3, "baseline": 0.0, "entropy": 1.0}
    space, other = problem(6), others.get(setting, 0.01)
    own, told = (
        searched(make(space, 0, recipe="small", **changes), Separable(0, 6), 60, 0, space.sizes)
        for changes in ({}, {setting: other})
    )
    assert own != told


@pytest.mark.parametrize("policy", ["recurrent", "independent"])
def test_gain_is_of_both_policies(policy: str) -> None:
    space = problem(6)
    slow, fast, own, sixty = (
        searched(
            make(space, 0, recipe="small", policy=policy, gain=gain), Separable(0, 6), 40, 0, space.sizes
        )
        for gain in (0.1, 200.0, -1.0, 60.0)
    )
    assert own == sixty
    assert len({tuple(slow), tuple(fast), tuple(own)}) == 3


def test_it_learns_when_a_batch_is_full_and_from_what_has_a_reward() -> None:
    space = problem(5)
    algorithm = make(space, 0, batch=3)
    fresh = make(space, 0, batch=3)

    def proposals(which: PolicyGradient) -> list[tuple[int, ...]]:
        return [which.propose(turn(number)) for number in range(20)]

    complete = Finished((0, 1, 2, 0, 1), "complete", np.array([-1.0]), 1.0)
    infeasible = Finished((2, 1, 2, 0, 1), "infeasible", None, 0.0)
    failed = Finished((1, 1, 1, 1, 1), "failed", None, None)
    for finished in (complete, failed, failed, infeasible, failed):
        algorithm.learn(finished)
        assert proposals(algorithm) == proposals(fresh)
    algorithm.learn(complete)
    for _ in range(20):
        for finished in (complete, infeasible, complete):
            algorithm.learn(finished)
    assert proposals(algorithm) != proposals(fresh)
    # the first choice is all that they differ in
    assert np.mean([point[0] == 0 for point in proposals(algorithm)]) > 0.6


def test_a_reward_that_never_changes_teaches_nothing() -> None:
    space = problem(5)
    algorithm = make(space, 0, entropy=0.0)
    for point in np.ndindex(3, 3, 3, 1, 1):
        algorithm.learn(Finished(point, "complete", np.array([0.0]), 0.0))
    assert all(algorithm.propose(turn(n)) == make(space, 0).propose(turn(n)) for n in range(20))


def test_it_repeats_by_its_seed_and_differs_between_seeds() -> None:
    space = problem(6)
    values = [searched(make(space, seed), Separable(0, 6), 40, 0, space.sizes) for seed in (1, 1, 2)]
    assert values[0] == values[1]
    assert values[0] != values[2]


def test_proposals_are_new_and_exist() -> None:
    points = np.array([point for point in np.ndindex(3, 3, 3) if sum(point) % 2])
    algorithm = make(problem(3, points=points), 0)
    seen: frozenset[tuple[int, ...]] = frozenset()
    for number in range(len(points) - 1):
        proposal = algorithm.propose(turn(number, seen))
        assert proposal not in seen
        assert sum(proposal) % 2
        seen |= {proposal}


def front(aims: int) -> list[np.ndarray]:
    """What is found of a front of two objectives: of ten choices, how many are 1, and how many are not."""
    space = problem(10, 2)
    algorithm = make(space, 0, aims=aims, policy="independent")
    found = []
    for number in range(150):
        point = algorithm.propose(turn(number))
        costs = np.array([-float(sum(point)), float(sum(point))])
        algorithm.learn(Finished(point, "complete", costs, reward=-costs[0]))
        found.append(costs)
    return found


def test_one_aim_leads_to_the_reward_and_several_along_the_front() -> None:
    one, several = (np.array(front(aims))[-30:, 1] for aims in (1, 5))
    assert one.min() >= 7
    assert several.min() <= 3
    assert several.max() >= 7


def test_aims_depend_on_whether_there_is_a_reward() -> None:
    """Of five aims, every fifth trial is for the same one; of one, all are."""
    without, with_ = problem(10, 2), problem(10, 2, reward=lambda trial: 0.0)
    for space, several in ((without, True), (with_, False)):
        algorithm = make(space, 0, policy="independent")
        for number in range(60):
            point = algorithm.propose(turn(number))
            costs = np.array([-float(sum(point)), float(sum(point))])
            algorithm.learn(Finished(point, "complete", costs, reward=-costs[0]))
        sums = np.array([[sum(algorithm.propose(turn(5 * n + aim))) for n in range(20)] for aim in (0, 4)])
        assert bool(sums[1].mean() - sums[0].mean() > 3) == several


def test_a_step_beyond_what_a_float_has_is_no_trouble() -> None:
    """With a gain of 1000 a single step of the learning rate 1 is a thousand nats."""
    before, now = np.full((1, 1), -1000, np.float32), np.zeros((1, 1), np.float32)
    for advantage, slope in ((1.0, 0.0), (-1.0, -np.exp(20.0))):
        advantages = np.array([[advantage]])
        assert clipped(before, now, advantages, clip=0.2) == pytest.approx(slope)
        assert np.isfinite(objective(before, now, advantages, clip=0.2))


@pytest.mark.parametrize("policy", ["recurrent", "independent"])
def test_settings_at_the_ends_of_their_ranges_are_no_trouble(policy: str) -> None:
    """A warning of NumPy's is an error here."""
    space = problem(4)
    for learning_rate, entropy, clip in product((1e-12, 1.0), (0.0, 10.0), (1e-12, 10.0)):
        algorithm = make(
            space, 0, policy=policy, gain=1000.0, learning_rate=learning_rate, entropy=entropy, clip=clip,
            epochs=20, baseline=0.0,
        )  # fmt: skip
        searched(algorithm, Separable(0, 4), 30, 0, space.sizes)
        drawn = np.array([algorithm.propose(turn(number)) for number in range(5)])
        assert np.all((drawn >= 0) & (drawn < 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "big"}, "recipe of ppo is 'big'; allowed: small, paper"),
        ({"policy": "lstm"}, "policy of ppo is 'lstm'; allowed: recurrent, independent"),
        ({"batch": 0}, "batch of ppo is 0; it must be 1 to 1000"),
        ({"batch": 1001}, "batch of ppo is 1001; it must be 1 to 1000"),
        ({"epochs": 0}, "epochs of ppo is 0; it must be 1 to 100"),
        ({"epochs": 101}, "epochs of ppo is 101; it must be 1 to 100"),
        ({"clip": 0.0}, "clip of ppo is 0.0; it must be above 0 and at most 10"),
        ({"clip": 1e300}, r"clip of ppo is 1e\+300; it must be above 0 and at most 10"),
        ({"learning_rate": -0.1}, "learning_rate of ppo is -0.1; it must be above 0 and at most 1"),
        ({"learning_rate": float("nan")}, "learning_rate of ppo is nan; it must be above 0 and at most 1"),
        ({"learning_rate": 1.5}, "learning_rate of ppo is 1.5; it must be above 0 and at most 1"),
        ({"entropy": -0.1}, "entropy of ppo is -0.1; it must be 0 to 10"),
        ({"entropy": 1e300}, r"entropy of ppo is 1e\+300; it must be 0 to 10"),
        ({"baseline": 1.0}, "baseline of ppo is 1.0; it must be 0 or more and below 1"),
        ({"gain": -2.0}, "gain of ppo is -2.0; it must be 0 to 1000"),
        ({"gain": 1e6}, "gain of ppo is 1000000.0; it must be 0 to 1000"),
        (
            {"gain": 0.0, "policy": "independent"},
            "gain of ppo is 0.0; the independent policy needs one above",
        ),
        ({"aims": -1}, "aims of ppo is -1; it must be 1 to 100, or 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        make(problem(), 0, **settings)
