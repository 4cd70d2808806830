"""What finished trials are worth to those who learn from one number. Knows no strategy and no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controllers.algorithm import Finished
from controllers.errors import BadSetting
from controllers.problem import Problem

#: aims where nothing says what is to be reached, and the most that there may be
SEVERAL, MOST = 5, 100
#: rewards that stand for infinite ones: taken for the largest, or smallest, of the others
ENDLESS = 1e99

Rewards = NDArray[np.float64]


def aims_of(name: str, aims: int, problem: Problem) -> int:
    """How many aims the strategy of a name has; of 0, one where the problem has a reward, else `SEVERAL`.

    Raises:
        BadSetting: fewer than 0, or more than `MOST`.
    """
    if not 0 <= aims <= MOST:
        raise BadSetting(
            f"aims of {name} is {aims}; it must be 1 to {MOST}, or 0 for 1 where there is a reward, "
            f"else {SEVERAL}"
        )
    return aims or (SEVERAL if problem.reward is None else 1)


class Aims:
    """Rewards of finished trials by several aims.

    One aim is the trials' own reward; what is infeasible is no better than the worst so far. It leads to one
    point of a front. Several aims lead to as many parts of it: aim k of n, from 0, weighs the first objective
    by (k + 1/2) / n and the mean of the others by the rest. What is weighed is the share of all trials so far
    that are worse in an objective, so that neither units nor extreme values matter. Every trial counts for
    every aim, whichever it was proposed for. What is infeasible is the worst in every objective.

    Of a single objective, all aims are the trials' own reward: one is enough.

    Args:
        count: of aims, n.

    Attributes:
        active: how many aims are told apart: all once trials have several objectives, else one.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.active = 1
        self._finished: list[Finished] = []

    def add(self, finished: Finished) -> bool:
        """Take a trial in; False if it failed, which says nothing of its point."""
        if finished.state == "failed":
            return False
        self._finished.append(finished)
        if finished.costs is not None and len(finished.costs) > 1:
            self.active = self.count
        return True

    def rewards(self, last: int) -> Rewards:
        """Of the last trials that were taken in, in their order, [n, last]; more is better."""
        if self.active == 1:
            return np.broadcast_to(self._own()[-last:], (self.count, last))
        costs = self._costs()
        ranks = np.stack([_ranks(column, column[-last:]) for column in costs.T])
        weights = (np.arange(self.count)[:, None] + 0.5) / self.count
        found: Rewards = weights * ranks[0] + (1 - weights) * ranks[1:].mean(axis=0)
        return found

    def _own(self) -> Rewards:
        """The rewards of all trials, [trials]."""
        given = np.array(
            [np.nan if each.reward is None else each.reward for each in self._finished], np.float64
        )
        complete = np.array([each.state == "complete" for each in self._finished])
        plain = given[complete & (np.abs(given) < ENDLESS)]
        lowest, highest = (plain.min(), plain.max()) if plain.size else (0.0, 0.0)
        found: Rewards = np.where(complete, np.clip(given, lowest, highest), np.fmin(given, lowest))
        return found

    def _costs(self) -> NDArray[np.float64]:
        """Of all trials, infinite where infeasible, [trials, m]; m is 0 if none is complete."""
        widths = {len(each.costs) for each in self._finished if each.costs is not None}
        width = max(widths, default=0)
        return np.array(
            [np.full(width, np.inf) if each.costs is None else each.costs for each in self._finished]
        )


def _ranks(every: NDArray[np.float64], some: NDArray[np.float64]) -> Rewards:
    """The share of costs that are larger than each of some, [some]."""
    return 1.0 - np.searchsorted(np.sort(every), some, side="right") / len(every)
