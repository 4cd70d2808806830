import numpy as np
import pytest

from controllers.guided.encoding import Floats
from controllers.guided.improvement import Cells, improvement, membership


def dominated(figures: Floats, values: Floats, reference: Floats, floor: float, samples: Floats) -> Floats:
    """Which samples [n, k + 1] of the box some point dominates."""
    found = np.zeros(len(samples), bool)
    for figure, value in zip(figures, values, strict=True):
        inside = np.all(figure < reference) and value > floor
        found |= inside & np.all(samples[:, :-1] >= figure, axis=1) & (samples[:, -1] <= value)
    return found


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_the_expectation_is_the_mean_of_hypervolumes_added(width: int) -> None:
    """Against volumes counted by samples, for values drawn one by one."""
    rng = np.random.default_rng(width)
    figures, values = rng.random((7, width)), rng.random(7)
    reference, floor, least = np.full(width, 0.9), 0.1, np.zeros(width)
    cells = Cells.of(figures, values, least, reference, floor)
    own, mean, deviation = rng.random((3, width)) * 0.7, np.array([0.5, 0.9, 1.2]), np.array([0.3, 0.2, 0.1])
    expected = cells.expected(own, mean, deviation)
    high = 2.5
    samples = rng.random((60_000, width + 1)) * np.array([*reference, high - floor])
    samples[:, -1] += floor
    box = np.prod([*reference, high - floor])
    old = dominated(figures, values, reference, floor, samples)
    for at in range(3):
        reached = np.all(samples[:, :-1] >= own[at], axis=1) & ~old
        heights = np.sort(rng.normal(mean[at], deviation[at], 4000))
        share = 1.0 - np.searchsorted(heights, samples[reached, -1]) / len(heights)
        assert expected[at] == pytest.approx(box * share.sum() / len(samples), rel=0.05, abs=0.003)


def test_an_uncertain_value_below_the_best_is_still_worth_something() -> None:
    mean, deviation = np.array([0.0, 0.0, 1.0]), np.array([1.0, 1e-9, 1e-9])
    assert improvement(mean, deviation, 0.0) == pytest.approx([0.3989, 0, 1], abs=1e-3)


def test_what_is_beyond_the_reference_adds_nothing_and_standing_orders_what_is_hopeless() -> None:
    cells = Cells.of(np.array([[0.5]]), np.array([1.0]), np.array([0.0]), np.array([1.0]), 0.0)
    figures = np.array([[2.0], [0.6], [0.6], [0.4]])
    mean, deviation = np.array([9.0, -50.0, -40.0, -40.0]), np.full(4, 0.1)
    assert cells.expected(figures, mean, deviation)[0] == 0.0
    standing = cells.standing(figures, mean, deviation)
    assert standing[1] < standing[2] < standing[3]


def test_many_lines_of_several_known_objectives_are_thinned_and_nothing_breaks() -> None:
    rng = np.random.default_rng(0)
    figures = rng.random((300, 3))
    cells = Cells.of(figures, 3 - figures.sum(axis=1), np.zeros(3), np.ones(3), 0.0)
    assert len(cells.lower) <= 17**3
    assert np.all(cells.expected(figures, np.full(300, 2.0), np.full(300, 0.1)) >= 0)


def test_membership_is_how_often_a_point_is_on_the_front() -> None:
    figures = np.array([[1.0], [2.0], [3.0]])
    draws = np.array([[5.0, 6.0, 4.0], [5.0, 4.0, 9.0]])
    known = membership(draws, figures, np.array([5.5]), np.array([[1.5]]))
    assert known.tolist() == [1.0, 0.5, 0.5]
    assert membership(draws, figures, np.zeros(0), np.zeros((0, 1))).tolist() == [1.0, 0.5, 0.5]
