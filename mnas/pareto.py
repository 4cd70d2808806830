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
    return np.array(
        [not np.any(np.all(costs <= cost, axis=1) & np.any(costs < cost, axis=1)) for cost in costs],
        dtype=bool,
    )


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
