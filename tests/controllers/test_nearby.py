"""New points near one that was proposed in vain."""

from __future__ import annotations

import itertools

import numpy as np
import optuna
import pytest

from controllers import nearby as module
from controllers.known import POINTLESS, RULED_OUT, WORTHWHILE, Screen
from controllers.nearby import Listed, Unlisted, nearby
from controllers.problem import Figures, Known, Points
from tests.controllers.contract import capped


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def screen_of(known: Known, *trials: tuple[float, float], front: bool = True) -> Screen:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in trials:
        study.add_trial(optuna.create_trial(values=list(values)))
    return Screen(known, study, front=front)


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_small_spaces_and_tables_are_listed() -> None:
    assert isinstance(nearby([3, 4], None), Listed)
    assert isinstance(nearby([10] * 20, np.zeros((2, 20), dtype=int)), Listed)
    assert isinstance(nearby([10] * 20, None), Unlisted)
    assert isinstance(nearby([3, 0], None), Unlisted)


def test_a_listed_space_is_emptied_from_near_to_far() -> None:
    space, seen, start = nearby([2, 3, 2], None), set(), (1, 2, 0)
    distances = []
    while (found := space.find(start, seen, rng(len(seen)), None)) is not None:
        assert found not in seen
        seen.add(found)
        distances.append(apart(found, start))
    assert distances == sorted(distances)
    assert seen == set(itertools.product(range(2), range(3), range(2)))


def test_of_points_that_are_as_near_each_may_be_found() -> None:
    space = nearby([2, 2, 2], None)
    found = {space.find((0, 0, 0), {(0, 0, 0)}, rng(seed), None) for seed in range(40)}
    assert found == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}


def test_of_a_table_only_rows_are_found() -> None:
    rows = np.array([[0, 0, 9], [5, 5, 5], [0, 0, 9], [9, 9, 9]])
    space = nearby([10, 10, 10], rows)
    assert space.find((0, 0, 0), set(), rng(), None) == (0, 0, 9)
    assert space.find((0, 0, 0), {(0, 0, 9), (1, 1, 1)}, rng(), None) in {(5, 5, 5), (9, 9, 9)}
    assert space.find((0, 0, 0), set(map(tuple, rows.tolist())), rng(), None) is None


def test_a_better_grade_goes_before_nearness() -> None:
    screen = screen_of(capped(3.0, [1.0, 1.0]))
    space = nearby([5, 5], None)
    found = space.find((4, 4), {(4, 4)}, rng(), screen)
    assert found is not None
    assert sum(found) <= 3
    assert apart(found, (4, 4)) == 2


def test_no_more_is_looked_up_than_may_be_and_nothing_twice() -> None:
    asked: list[int] = []
    known = capped(100.0, [1.0, 1.0], pool=7)

    def figures(points: Points) -> Figures:
        asked.extend(map(int, points @ [10, 1]))
        return known.figures(points)

    counted = Known(figures, known.objectives, known.allowed, known.pool)
    space, seen = nearby([6, 6], None), set()
    for seed in range(36):
        before = len(asked)
        seen.add(space.find((3, 3), seen, rng(seed), screen_of(counted)))
        assert len(asked) - before <= 7
    assert len(seen) == 36
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("seed", range(5))
def test_an_unlisted_space_gives_neighbours(seed: int) -> None:
    space, start = nearby([10] * 20, None), (3,) * 20
    seen = {start}
    for _ in range(30):
        found = space.find(start, seen, rng(seed), None)
        assert found is not None
        assert found not in seen
        assert all(0 <= index < 10 for index in found)
        assert apart(found, start) <= (1 if len(seen) < 5 else 5)
        seen.add(found)


def test_numbers_stay_as_they_are() -> None:
    space = nearby([3, 0, 1], None)
    found = space.find((1, 0.25, 0), {(1, 0.25, 0)}, rng(), None)
    assert found in {(0, 0.25, 0), (2, 0.25, 0)}
    assert nearby([0, 0], None).find((0.5, 0.5), set(), rng(), None) is None


def test_what_is_allowed_is_found_down_the_known_figures() -> None:
    """By chance, one point in 10^17 would be."""
    screen = screen_of(capped(9.0, [1.0] * 20))
    found = nearby([10] * 20, None).find((9,) * 20, set(), rng(), screen)
    assert found is not None
    assert sum(found) <= 9


def test_else_what_is_allowed_is_found_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down the figures lies nothing: what is allowed costs more than its neighbours."""

    def allowed(figures: Figures) -> np.ndarray:
        return figures[:, 0] > 120

    known = Known(capped(0, [1.0] * 20).figures, (1,), allowed, 100_000)
    found = nearby([10] * 20, None).find((0,) * 20, set(), rng(), screen_of(known))
    assert found is not None
    assert sum(found) > 120


def test_where_nothing_is_allowed_something_new_is_found_all_the_same() -> None:
    screen = screen_of(capped(-1.0, [1.0] * 20, pool=500))
    for space, start in ((nearby([10] * 20, None), (0,) * 20), (Listed(np.zeros((1, 20), int)), (1,) * 20)):
        assert space.find(start, {start}, rng(), screen) not in {None, start}


def test_grades_tell_what_is_ruled_out_from_what_is_beaten() -> None:
    """The best accuracy so far was had at 5: dearer points could only win by a new record."""
    screen = screen_of(capped(8.0, [1.0]), (0.9, 5.0), (0.5, 2.0))
    assert [screen.grade((value,)) for value in (2, 4, 5, 8, 9)] == [
        WORTHWHILE,
        WORTHWHILE,
        POINTLESS,
        POINTLESS,
        RULED_OUT,
    ]
    assert screen_of(capped(8.0, [1.0])).grade((8,)) == WORTHWHILE


def test_what_is_allowed_is_worth_it_unless_the_front_is_asked_for() -> None:
    screen = screen_of(capped(8.0, [1.0]), (0.9, 5.0), (0.5, 2.0), front=False)
    assert [screen.grade((value,)) for value in (2, 5, 8, 9)] == [WORTHWHILE] * 3 + [RULED_OUT]


def test_a_figure_that_is_no_objective_beats_nothing() -> None:
    known = Known(capped(8.0, [1.0]).figures, (None,), lambda found: found[:, 0] <= 8)
    screen = screen_of(known, (0.9, 5.0))
    assert [screen.grade((value,)) for value in (5, 9)] == [WORTHWHILE, RULED_OUT]


def test_the_limit_of_lists_is_kept() -> None:
    assert isinstance(nearby([module.LISTABLE], None), Listed)
    assert isinstance(nearby([module.LISTABLE + 1], None), Unlisted)
