import numpy as np
import pytest

from controllers.aims import SEVERAL, Aims, aims_of
from controllers.algorithm import Finished
from controllers.errors import BadSetting
from tests.controllers.separable import problem


def finished(*costs: float, reward: float = 0.5) -> Finished:
    return Finished((0,), "complete", np.array(costs), reward)


INFEASIBLE = Finished((0,), "infeasible", None, 0.0)
FAILED = Finished((0,), "failed", None, None)


def test_without_a_reward_there_are_several_aims() -> None:
    assert aims_of("ppo", 0, problem()) == SEVERAL
    assert aims_of("ppo", 0, problem(reward=lambda trial: 0.0)) == 1
    assert aims_of("ppo", 3, problem(reward=lambda trial: 0.0)) == 3
    for wrong in (-1, 101):
        with pytest.raises(BadSetting, match=f"aims of ppo is {wrong}; it must be 1 to 100, or 0"):
            aims_of("ppo", wrong, problem())


def test_one_aim_is_the_reward() -> None:
    aims = Aims(1)
    taken = [aims.add(trial) for trial in (finished(-1.0, 5.0, reward=0.7), FAILED, INFEASIBLE)]
    assert taken == [True, False, True]
    np.testing.assert_array_equal(aims.rewards(2), [[0.7, 0.0]])
    np.testing.assert_array_equal(aims.rewards(1), [[0.0]])


@pytest.mark.parametrize("nothing", [None, 0.0])
def test_what_is_infeasible_is_never_better_than_the_worst(nothing: float | None) -> None:
    """Rewards of a cost are below 0: 0 would be the best there is. What was best before may not be now."""
    aims = Aims(1)
    infeasible = Finished((0,), "infeasible", None, nothing)
    for trial in (infeasible, finished(7.0, reward=-7.0), infeasible, finished(9.0, reward=-9.0)):
        aims.add(trial)
    np.testing.assert_array_equal(aims.rewards(4), [[-9.0, -7.0, -9.0, -9.0]])
    above = Aims(1)
    for trial in (finished(-0.7, reward=0.7), infeasible):
        above.add(trial)
    np.testing.assert_array_equal(above.rewards(2), [[0.7, 0.7 if nothing is None else 0.0]])


def test_endless_rewards_are_as_the_worst_and_the_best_of_the_others() -> None:
    aims = Aims(1)
    for reward in (0.2, -1e100, 0.7, 1e100):
        aims.add(finished(-reward, reward=reward))
    np.testing.assert_array_equal(aims.rewards(4), [[0.2, 0.2, 0.7, 0.7]])


def test_of_one_objective_all_aims_are_the_reward() -> None:
    aims = Aims(2)
    for trial in (INFEASIBLE, finished(-1.0, reward=0.7)):
        aims.add(trial)
    assert aims.active == 1
    np.testing.assert_array_equal(aims.rewards(2), [[0.0, 0.7]] * 2)


def test_aims_weigh_ranks_in_the_objectives() -> None:
    aims = Aims(2)
    for trial in (finished(-0.9, 30.0), finished(-0.8, 1.0), INFEASIBLE, finished(-0.1, 20.0)):
        aims.add(trial)
    assert aims.active == 2
    accurate, fast = np.array([3, 2, 0, 1]) / 4, np.array([1, 3, 0, 2]) / 4
    np.testing.assert_allclose(
        aims.rewards(4), [0.25 * accurate + 0.75 * fast, 0.75 * accurate + 0.25 * fast]
    )
    np.testing.assert_allclose(aims.rewards(1), aims.rewards(4)[:, -1:])


def test_more_than_two_objectives_share_the_rest() -> None:
    aims = Aims(2)
    for trial in (finished(-0.9, 30.0, 1.0), finished(-0.8, 10.0, 2.0)):
        aims.add(trial)
    np.testing.assert_allclose(
        aims.rewards(2),
        [[0.25 * 0.5 + 0.75 * 0.25, 0.75 * 0.25], [0.75 * 0.5 + 0.25 * 0.25, 0.25 * 0.25]],
    )


def test_neither_units_nor_extremes_matter() -> None:
    rng = np.random.default_rng(0)
    one, other = Aims(3), Aims(3)
    for costs in rng.normal(size=(20, 2)):
        one.add(finished(*costs))
        other.add(finished(*np.exp(5 * costs)))
    np.testing.assert_array_equal(one.rewards(20), other.rewards(20))
