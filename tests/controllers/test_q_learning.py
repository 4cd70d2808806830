import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from controllers.algorithm import Finished, Turn
from controllers.errors import BadSetting
from controllers.problem import Problem
from controllers.q_learning import QLearning
from controllers.registry import describe
from tests.controllers.separable import Separable, problem, searched


def make(space: Problem, seed: int, **changes: Any) -> QLearning:
    return QLearning(space, seed, **{**describe("q_learning").settings, **changes})


def greedy(algorithm: QLearning, number: int = 10_000) -> list[tuple[int, ...]]:
    return [algorithm.propose(Turn(np.random.default_rng(n), number, (), ())) for n in range(50)]


def test_epsilon_follows_the_papers_schedule_scaled_to_the_trials_expected() -> None:
    algorithm = make(problem(), 0, trials=2700)
    at = {0: 1.0, 1499: 1.0, 1500: 0.9, 1799: 0.7, 1800: 0.6, 2549: 0.2, 2550: 0.1, 2700: 0.1, 9999: 0.1}
    assert {ordinal: algorithm.epsilon(ordinal) for ordinal in at} == at
    short = make(problem(), 0, trials=27)
    assert [short.epsilon(ordinal) for ordinal in (0, 14, 15, 18, 26, 27)] == [1.0, 1.0, 0.9, 0.6, 0.1, 0.1]


def test_the_schedule_is_as_long_as_the_search_unless_told_otherwise() -> None:
    """Of 54 trials, 30 are at random, not 55."""

    def first(algorithm: QLearning) -> int:
        return next(ordinal for ordinal in range(1000) if algorithm.epsilon(ordinal) < 1)

    lengths = {None: 100, 54: 54}
    for told, length in lengths.items():
        own = make(problem(trials=told), 0)
        assert first(own) == first(make(problem(), 0, trials=length))
        assert first(make(problem(trials=told), 0, trials=27)) == 15
    assert first(make(problem(trials=54), 0)) == 30


def test_values_become_those_of_the_best_way_to_go_on() -> None:
    """Of a first option: half of the mean reward after it, and half of the best that can follow."""
    space = problem(2, 3)
    # 0.8 / 3 / 2 + 0.8 / 2 = 0.53 is less than 0.6 / 2 + 0.6 / 2
    value = np.array([[0.8, 0.0, 0.0], [0.6, 0.6, 0.6], [0.0, 0.0, 0.0]])
    algorithm = make(space, 0, learning_rate=0.1)
    for _ in range(20):
        for point in np.ndindex(3, 3):
            algorithm.learn(Finished(point, "complete", np.array([-value[point]]), value[point]))
    assert max(set(greedy(algorithm)), key=greedy(algorithm).count)[0] == 1
    other = make(space, 0, learning_rate=0.1)
    value[0] = [1.2, 0.0, 0.0]  # 0.2 + 0.6 is more
    for _ in range(20):
        for point in np.ndindex(3, 3):
            other.learn(Finished(point, "complete", np.array([-value[point]]), value[point]))
    assert max(set(greedy(other)), key=greedy(other).count) == (0, 0)


def test_one_trial_moves_its_own_values_only() -> None:
    algorithm = make(problem(3, 2), 0)
    algorithm.learn(Finished((0, 0, 0), "complete", np.array([0.0]), 0.0))
    algorithm.learn(Finished((1, 1, 1), "complete", np.array([-1.0]), 1.0))
    best = greedy(algorithm)
    assert best.count((1, 1, 1)) > 25
    assert best.count((0, 0, 0)) < 5


def test_failed_trials_teach_nothing_and_infeasible_ones_that_they_are_bad() -> None:
    space = problem(4)
    algorithm, fresh = make(space, 0), make(space, 0)
    algorithm.learn(Finished((0, 0, 0, 0), "failed", None, None))
    assert greedy(algorithm) == greedy(fresh)
    for _ in range(10):
        algorithm.learn(Finished((0, 0, 0, 0), "infeasible", None, 0.0))
        algorithm.learn(Finished((1, 1, 1, 1), "complete", np.array([-0.5]), 0.5))
    assert sum(point == (0, 0, 0, 0) for point in greedy(algorithm)) == 0


def test_several_aims_have_values_of_their_own() -> None:
    space = problem(10, 2)
    algorithm = make(space, 0, trials=50, learning_rate=0.1)
    for number in range(100):
        point = algorithm.propose(Turn(np.random.default_rng(number), number, (), ()))
        costs = np.array([-float(sum(point)), float(sum(point))])
        algorithm.learn(Finished(point, "complete", costs, sum(point)))
    few, many = (np.mean([sum(point) for point in greedy(algorithm, 1000 + aim)]) for aim in (0, 4))
    assert many - few > 4


def test_it_repeats_by_its_seed_and_differs_between_seeds() -> None:
    space = problem(6)
    values = [
        searched(make(space, seed, trials=20), Separable(0, 6), 30, 0, space.sizes) for seed in (1, 1, 2)
    ]
    assert values[0] == values[1]
    assert values[0] != values[2]


@pytest.mark.parametrize(
    "settings", [{"trials": -1}, {"replays": 0}, {"replays": 10_001}, {"learning_rate": 1.5}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(
        BadSetting, match=r"q_learning.*must be 0 .* or more, 1 to 10000, and above 0 up to 1"
    ):
        make(problem(), 0, **settings)


def test_values_of_many_options_take_little_memory_and_time() -> None:
    """Two tables of 5000 x 3 values for each aim, where one of 5000 x 5000 for each choice took gigabytes."""
    space = Problem({"a": (0, 1, 2), "id": tuple(range(5000)), "b": (0, 1, 2)})
    began = time.process_time()
    tracemalloc.start()
    algorithm = make(space, 0, trials=10)
    for number in range(20):
        point = algorithm.propose(Turn(np.random.default_rng(number), number, (), ()))
        algorithm.learn(Finished(point, "complete", np.array([point[1], -point[1]], float), 0.0))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert time.process_time() - began < 5
