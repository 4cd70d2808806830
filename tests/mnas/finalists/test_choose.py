from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.finalists.choose import choose
from mnas.run import Result


def results(points: list[tuple[float, float]]) -> list[Result]:
    return [
        Result(number, (0,), f"network {number}", accuracy, latency_ms, "trained", 1.0)
        for number, (accuracy, latency_ms) in enumerate(points)
    ]


FRONT = [(0.50, 1.0), (0.60, 1.1), (0.70, 2.0), (0.71, 5.0), (0.72, 9.0)]
BEHIND = [(0.40, 1.5), (0.55, 6.0)]


def numbers(points: list[tuple[float, float]], count: int, target_ms: float | None = None) -> list[int]:
    return [one.number for one in choose(results(points), count, target_ms).finalists]


def test_the_best_under_the_target_and_the_knee_come_first() -> None:
    choice = choose(results(FRONT), 2, 6.0)
    assert choice.best is not None
    assert choice.best.number == 3
    assert choice.knee.number == 2
    assert [one.number for one in choice.finalists] == [2, 3]
    assert numbers(FRONT, 1, 6.0) == [3]


def test_the_rest_is_spread_along_the_front() -> None:
    assert numbers(FRONT, 3, 1.05) == [0, 2, 4]  # the best under 1.05 ms, the knee, the far end
    assert numbers(FRONT, 5, 1.05) == [0, 1, 2, 3, 4]


def test_a_target_that_nothing_reaches_leaves_the_knee() -> None:
    choice = choose(results(FRONT), 1, 0.5)
    assert choice.best is None
    assert [one.number for one in choice.finalists] == [2]


def test_a_short_front_is_filled_up_from_behind() -> None:
    choice = choose(results(FRONT[:2] + BEHIND), 3, None)
    assert choice.on_front == 2
    assert [one.number for one in choice.finalists] == [0, 1, 3]


def test_fewer_candidates_than_asked_for_are_all_taken() -> None:
    assert numbers([(0.5, 1.0)], 5) == [0]


def test_nothing_trained_is_refused() -> None:
    with pytest.raises(BadInput, match="run mnas search first"):
        choose([], 3, 1.0)
    with pytest.raises(BadInput, match="number of finalists is 0"):
        choose(results(FRONT), 0, 1.0)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=15),
    st.integers(1, 8),
    st.integers(1, 25),
)
def test_a_longer_choice_contains_the_shorter_one(
    points: list[tuple[int, int]], count: int, target_ms: int
) -> None:
    candidates = results([(accuracy / 20, float(latency)) for accuracy, latency in points])
    shorter = choose(candidates, count, target_ms)
    longer = choose(candidates, count + 1, target_ms)
    assert len(shorter.finalists) == min(count, len(points))
    assert {one.number for one in shorter.finalists} <= {one.number for one in longer.finalists}
    assert len({one.number for one in longer.finalists}) == len(longer.finalists)
    if shorter.best is not None:
        assert shorter.best in shorter.finalists
    if count > 1:
        assert shorter.knee in shorter.finalists
    latencies = [one.latency_ms or 0 for one in longer.finalists]
    assert latencies == sorted(latencies)
