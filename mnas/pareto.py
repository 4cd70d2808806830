"""Pareto fronts of points, and what people read from them. Knows no networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnas.errors import BadInput


def non_dominated(points: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.bool_]:
    """Which points no other point beats: as good in every objective and better in one. Equal points all stay.

    Args:
        points: one row per point, one column per objective, [n, m].
        maximise: per objective, whether more is better.

    Raises:
        BadInput: shapes disagree, or a figure is not a number.
    """
    costs = _costs(points, maximise)
    if costs.shape[1] == 2:
        return _staircase(costs)
    # who beats another has the smaller sum of ranks: so the first of those left by that sum is beaten by none
    ranks = [np.unique(column, return_inverse=True)[1] for column in costs.T]
    left = np.argsort(np.sum(ranks, axis=0), kind="stable") if len(costs) else np.empty(0, np.intp)
    kept = np.zeros(len(costs), bool)
    while len(left):
        kept[left[0]] = True
        first, others = costs[left[0]], costs[left[1:]]
        left = left[1:][~(np.all(first <= others, axis=1) & np.any(first < others, axis=1))]
    return kept


def _staircase(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The same of two costs, by one sweep along the first: who stays has a new least second cost."""
    order = np.lexsort((costs[:, 1], costs[:, 0]))
    first, second = costs[order].T
    begins = np.append(True, first[1:] != first[:-1])[: len(costs)]
    least = second[begins]
    lower = np.append(True, least[1:] < np.minimum.accumulate(least)[:-1])[: len(least)]
    step = np.cumsum(begins) - 1
    kept = np.zeros(len(costs), bool)
    kept[order] = lower[step] & (second == least[step])
    return kept


def front(accuracy: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.intp]:
    """Positions of the points that no other beats in accuracy and latency, fastest first."""
    points = _pairs(accuracy, latency_ms)
    kept = np.flatnonzero(non_dominated(points, (True, False)))
    order: NDArray[np.intp] = kept[np.lexsort((kept, points[kept, 1]))]
    return order


def knee(accuracy: ArrayLike, latency_ms: ArrayLike) -> int:
    """Position of the front's knee: beyond it, accuracy costs more latency than on the front's average.

    Both axes are scaled so that the front's ends lie at 0 and 1; the knee is the front's point farthest above
    the straight line between the ends (Das, On characterizing the "knee" of the Pareto curve, Structural
    Optimization 18, 1999). The faster one of equals; the fastest of a front without a bulge.

    Raises:
        BadInput: there are no points, shapes disagree, or a figure is not a number.
    """
    positions = front(accuracy, latency_ms)
    if not len(positions):
        raise BadInput("a knee needs at least one point")
    curve = _pairs(accuracy, latency_ms)[positions]
    span = curve[-1] - curve[0]
    if not np.all(span > 0):
        return int(positions[0])
    scaled = (curve - curve[0]) / span
    height = np.round(scaled[:, 0] - scaled[:, 1], 12)
    return int(positions[np.argmax(height)])


def best_under(accuracy: ArrayLike, latency_ms: ArrayLike, limit_ms: float) -> int | None:
    """Position of the most accurate point at or below a latency; the fastest of equals; None if none is.

    Raises:
        BadInput: shapes disagree, or a figure is not a number.
    """
    points = _pairs(accuracy, latency_ms)
    if np.isnan(limit_ms):
        raise BadInput("the limit is not a number")
    below = np.flatnonzero(points[:, 1] <= limit_ms)
    if not len(below):
        return None
    return int(below[np.lexsort((points[below, 1], -points[below, 0]))[0]])


def hypervolume(points: ArrayLike, maximise: Sequence[bool], reference: Sequence[float]) -> float:
    """The volume that points dominate, up to a reference point; exact, for any number of objectives.

    Two objectives by a sweep, more by slices, each of which has one objective less (While, Hingston, Barone,
    Huband, A faster algorithm for calculating hypervolume, IEEE Transactions on Evolutionary Computation 10,
    2006).

    Args:
        points: [n, m]; those that are not better than the reference in every objective count for nothing.
        maximise: per objective, whether more is better.
        reference: [m], in the objectives' own units.

    Raises:
        BadInput: shapes disagree, or a figure is not a number; the reference must be finite.
    """
    corner = _costs([reference], maximise)[0]
    if not np.isfinite(corner).all():
        raise BadInput(f"the reference is {list(reference)}; it must be finite")
    costs = _costs(points, maximise)
    if np.isinf(costs).any():
        raise BadInput("points must be finite; one is not")
    costs = costs[np.all(costs < corner, axis=1)]
    return _volume(corner - costs[non_dominated(costs, [False] * len(corner))])


def hypervolume_ratio(
    points: ArrayLike, true_points: ArrayLike, maximise: Sequence[bool], reference: Sequence[float]
) -> float:
    """The hypervolume of points as a share of that of all points there are, 0 to 1.

    Raises:
        BadInput: as `hypervolume`, or none of the true points is better than the reference.
    """
    whole = hypervolume(true_points, maximise, reference)
    if not whole:
        raise BadInput(f"no point is better than the reference {list(reference)} in every objective")
    return hypervolume(points, maximise, reference) / whole


def _volume(sides: NDArray[np.float64]) -> float:
    """The volume of a union of boxes from the origin to corners [n, m], all above 0, no box in another."""
    if not len(sides):
        return 0.0
    if sides.shape[1] == 1:
        return float(sides.max())
    sides = sides[np.argsort(-sides[:, 0], kind="stable")]
    if sides.shape[1] == 2:  # the first side falls, so the second one rises
        tall = np.maximum.accumulate(sides[:, 1])
        return float(np.sum(sides[:, 0] * np.diff(tall, prepend=0.0)))
    total, area = 0.0, 0.0
    kept = np.empty((0, sides.shape[1] - 1))
    depths = -np.diff(sides[:, 0], append=0.0)
    for side, depth in zip(sides[:, 1:], depths, strict=True):
        if not np.any(np.all(kept >= side, axis=1)):
            kept = np.vstack([kept[~np.all(kept <= side, axis=1)], side])
            area = _volume(kept)
        total += float(depth) * area
    return total


def _pairs(accuracy: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.float64]:
    columns = [np.asarray(column, np.float64) for column in (accuracy, latency_ms)]
    if columns[0].ndim != 1 or columns[0].shape != columns[1].shape:
        raise BadInput(
            f"accuracies {columns[0].shape} and latencies {columns[1].shape} must be lists of one length"
        )
    points = np.stack(columns, axis=1)
    if np.isnan(points).any():
        raise BadInput("accuracies and latencies must be numbers; one is not")
    return points


def _costs(points: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.float64]:
    """The points with every objective turned so that less is better, [n, m]."""
    table = np.asarray(points, np.float64)
    if table.size == 0:
        table = table.reshape(0, len(maximise))
    if table.ndim != 2 or table.shape[1] != len(maximise):
        raise BadInput(
            f"points have shape {table.shape}; {len(maximise)} objectives need [n, {len(maximise)}]"
        )
    if np.isnan(table).any():
        raise BadInput("points must be numbers; one is not")
    return np.where(np.asarray(maximise, bool), -table, table)
