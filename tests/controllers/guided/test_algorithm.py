from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from controllers.algorithm import Finished, Turn
from controllers.errors import BadSetting
from controllers.guided.algorithm import PredictorGuided, milestone
from controllers.problem import Figures, Known, Point, Points, Problem

SIZES = (3, 3, 2, 3, 2)
CHOICES = {f"x{at}": tuple(range(size)) for at, size in enumerate(SIZES)}
Costs = Callable[[Point], list[float]]


def latency(points: Points) -> Figures:
    """Grows with every option, and with two of them together."""
    return (1.0 + points @ np.array([3.0, 1, 2, 1, 4]) + points[:, 0] * points[:, 3])[:, None]


def error(point: Point) -> float:
    """Falls with latency, but unevenly; an option of the second choice that costs little helps most."""
    noise = np.random.default_rng(list(point)).normal(0, 0.02)
    return float(1.0 / (1.0 + point[0] + 2 * point[1] + point[3] * point[4] + 0.2 * point[2]) + noise)


def everything_allowed(figures: Figures) -> NDArray[np.bool_]:
    return np.ones(len(figures), bool)


def known(allowed: Callable[[Figures], NDArray[np.bool_]] = everything_allowed) -> Problem:
    return Problem(CHOICES, Known(latency, (1,), allowed))


def both(point: Point) -> list[float]:
    return [error(point), float(latency(np.array([point]))[0, 0])]


def turn(number: int, seen: Sequence[Point], pending: Sequence[Point] = (), seed: int = 0) -> Turn:
    return Turn(np.random.default_rng((seed, number)), number, pending, frozenset([*seen, *pending]))


def searched(
    algorithm: PredictorGuided,
    trials: int,
    costs: Costs = both,
    seen: list[Point] | None = None,
    seed: int = 0,
) -> list[Point]:
    seen = [] if seen is None else seen
    for number in range(len(seen), trials):
        point = algorithm.propose(turn(number, seen, seed=seed))
        seen.append(point)
        algorithm.learn(Finished(point, "complete", np.array(costs(point)), 0.0))
    return seen


def hypervolume(points: Sequence[Point]) -> float:
    steps = np.linspace(0, 40, 400)
    costs = np.array([both(point) for point in points])
    return float(np.mean([1.2 - min([1.2, *costs[costs[:, 1] <= step, 0]]) for step in steps]))


def test_finds_more_hypervolume_than_random_points_and_most_without_guessing_latency() -> None:
    def random(seed: int) -> float:
        rng = np.random.default_rng(seed)
        return hypervolume([tuple(rng.integers(0, SIZES).tolist()) for _ in range(24)])

    reference = [random(seed) for seed in range(20)]
    for latency_is in ("known", "unknown"):
        found = [
            hypervolume(searched(PredictorGuided(known(), latency=latency_is), 24, seed=seed))
            for seed in range(4)
        ]
        assert min(found) > np.quantile(reference, 0.8)
    everything = hypervolume(np.stack(np.unravel_index(np.arange(108), SIZES), axis=1).tolist())
    assert np.mean([hypervolume(searched(PredictorGuided(known()), 24, seed=seed)) for seed in range(3)]) > (
        0.97 * everything
    )


@pytest.mark.parametrize("cut", [3, 8, 11, 17])
def test_one_that_learned_it_all_at_once_proposes_the_same(cut: int) -> None:
    whole = searched(PredictorGuided(known()), 22)
    again = PredictorGuided(known())
    for point in whole[:cut]:
        again.learn(Finished(point, "complete", np.array(both(point)), 0.0))
    assert searched(again, 22, seen=whole[:cut]) == whole


def test_proposes_the_same_for_the_same_turn_and_changes_nothing_by_it() -> None:
    algorithm = PredictorGuided(known())
    seen = searched(algorithm, 14)
    other = next(point for point in np.ndindex(*SIZES) if point not in seen)
    first = algorithm.propose(turn(14, seen))
    algorithm.propose(turn(14, seen, [first, other]))
    assert algorithm.propose(turn(14, seen)) == first


@pytest.mark.parametrize("near", [1.0, 0.01])
def test_what_is_evaluated_now_is_not_proposed(near: float) -> None:
    algorithm = PredictorGuided(known(), near=near)
    seen = searched(algorithm, 12)
    pending: list[Point] = []
    for number in range(5):
        pending.append(algorithm.propose(turn(12 + number, seen, pending)))
    assert len({*seen, *pending}) == 17


def test_points_that_are_evaluated_at_the_same_time_fill_different_gaps() -> None:
    """Six of eight kinds are good, and alike; at the small sizes only the two bad ones were evaluated."""
    space = Problem(
        {"size": tuple(range(8)), "kind": tuple("abcdefgh")},
        Known(lambda points: np.exp(0.3 * points[:, :1]), (1,), everything_allowed),
    )
    algorithm = PredictorGuided(space, near=1.0)
    seen = [(size, kind) for size in range(8) for kind in range(8) if kind > 5 or size > 5]
    for size, kind in seen:
        costs = np.array([-0.2 * size - (kind < 6), np.exp(0.3 * size)])
        algorithm.learn(Finished((size, kind), "complete", costs, 0.0))
    together, pending = list(seen), list[Point]()
    for number in range(4):
        pending.append(algorithm.propose(turn(number, seen, pending)))
        together.append(algorithm.propose(turn(number, together)))
    assert len({size for size, _ in pending}) == 4
    assert {size for size, _ in together[len(seen) :]} == {0}, "the largest gap, as long as nobody is at it"


