"""Which trained candidates become finalists. Trains nothing and reads no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas.costs import LATENCY
from mnas.errors import BadInput
from mnas.pareto import best_under, front, knee
from mnas.run import Result


@dataclass(frozen=True, slots=True)
class Choice:
    """The finalists, and where they came from.

    Attributes:
        finalists: fastest first.
        on_front: how many of them no other candidate beats; the others come from the fronts behind.
        best: the most accurate at or below the target latency; None if none is.
        knee: the front's knee.
    """

    finalists: tuple[Result, ...]
    on_front: int
    best: Result | None
    knee: Result


def choose(results: Sequence[Result], count: int, target_ms: float | None, factor: float = 1.0) -> Choice:
    """Up to `count` trained candidates, spread along the Pareto front.

    The best below the target latency comes first and the front's knee second; then, again and again, the
    front's member farthest from those already chosen (axes scaled to the front's extent), so that a longer
    choice contains every shorter one. A front with too few members is filled up from the fronts behind it.

    Args:
        target_ms: None for no best.
        factor: measured over predicted: by it, predicted latencies are held against the target. What was
            measured during the search counts as it is.

    Raises:
        BadInput: nothing is trained, or `count` is below 1.
    """
    if count < 1:
        raise BadInput(f"the number of finalists is {count}; it must be 1 or more")
    if not results:
        raise BadInput("no candidate is trained yet, so there are no finalists; run mnas search first")
    accuracy = np.array([result.point[0] for result in results])
    latency = np.array([result.point[1] for result in results])
    there = [result.measured_ms.get(LATENCY, factor * result.point[1]) for result in results]
    best = None if target_ms is None else best_under(accuracy, there, target_ms)
    bend = knee(accuracy, latency)
    first = front(accuracy, latency)
    chosen = list(dict.fromkeys(index for index in (best, bend) if index is not None))[:count]
    left = np.arange(len(results))
    while len(left) and len(chosen) < count:
        members = left[front(accuracy[left], latency[left])]
        _spread(chosen, members, np.stack([accuracy, latency], axis=1), count)
        left = np.setdiff1d(left, members)
    order = sorted(chosen, key=lambda index: (latency[index], -accuracy[index]))
    return Choice(
        finalists=tuple(results[index] for index in order),
        on_front=sum(index in first for index in chosen),
        best=None if best is None else results[best],
        knee=results[bend],
    )


def _spread(chosen: list[int], members: NDArray[np.intp], points: NDArray[np.float64], count: int) -> None:
    """Add members one by one, the one farthest from everything chosen first, until `count` are chosen."""
    extent = np.ptp(points[members], axis=0)
    scaled = points / np.where(extent > 0, extent, 1.0)
    waiting = [int(index) for index in members if index not in chosen]
    while waiting and len(chosen) < count:
        gaps = [np.linalg.norm(scaled[chosen] - scaled[index], axis=1).min() for index in waiting]
        chosen.append(waiting.pop(int(np.argmax(gaps))))
