import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.pareto import best_under, front, hypervolume, hypervolume_ratio, knee, non_dominated

# few different figures, so that ties and equal points are common
figures = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
pairs = st.lists(st.tuples(figures, figures), max_size=12)
triples = st.lists(st.tuples(figures, figures, figures), max_size=12)


def beats(one: Sequence[float], other: Sequence[float], maximise: Sequence[bool]) -> bool:
    better = [a > b if more else a < b for a, b, more in zip(one, other, maximise, strict=True)]
    worse = [a < b if more else a > b for a, b, more in zip(one, other, maximise, strict=True)]
    return any(better) and not any(worse)


@given(triples, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_non_dominated_is_what_nothing_beats(
    points: list[tuple[float, float, float]], maximise: tuple[bool, bool, bool]
) -> None:
    expected = [not any(beats(other, one, maximise) for other in points) for one in points]
    assert non_dominated(points, maximise).tolist() == expected


@given(
    st.lists(st.tuples(figures, st.sampled_from([0.0, 1.0, math.inf]))),
    st.tuples(st.booleans(), st.booleans()),
)
def test_two_objectives_are_no_special_case(
    points: list[tuple[float, float]], maximise: tuple[bool, bool]
) -> None:
    expected = [not any(beats(other, one, maximise) for other in points) for one in points]
    assert non_dominated(points, maximise).tolist() == expected


@given(pairs)
def test_front_is_sorted_and_complete(points: list[tuple[float, float]]) -> None:
    accuracy, latency = [p[0] for p in points], [p[1] for p in points]
    positions = front(accuracy, latency).tolist()
    assert sorted(positions) == np.flatnonzero(non_dominated(points, (True, False))).tolist()
    assert [latency[at] for at in positions] == sorted(latency[at] for at in positions)
    assert [accuracy[at] for at in positions] == sorted(accuracy[at] for at in positions)


def test_equal_points_all_stay() -> None:
    assert non_dominated([(1, 2), (1, 2), (0, 3)], (True, False)).tolist() == [True, True, False]


@given(pairs, figures)
def test_best_under_is_what_looking_at_each_finds(points: list[tuple[float, float]], limit: float) -> None:
    found = best_under([p[0] for p in points], [p[1] for p in points], limit)
    allowed = [p for p in points if p[1] <= limit]
    if not allowed:
        assert found is None
    else:
        assert found is not None
        assert points[found] == max(allowed, key=lambda p: (p[0], -p[1]))


def test_knee_by_hand() -> None:
    accuracy, latency = [0.50, 0.80, 0.88, 0.90, 0.3], [10, 20, 60, 110, 50]
    # the chord runs from (10, 0.5) to (110, 0.9): scaled, the second point lies 0.75 - 0.1 above it
    assert knee(accuracy, latency) == 1


@given(st.lists(st.tuples(figures, figures), min_size=1, max_size=12), st.randoms())
def test_knee_lies_on_the_front_whatever_the_order_and_scale(
    points: list[tuple[float, float]], rng: object
) -> None:
    accuracy, latency = [p[0] for p in points], [p[1] for p in points]
    position = knee(accuracy, latency)
    assert position in front(accuracy, latency)
    order = list(range(len(points)))
    rng.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    again = knee([accuracy[at] / 2 for at in order], [latency[at] * 7 + 3 for at in order])
    assert points[order[again]] == points[position]


def test_knee_of_a_front_without_a_bulge_is_its_fastest() -> None:
    assert knee([0.5, 0.6, 0.9], [1, 2, 3]) == 0
    assert knee([0.5], [1]) == 0
    assert knee([0.5, 0.5], [1, 1]) == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda: non_dominated([(math.nan, 1)], (True, False)),
        lambda: non_dominated([(1, 2, 3)], (True, False)),
        lambda: front([0.5, math.nan], [1, 2]),
        lambda: front([0.5], [1, 2]),
        lambda: knee([], []),
        lambda: best_under([0.5], [1], math.nan),
        lambda: best_under([0.5], [math.nan], 1),
    ],
)
def test_refuses_what_is_no_answerable_question(ask: object) -> None:
    with pytest.raises(BadInput):
        ask()  # type: ignore[operator]


