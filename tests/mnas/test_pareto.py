import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.pareto import best_under, front, knee, non_dominated

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
