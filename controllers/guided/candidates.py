"""What a proposal is chosen from: all of a small space, else a pool around the front. Predicts nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.guided.encoding import Floats
from controllers.problem import Point, Points, Problem

#: the largest space of which all points are looked at
LISTED = 200_000
#: how often a pool in which nothing is allowed is drawn again, nearer to small figures each time
DESCENTS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Points and what is known of them.

    Attributes:
        points: [s, d].
        figures: [s, k]; k is 0 if nothing is known.
    """

    points: Points
    figures: Floats

    def allowed(self, problem: Problem) -> NDArray[np.bool_]:
        """Which may be evaluated now, [s]."""
        if problem.known is None or not len(self.points):
            return np.ones(len(self.points), bool)
        finite = np.isfinite(self.figures).all(axis=1)
        return finite & np.asarray(problem.known.allowed(self.figures), bool)

    def unseen(self, seen: Collection[Point]) -> NDArray[np.bool_]:
        """Which are not among points, [s]."""
        return np.array([point not in seen for point in map(tuple, self.points.tolist())], bool)

    def at(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Candidates:
        """Some of them."""
        return Candidates(self.points[rows], self.figures[rows])


def looked_up(problem: Problem, points: Points) -> Candidates:
    """Points with their figures."""
    if problem.known is None or not len(points):
        width = 0 if problem.known is None else len(problem.known.objectives)
        return Candidates(points, np.zeros((len(points), width)))
    return Candidates(points, np.asarray(problem.known.figures(points), float))


def listable(problem: Problem) -> bool:
    """Whether the space is small enough to look at every point."""
    return problem.points is not None or problem.size <= LISTED


def everything(problem: Problem) -> Points:
    """All points that exist."""
    if problem.points is not None:
        return np.unique(problem.points, axis=0)
    return np.stack(np.unravel_index(np.arange(problem.size), problem.sizes), axis=1).astype(np.int64)


def at_random(problem: Problem, count: int, rng: np.random.Generator) -> Points:
    """Points drawn evenly."""
    return rng.integers(0, problem.sizes, size=(count, len(problem.sizes)))


def bred(parents: Points, sizes: tuple[int, ...], count: int, rng: np.random.Generator) -> Points:
    """Mutants of parents and of crossings between them; a few choices of each are drawn anew."""
    mothers, fathers = parents[rng.integers(len(parents), size=(2, count))]
    crossed = rng.random((count, 1)) < 0.5
    children = np.where(crossed & rng.integers(0, 2, mothers.shape, dtype=np.bool_), fathers, mothers)
    changes = (rng.geometric(0.5, size=(count, 1)) / len(sizes)).astype(np.float32)
    fresh = rng.integers(0, sizes, size=children.shape)
    return np.where(rng.random(children.shape, np.float32) < changes, fresh, children)


def pool(problem: Problem, parents: Points, count: int, rng: np.random.Generator) -> Candidates:
    """Points of a space too large to list: half at random, half bred from parents; looked up.

    If none is allowed, as where a limit leaves a corner of the space, more are bred from those with the
    smallest figures, a bounded number of times.
    """
    count = max(2, count if problem.known is None else min(count, problem.known.pool))
    drawn = at_random(problem, count // 2 if len(parents) else count, rng)
    if len(parents):
        drawn = np.concatenate([drawn, bred(parents, problem.sizes, count // 2, rng)])
    found = looked_up(problem, drawn)
    for _ in range(DESCENTS):
        if problem.known is None or found.allowed(problem).any():
            break
        order = np.argsort(np.argsort(found.figures, axis=0), axis=0).max(axis=1)
        least = found.points[np.argsort(order, kind="stable")[: max(2, len(order) // 20)]]
        found = looked_up(problem, bred(least, problem.sizes, min(count, 4096), rng))
    return found
