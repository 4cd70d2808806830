"""Ageing evolution: who is a parent, what a child is, who dies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import registry
from controllers.algorithm import Finished, Turn
from controllers.errors import BadSetting
from controllers.evolution import RegularizedEvolution, standing
from controllers.problem import Point, Problem
from tests.controllers.contract import problem

SPACE = problem(4, 4, 1, 4, 4, 4)


def turn(seed: int, seen: frozenset[Point] = frozenset()) -> Turn:
    return Turn(np.random.default_rng(seed), seed, (), seen)


def grown(*costs: tuple[float, ...], space: Problem = SPACE, tournament: int = 1) -> RegularizedEvolution:
    """A full population: member number i has the point (i, i, 0, i, i, i)."""
    found = RegularizedEvolution(space, population=len(costs), tournament=tournament)
    for at, values in enumerate(costs):
        found.learn(Finished((at, at, 0, at, at, at), "complete", np.array(values), None))
    return found


def parents(algorithm: RegularizedEvolution, draws: int = 40) -> set[int]:
    """Whose children are proposed: all choices but one are theirs."""
    children = [algorithm.propose(turn(seed)) for seed in range(draws)]
    return {int(np.bincount(np.array(child)[[0, 1, 3, 4, 5]]).argmax()) for child in children}


def test_a_child_differs_from_its_parent_in_one_choice() -> None:
    algorithm = grown((0.0,), (1.0,), tournament=2)
    changed = set()
    for seed in range(200):
        child = algorithm.propose(turn(seed))
        (at,) = np.flatnonzero(child)
        changed.add((int(at), child[at]))
    assert changed == {(at, option) for at in (0, 1, 3, 4, 5) for option in (1, 2, 3)}


def test_until_the_population_is_full_points_are_random() -> None:
    algorithm = RegularizedEvolution(problem(2, 3), population=3, tournament=1)
    for _ in range(2):
        algorithm.learn(Finished((0, 0), "complete", np.array([0.0]), None))
    found = [algorithm.propose(turn(seed)) for seed in range(60)]
    assert set(found) == set(itertools.product(range(2), range(3)))


def test_the_best_of_the_tournament_is_the_parent() -> None:
    assert parents(grown((2.0,), (1.0,), (3.0,), tournament=3)) == {1}
    assert parents(grown((2.0,), (1.0,), (3.0,), tournament=2)) == {0, 1}
    assert parents(grown((2.0,), (1.0,), (3.0,), tournament=1)) == {0, 1, 2}


def test_with_two_objectives_the_front_wins_and_in_it_the_lonely() -> None:
    # 0, 1 and 2 are the front, 1 between two neighbours; 3 is dominated by 1
    algorithm = grown((0.0, 4.0), (1.0, 1.0), (4.0, 0.0), (2.0, 2.0), tournament=4)
    assert parents(algorithm) == {0, 2}
    assert parents(grown((0.0, 4.0), (1.0, 1.0), (4.0, 0.0), (2.0, 2.0), tournament=2)) == {0, 1, 2}


def test_the_oldest_dies_however_good() -> None:
    algorithm = grown((0.0,), (2.0,), (1.0,), tournament=3)
    assert parents(algorithm) == {0}
    algorithm.learn(Finished((3, 3, 0, 3, 3, 3), "complete", np.array([5.0]), None))
    assert parents(algorithm) == {2}


def test_what_was_infeasible_or_failed_is_no_member() -> None:
    algorithm = grown((0.0,), (2.0,), tournament=2)
    for _ in range(5):
        algorithm.learn(Finished((3, 3, 0, 3, 3, 3), "infeasible", None, 0.0))
        algorithm.learn(Finished((3, 3, 0, 3, 3, 3), "failed", None, None))
    assert parents(algorithm) == {0}


def test_it_goes_farther_once_all_neighbours_were_seen() -> None:
    algorithm = grown((0.0,), (1.0,), tournament=2)
    neighbours = {tuple(np.where(np.arange(6) == at, option, 0)) for at in range(6) for option in range(4)}
    child = algorithm.propose(turn(1, frozenset(neighbours)))
    assert child not in neighbours
    assert np.count_nonzero(child) == 2


@pytest.mark.parametrize(("population", "tournament"), [(1, 1), (4, 0), (4, 5)])
def test_sizes_out_of_range_are_refused(population: int, tournament: int) -> None:
    with pytest.raises(BadSetting, match="allowed"):
        RegularizedEvolution(SPACE, population, tournament)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 2), min_size=1, max_size=12))
def test_ranks_are_those_of_peeling_fronts(costs: list[tuple[int, int]]) -> None:
    ranks, crowding = standing(np.array(costs, dtype=float))
    left, rank = set(range(len(costs))), 0
    while left:
        front = {
            one
            for one in left
            if not any(
                costs[other] != costs[one] and all(np.array(costs[other]) <= costs[one]) for other in left
            )
        }
        assert {at for at in range(len(costs)) if ranks[at] == rank} == front
        left, rank = left - front, rank + 1
    assert (crowding >= 0).all()


def test_crowding_is_the_side_of_the_box_around_a_point() -> None:
    _, crowding = standing(np.array([[0.0, 10.0], [1.0, 5.0], [4.0, 1.0], [10.0, 0.0]]))
    assert crowding.tolist() == [np.inf, pytest.approx(0.4 + 0.9), pytest.approx(0.9 + 0.5), np.inf]


def test_it_covers_more_of_a_front_than_chance() -> None:
    """Two conflicting sums over 12 choices: hypervolume after 100 evaluations, ten seeds."""
    import optuna
    from scipy.stats import wilcoxon

    def volume(name: str, seed: int) -> float:
        space = problem(*[4] * 12)
        rng = np.random.default_rng(seed)
        gain, price = rng.random((12, 4)), rng.random((12, 4))
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=registry.create(name, seed, space)
        )
        for _ in range(100):
            trial = study.ask(dict(space.distributions))
            at = range(12), list(trial.params.values())
            study.tell(trial, [float(gain[at].sum()), float(price[at].sum())])
        points = sorted((trial.values[1], trial.values[0]) for trial in study.best_trials)
        edges = [price_ for price_, _ in points[1:]] + [12.0]
        return sum((edge - price_) * gain_ for edge, (price_, gain_) in zip(edges, points, strict=True))

    ours, theirs = (
        [volume(name, seed) for seed in range(10)] for name in ("regularized_evolution", "random")
    )
    assert wilcoxon(ours, theirs, alternative="greater").pvalue < 0.01