def by_inclusion_and_exclusion(
    points: Sequence[Sequence[float]], maximise: Sequence[bool], reference: Sequence[float]
) -> float:
    """The volume of a union of boxes: those of all single ones, less those of all pairs, and so on."""
    signs = np.where(maximise, 1.0, -1.0)
    sides = [np.maximum(signs * (np.array(p) - np.array(reference)), 0) for p in points]
    total = 0.0
    for count in range(1, len(sides) + 1):
        for some in itertools.combinations(sides, count):
            total -= (-1) ** count * float(np.prod(np.min(some, axis=0)))
    return total


def clouds(objectives: int) -> st.SearchStrategy[tuple[list[tuple[float, ...]], list[bool], list[float]]]:
    figure = figures | st.floats(0, 1).map(lambda value: round(value, 3))
    return st.tuples(
        st.lists(st.tuples(*[figure] * objectives), max_size=7),
        st.lists(st.booleans(), min_size=objectives, max_size=objectives),
        st.lists(figure, min_size=objectives, max_size=objectives),
    )


@given(st.integers(1, 5).flatmap(clouds))
def test_hypervolume_is_that_of_inclusion_and_exclusion(
    cloud: tuple[list[tuple[float, ...]], list[bool], list[float]],
) -> None:
    points, maximise, reference = cloud
    expected = by_inclusion_and_exclusion(points, maximise, reference)
    assert hypervolume(points, maximise, reference) == pytest.approx(expected, abs=1e-12)


@given(st.integers(2, 4).flatmap(clouds), st.randoms())
def test_hypervolume_only_grows_and_knows_no_order(
    cloud: tuple[list[tuple[float, ...]], list[bool], list[float]], rng: object
) -> None:
    points, maximise, reference = cloud
    volumes = [hypervolume(points[:count], maximise, reference) for count in range(len(points) + 1)]
    assert volumes[0] == 0
    assert all(after >= before - 1e-12 for before, after in itertools.pairwise(volumes))
    shuffled = list(points)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert hypervolume(shuffled, maximise, reference) == pytest.approx(volumes[-1], abs=1e-12)
    if points:
        kept = [p for p, stays in zip(points, non_dominated(points, maximise), strict=True) if stays]
        assert hypervolume(kept, maximise, reference) == pytest.approx(volumes[-1], abs=1e-12)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_of_many_points_is_what_throwing_darts_tells(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.random((60, objectives)) ** 0.5
    darts = rng.random((40_000, objectives))
    hit = np.mean([np.any(np.all(dart <= points, axis=1)) for dart in darts])
    found = hypervolume(points, [True] * objectives, [0.0] * objectives)
    assert found == pytest.approx(hit, abs=4 * math.sqrt(0.25 / len(darts)))


def test_hypervolume_by_hand() -> None:
    points = [(0.8, 10), (0.9, 20), (0.5, 15), (0.95, 40)]
    # 0.8 x 10 ms, 0.9 x 20 ms, and the last one is above the reference of 30 ms
    assert hypervolume(points, (True, False), (0, 30)) == pytest.approx(0.8 * 10 + 0.9 * 10)
    assert hypervolume([], (True, False), (0, 30)) == 0
    assert hypervolume([(0.5, 30)], (True, False), (0, 30)) == 0


def test_hypervolume_ratio() -> None:
    truth = [(0.8, 10), (0.9, 20)]
    assert hypervolume_ratio(truth, truth, (True, False), (0, 30)) == 1
    assert hypervolume_ratio([(0.8, 20)], truth, (True, False), (0, 30)) == pytest.approx(8 / 17)
    assert hypervolume_ratio([], truth, (True, False), (0, 30)) == 0
    with pytest.raises(BadInput, match="no point is better than the reference"):
        hypervolume_ratio(truth, truth, (True, False), (0, 10))


@pytest.mark.parametrize(
    ("points", "reference", "message"),
    [
        ([(0.5, 1)], (0, math.inf), "must be finite"),
        ([(0.5, 1)], (0, math.nan), "must be numbers"),
        ([(0.5, -math.inf)], (0, 1), "points must be finite"),
        ([(0.5, 1, 2)], (0, 1), "objectives need"),
        ([(0.5, 1)], (0, 1, 2), "objectives need"),
    ],
)
def test_hypervolumes_that_there_are_none_of(
    points: list[tuple[float, ...]], reference: tuple[float, ...], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        hypervolume(points, (True, False), reference)
