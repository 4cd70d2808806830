"""Regularised evolution: a population that ages, tournaments, one mutated choice. Knows no Optuna."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from controllers.algorithm import Finished, Turn
from controllers.errors import BadSetting
from controllers.problem import Point, Problem

#: how often a child is mutated anew when it was proposed before; every few times one choice more is changed
TRIES, PATIENCE = 64, 8
#: the largest population
MOST = 10_000


class RegularizedEvolution:
    """Ageing evolution (Real et al., Regularized evolution for image classifier architecture search, 2019).

    The population is the last `population` complete trials: the oldest dies, not the worst, so that what was
    good by luck does not stay. Until it is full, points are drawn at random. Then the best of `tournament`
    members drawn from it, its parent, is copied with one choice changed.

    With several objectives the best is that of the lowest non-domination rank in the population, and of these
    that of the largest crowding distance (Deb et al., NSGA-II, 2002). Trials that were infeasible or failed
    are no members, so never parents.

    Args:
        problem: what to choose from.
        population: members, 2 to 10000.
        tournament: members drawn to find a parent, 1 to `population`.

    Raises:
        BadSetting: one of these is out of range.
    """

    def __init__(self, problem: Problem, population: int, tournament: int) -> None:
        if not 2 <= population <= MOST:
            raise BadSetting(f"population of regularized_evolution is {population}; allowed: 2 to {MOST}")
        if not 1 <= tournament <= population:
            raise BadSetting(
                f"tournament of regularized_evolution is {tournament}; allowed: 1 to its population, "
                f"{population}"
            )
        self._sizes = np.array(problem.sizes)
        self._open = np.flatnonzero(self._sizes > 1)
        self._population = population
        self._tournament = tournament
        self._members: deque[tuple[Point, NDArray[np.float64]]] = deque(maxlen=population)

    def learn(self, finished: Finished) -> None:
        """A complete trial joins the population; the oldest leaves it."""
        if finished.costs is not None:
            self._members.append((finished.point, finished.costs))

    def propose(self, turn: Turn) -> Point:
        """A random point while the population grows, then a tournament winner's mutated child."""
        if len(self._members) < self._population:
            return tuple(turn.rng.integers(self._sizes).tolist())
        parent = self._parent(turn.rng)
        child = parent
        for attempt in range(TRIES if self._open.size else 0):
            child = self._mutated(parent, min(1 + attempt // PATIENCE, self._open.size), turn.rng)
            if child not in turn.seen:
                break
        return child

    def _parent(self, rng: np.random.Generator) -> Point:
        ranks, crowding = standing(np.array([costs for _, costs in self._members]))
        drawn = rng.choice(self._population, size=self._tournament, replace=False)
        winner = drawn[np.lexsort((-crowding[drawn], ranks[drawn]))[0]]
        return self._members[winner][0]

    def _mutated(self, parent: Point, changes: int, rng: np.random.Generator) -> Point:
        child = np.array(parent)
        at = rng.choice(self._open, size=changes, replace=False)
        child[at] = (child[at] + rng.integers(1, self._sizes[at])) % self._sizes[at]
        return tuple(child.tolist())


def standing(costs: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Non-domination ranks and crowding distances (Deb et al., NSGA-II, 2002, sections III A and B).

    Args:
        costs: less is better, [n, m].

    Returns:
        Ranks [n], 0 for the front, and crowding distances within each rank [n], infinite at the ends. Of one
        objective, the rank is the number of smaller values that occur.
    """
    at_most = np.all(costs[:, None] <= costs[None], axis=2)
    dominates = at_most & ~at_most.T
    ranks = np.full(len(costs), -1)
    rank = 0
    while (open_ := ranks < 0).any():
        ranks[open_ & ~dominates[open_].any(axis=0)] = rank
        rank += 1
    crowding = np.zeros(len(costs))
    for one in range(rank):
        members = np.flatnonzero(ranks == one)
        for values in costs[members].T:
            order = members[np.argsort(values, kind="stable")]
            ordered = np.sort(values)
            crowding[order[[0, -1]]] = np.inf
            if ordered[-1] > ordered[0]:
                crowding[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
    return ranks, crowding
