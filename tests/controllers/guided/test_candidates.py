import numpy as np

from controllers.algorithm import Turn
from controllers.guided.candidates import Candidates, bred, everything, listable, pool
from controllers.guided.spread import spread, van_der_corput
from controllers.problem import Figures, Known, Point, Points, Problem

HUGE = {f"x{at}": tuple(range(10)) for at in range(20)}


def total(points: Points) -> Figures:
    return points.sum(axis=1, keepdims=True).astype(float)


def few(figures: Figures) -> np.ndarray:
    """Less than one in 10^13 of all points."""
    return figures[:, 0] <= 12


def test_a_small_space_is_listed_and_points_that_exist_are_all_there_are() -> None:
    space = Problem({"a": (1, 2), "b": (1, 2, 3)})
    assert listable(space)
    assert everything(space).tolist() == [[a, b] for a in range(2) for b in range(3)]
    some = Problem(HUGE, points=np.eye(20, dtype=np.int64))
    assert listable(some)
    assert len(everything(some)) == 20
    assert not listable(Problem(HUGE))


def test_children_have_mostly_their_parents_options() -> None:
    parents = np.array([[0] * 20, [9] * 20])
    children = bred(parents, (10,) * 20, 1000, np.random.default_rng(0))
    from_one_of_them = np.isin(children, (0, 9)).mean(axis=1)
    assert 0.8 < from_one_of_them.mean() < 0.99
    assert children.shape == (1000, 20)


def test_a_pool_finds_what_is_allowed_even_where_hardly_anything_is() -> None:
    looked = []

    def figures(points: Points) -> Figures:
        looked.append(len(points))
        return total(points)

    space = Problem(HUGE, Known(figures, (1,), few, pool=500))
    found = pool(space, np.zeros((0, 20), np.int64), 4096, np.random.default_rng(0))
    assert found.allowed(space).any()
    assert max(looked) <= 500
    nothing = Problem(HUGE, Known(total, (1,), lambda figures: np.zeros(len(figures), bool)))
    assert len(pool(nothing, np.zeros((0, 20), np.int64), 300, np.random.default_rng(0)).points)


def test_figures_that_are_no_numbers_are_not_allowed() -> None:
    space = Problem(HUGE, Known(total, (1,), lambda figures: np.ones(len(figures), bool)))
    candidates = Candidates(np.zeros((3, 20), np.int64), np.array([[1.0], [np.inf], [np.nan]]))
    assert candidates.allowed(space).tolist() == [True, False, False]


def test_the_first_points_cover_latency_and_options() -> None:
    space = Problem({f"x{at}": (0, 1, 2) for at in range(6)})
    points = everything(space)
    weights = np.array([1.0, 2, 4, 8, 16, 32])
    candidates = Candidates(points, (points @ weights)[:, None])
    seen: list[Point] = []
    for number in range(9):
        turn = Turn(np.random.default_rng(number), number, (), frozenset(seen))
        seen.append(spread(candidates, (0,), space.sizes, turn))
    latency = np.array(seen) @ weights
    assert set(np.digitize(latency, np.quantile(candidates.figures, [0.25, 0.5, 0.75]))) == {0, 1, 2, 3}
    options = [np.bincount(column, minlength=3).min() for column in np.array(seen).T]
    assert min(options) >= 1
    assert [van_der_corput(number) for number in (1, 2, 3, 4)] == [0.5, 0.25, 0.75, 0.125]
