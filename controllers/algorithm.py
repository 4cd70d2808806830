"""What a strategy of this package is: it learns from finished trials and proposes points. Knows no Optuna."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.problem import Point


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A finished trial.

    Attributes:
        point: one option index per choice.
        state: `complete`; `infeasible`, ruled out before it was evaluated; or `failed`.
        costs: the study's objectives turned so that less is better, [m]; None unless complete.
        reward: more is better. Of what is infeasible, the reward of nothing at all: 0; None where the
            problem has no reward, so that nothing says what that would be. None if failed.
    """

    point: Point
    state: Literal["complete", "infeasible", "failed"]
    costs: NDArray[np.float64] | None
    reward: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What a proposal is made with.

    Attributes:
        rng: this proposal's own generator. Nothing else may be random, so that proposals repeat.
        ordinal: how many trials came before.
        pending: points that are being evaluated.
        seen: points that were proposed before, finished or not: none is to be proposed again.
    """

    rng: np.random.Generator
    ordinal: int
    pending: Sequence[Point]
    seen: Collection[Point]


class Algorithm(Protocol):
    """A strategy. Its state follows from what it learned, in that order, and from its own seed alone."""

    def learn(self, finished: Finished) -> None:
        """Take a finished trial into account; called once for each.

        Of those that finished since the last proposal, in the order of their numbers: of a study that runs
        one trial at a time that is the order of all.
        """

    def propose(self, turn: Turn) -> Point:
        """The point to evaluate next; the same again for the same turn. Changes no state."""


def first_new(points: Iterable[Point], turn: Turn, existing: Collection[Point] | None) -> Point:
    """The first of points that exists and was not proposed before; the first of all where none is.

    Args:
        points: one or more; no more of them are asked for than are looked at.
        turn: knows what was proposed.
        existing: the points that exist; None if all do.
    """
    first: Point | None = None
    for point in points:
        first = first or point
        if point not in turn.seen and (existing is None or point in existing):
            return point
    assert first is not None
    return first
