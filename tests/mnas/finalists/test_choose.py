from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.costs import Goal
from mnas.errors import BadInput
from mnas.finalists.choose import choose
from mnas.run import Result
from mnas.status import Status


def searched(points: list[tuple[float, float]], target_ms: float | None = None) -> Status:
    results = [
        Result(number, (0,), f"network {number}", accuracy, latency_ms, "trained", 1.0)
        for number, (accuracy, latency_ms) in enumerate(points)
    ]
    return Status(tuple(results), len(results), (Goal("latency_ms", target=target_ms),))


FRONT = [(0.50, 1.0), (0.60, 1.1), (0.70, 2.0), (0.71, 5.0), (0.72, 9.0)]
BEHIND = [(0.40, 1.5), (0.55, 6.0)]


def numbers(points: list[tuple[float, float]], count: int, target_ms: float | None = None) -> list[int]:
    return [one.number for one in choose(searched(points, target_ms), count).finalists]


def test_the_best_under_the_target_and_the_knee_come_first() -> None:
    choice = choose(searched(FRONT, 6.0), 2)
    assert choice.best is not None
    assert choice.best.number == 3
    assert choice.knee.number == 2
    assert [one.number for one in choice.finalists] == [2, 3]
    assert numbers(FRONT, 1, 6.0) == [3]


GOALS = (Goal("latency_ms", target=6.0), Goal("latency_ms:pi5", target=20.0))


def two_devices(pi5_ms: tuple[float, ...]) -> Status:
    plain = searched(FRONT + BEHIND)
    both = zip(plain.results, pi5_ms, strict=True)
    results = tuple(replace(one, costs={"latency_ms:pi5": other}) for one, other in both)
    return replace(plain, results=results, goals=GOALS)


def test_the_best_is_under_the_targets_of_all_devices() -> None:
    status = two_devices((10, 11, 19, 50, 90, 15, 60))
    choice = choose(status, 1)
    assert choice.best is status.best is status.results[2]
    assert choice.finalists == (status.results[2],)


def test_the_front_is_over_all_objectives() -> None:
    """Candidates that are slow on the first device are the fastest on the second."""
    status = two_devices((10, 11, 19, 50, 90, 2, 3))
    choice = choose(status, 7)
    assert choice.on_front == 7 == len(status.front)
    assert {one.number for one in choose(status, 4).finalists} & {5, 6}
    assert choose(two_devices((10, 11, 19, 50, 90, 95, 96)), 7).on_front == 5


def test_what_the_search_has_measured_and_corrected_counts_for_the_best() -> None:
    status = replace(searched(FRONT, 6.0), factors={"latency_ms": 1.3})
    assert choose(status, 1).best is status.results[2]
    measured = replace(status, measured={"latency_ms": {"network 3": 5.9}})
    assert choose(measured, 1).best is status.results[3]
    assert choose(searched(FRONT), 5).best is None


def test_the_rest_is_spread_along_the_front() -> None:
    assert numbers(FRONT, 3, 1.05) == [0, 2, 4]  # the best under 1.05 ms, the knee, the far end
    assert numbers(FRONT, 5, 1.05) == [0, 1, 2, 3, 4]


def test_a_target_that_nothing_reaches_leaves_the_knee() -> None:
    choice = choose(searched(FRONT, 0.5), 1)
    assert choice.best is None
    assert [one.number for one in choice.finalists] == [2]


def test_a_short_front_is_filled_up_from_behind() -> None:
    choice = choose(searched(FRONT[:2] + BEHIND), 3)
    assert choice.on_front == 2
    assert [one.number for one in choice.finalists] == [0, 1, 3]


def test_fewer_candidates_than_asked_for_are_all_taken() -> None:
    assert numbers([(0.5, 1.0)], 5) == [0]


def test_nothing_trained_is_refused() -> None:
    with pytest.raises(BadInput, match="run mnas search first"):
        choose(searched([], 1.0), 3)
    with pytest.raises(BadInput, match="number of finalists is 0"):
        choose(searched(FRONT, 1.0), 0)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=15),
    st.integers(1, 8),
    st.integers(1, 25),
)
def test_a_longer_choice_contains_the_shorter_one(
    points: list[tuple[int, int]], count: int, target_ms: int
) -> None:
    candidates = searched([(accuracy / 20, float(latency)) for accuracy, latency in points], target_ms)
    shorter = choose(candidates, count)
    longer = choose(candidates, count + 1)
    assert len(shorter.finalists) == min(count, len(points))
    assert {one.number for one in shorter.finalists} <= {one.number for one in longer.finalists}
    assert len({one.number for one in longer.finalists}) == len(longer.finalists)
    if shorter.best is not None:
        assert shorter.best in shorter.finalists
    if count > 1:
        assert shorter.knee in shorter.finalists
    latencies = [one.latency_ms or 0 for one in longer.finalists]
    assert latencies == sorted(latencies)
