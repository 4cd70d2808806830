"""Which trained candidates become finalists. Trains nothing and reads no files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas.errors import BadInput
from mnas.pareto import knee, non_dominated
from mnas.results import Result
from mnas.status import Status


@dataclass(frozen=True, slots=True)
class Choice:
    """The finalists, and where they came from.

    Attributes:
        finalists: least of the first cost first.
        on_front: how many of them no other candidate beats; the others come from the fronts behind.
        best: the most accurate at or below every target, `Status.best`; None if none is.
        knee: of the front by accuracy and the first cost.
    """

    finalists: tuple[Result, ...]
    on_front: int
    best: Result | None
    knee: Result


def choose(status: Status, count: int) -> Choice:
    """Up to `count` trained candidates, spread along the Pareto front over all objectives.

    The best under the targets comes first, if there is a target, and the knee second; then, again and again,
    the front's member farthest from those already chosen (axes scaled to the front's extent), so that a
    longer choice contains every shorter one. A front with too few members is filled up from the fronts behind
    it.

    Raises:
        BadInput: nothing is trained, or `count` is below 1.
    """
    if count < 1:
        raise BadInput(f"the number of finalists is {count}; it must be 1 or more")
    results = status.trained
    if not results:
        raise BadInput("no candidate is trained yet, so there are no finalists; run mnas search first")
    points = np.array([status.point(result) for result in results])
    best = status.best if any(goal.target is not None for goal in status.goals) else None
    bend = knee(*np.array([result.point for result in results]).T)
    asked = [*(index for index, result in enumerate(results) if result is best), bend]
    chosen = list(dict.fromkeys(asked))[:count]
    first = _front(points, np.arange(len(results)))
    left = np.arange(len(results))
    while len(left) and len(chosen) < count:
        members = _front(points, left)
        _spread(chosen, members, points, count)
        left = np.setdiff1d(left, members)
    order = sorted(chosen, key=lambda index: (results[index].point[1], -results[index].point[0]))
    return Choice(
        finalists=tuple(results[index] for index in order),
        on_front=sum(index in first for index in chosen),
        best=best,
        knee=results[bend],
    )


def _front(points: NDArray[np.float64], among: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of some rows of points [n, accuracy and costs], those that no other of them beats, cheapest first."""
    ways = [True, *(False for _ in range(points.shape[1] - 1))]
    members = among[non_dominated(points[among], ways)]
    order: NDArray[np.intp] = np.lexsort((members, *points[members, :0:-1].T))
    return members[order]


def _spread(chosen: list[int], members: NDArray[np.intp], points: NDArray[np.float64], count: int) -> None:
    """Add members one by one, the one farthest from everything chosen first, until `count` are chosen."""
    extent = np.ptp(points[members], axis=0)
    scaled = points / np.where(extent > 0, extent, 1.0)
    waiting = [int(index) for index in members if index not in chosen]
    while waiting and len(chosen) < count:
        gaps = [np.linalg.norm(scaled[chosen] - scaled[index], axis=1).min() for index in waiting]
        chosen.append(waiting.pop(int(np.argmax(gaps))))