def test_a_table_of_few_rows_is_searched_in_another_way_by_each_seed() -> None:
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers(0, 4, size=(260, 6)), axis=0)[:200]
    weights = rng.random(6)

    def figures(points: Points) -> Figures:
        return (points @ weights)[:, None] + 1.0

    space = Problem(
        {f"x{at}": tuple(range(4)) for at in range(6)},
        Known(figures, (1,), everything_allowed),
        points=rows,
    )

    def made(seed: int, turns: int) -> list[Point]:
        costs: Costs = lambda point: [-float(sum(point)), float(figures(np.array([point]))[0, 0])]  # noqa: E731
        return searched(PredictorGuided(space, seed=seed), 14, costs, seed=turns)

    one = made(0, 0)
    assert made(0, 0) == one
    assert len({tuple(made(seed, seed)) for seed in range(6)}) == 6
    first = [float(figures(np.array([made(seed, 0)[0]]))[0, 0]) for seed in range(6)]
    assert np.ptp(first) > 0.5 * np.ptp(figures(rows)), "not every search begins in the middle"


def test_equals_are_chosen_from_at_random() -> None:
    algorithm = PredictorGuided(Problem({"a": tuple("abcdefgh"), "b": tuple("abcdefgh")}), initial=2)
    seen = searched(algorithm, 4, lambda _: [1.0, 1.0])
    assert len({algorithm.propose(turn(4, seen, seed=seed)) for seed in range(6)}) > 2


def test_proposes_what_is_allowed_as_long_as_there_is_some_also_when_it_changes() -> None:
    limit = [10.0]
    algorithm = PredictorGuided(known(lambda figures: figures[:, 0] <= limit[0]))
    seen = searched(algorithm, 12)
    limit[0] = 7.0
    seen = searched(algorithm, 18, seen=seen)
    figures = latency(np.array(seen))[:, 0]
    assert figures[:12].max() <= 10
    assert figures[12:].max() <= 7
    limit[0] = 0.0
    assert len(set(searched(algorithm, 20, seen=seen))) == 20


@pytest.mark.parametrize(
    "costs",
    [
        lambda point: [1.0, 1.0],
        lambda point: [0.0, 0.0],
        lambda point: [float(point[0]), -float(point[1])],
        lambda point: [1.7e308 if point[0] else 0.5, -1.7e308 if point[1] else 1.0],
        lambda point: [error(point)],
        lambda point: [*both(point), float(point[2])],
        lambda point: [*both(point), float(point[2]), float(point[4] - point[3])],
    ],
    ids=["ones", "zeros", "negative", "infinite", "one objective", "three objectives", "four objectives"],
)
@pytest.mark.parametrize("told", [True, False])
def test_proposes_something_new_whatever_the_values(costs: Costs, told: bool) -> None:
    """Also where latencies that are said to be known are not the study's."""
    algorithm = PredictorGuided(known() if told else Problem(CHOICES), initial=4)
    assert len(set(searched(algorithm, 12, costs))) == 12


def test_three_known_objectives_and_one_that_is_not() -> None:
    def figures(points: Points) -> Figures:
        return np.column_stack([latency(points), points[:, 2] + 1.0, points.sum(axis=1), points[:, 0]])

    space = Problem(CHOICES, Known(figures, (1, None, 2, 3), everything_allowed))
    found = searched(
        PredictorGuided(space), 14, lambda point: [*both(point), float(sum(point)), float(point[0])]
    )
    assert len(set(found)) == 14


def test_a_space_of_one_point_and_one_that_is_used_up() -> None:
    assert (
        searched(PredictorGuided(Problem({"a": (1,), "b": (2,)})), 12, lambda _: [1.0, 2.0]) == [(0, 0)] * 12
    )
    small = Problem({"a": (1, 2, 3), "b": (1, 2, 3, 4)})
    found = searched(PredictorGuided(small), 16, lambda point: [float(point[0]), float(point[1])])
    assert len(set(found[:12])) == 12


def test_a_huge_space_with_a_limit_that_leaves_a_corner() -> None:
    space = Problem(
        {f"x{at}": tuple(range(10)) for at in range(20)},
        Known(
            lambda points: points.sum(axis=1, keepdims=True) + 1.0, (1,), lambda at: at[:, 0] <= 25, pool=3000
        ),
    )
    costs: Costs = lambda point: [-float(sum(map(np.sqrt, point))), sum(point) + 1.0]  # noqa: E731 - a value
    found = searched(PredictorGuided(space), 14, costs)
    assert len(set(found)) == 14
    assert max(map(sum, found)) < 25


def test_what_failed_or_was_ruled_out_is_not_proposed_again() -> None:
    algorithm, seen = PredictorGuided(known(), initial=4), []
    for number in range(40):
        point = algorithm.propose(turn(number, seen))
        assert point not in seen
        seen.append(point)
        kind = ("complete", "failed", "infeasible")[number % 3]
        algorithm.learn(Finished(point, kind, np.array(both(point)) if kind == "complete" else None, None))


def test_milestones_follow_from_the_count_alone() -> None:
    assert [milestone(8, count, 0.5) for count in (8, 11, 12, 17, 18, 26, 27)] == [8, 8, 12, 12, 18, 18, 27]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latency": "secret"}, "known or unknown"),
        ({"initial": 1}, "2 or more"),
        ({"near": 0.0}, "above 0"),
    ],
)
def test_refuses_settings_that_mean_nothing(settings: dict[str, object], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        PredictorGuided(known(), **settings)
