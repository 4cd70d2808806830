"""Looks for an architecture that keeps to several limits at once. Knows no search and refuses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mnas.costs import Cost
from mnas.spaces.base import SearchSpace
from mnas.spaces.sampling import size

#: points that are looked at where all costs are vectorised, and else
MANY, FEW = 400_000, 4_000
#: what a look at fewer points counts for where all costs are vectorised: it takes as long
GRAIN = 50
#: share of the points that are drawn at random
DRAWN = 0.1
#: of the points drawn, the closest that a descent starts from
STARTS = 8
#: how strongly the weight of a share follows by how much it is missed
FOLLOW = 4.0

Shares = NDArray[np.float64]
Points = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Closest:
    """The point whose largest share of a limit is least, of all that were looked at.

    Attributes:
        point: option indices.
        shares: cost / limit, in the order of the limits; none above 1 where the limits are kept.
        whole: whether every point of the space was looked at.
    """

    point: tuple[int, ...]
    shares: tuple[float, ...]
    whole: bool

    @property
    def kept(self) -> bool:
        """Whether it keeps to all limits."""
        return max(self.shares) <= 1


def closest(
    space: SearchSpace, limited: Sequence[tuple[Cost, float]], looks: int | None = None, seed: int = 0
) -> Closest:
    """The point that comes closest to keeping to all limits, or the first that keeps to them.

    Small spaces are looked at as a whole. In others random points come first. From the closest of them,
    coordinate descents follow, on weighted sums of the shares whose weights rise where a share is too large
    and fall where it is not (Lagrange's multipliers by subgradients), each then mended choice by choice and
    by pairs of choices until the largest share falls no more.

    Args:
        space: where every combination of options exists.
        limited: quick costs, with the limit of each.
        looks: at how many points at most; `MANY` where all costs are vectorised, else `FEW`.
    """
    vectorised = all(cost.vectorised for cost, _ in limited)
    usual = MANY if vectorised else FEW
    look = _Look(space, limited, usual if looks is None else looks, GRAIN if vectorised else 1)
    if size(space) <= look.left:
        every = product(*(range(len(choice.options)) for choice in space.choices))
        look.at(np.array(list(every), np.int64))
        return look.found(whole=True)
    rng = np.random.default_rng(seed)
    sizes = np.array([len(choice.options) for choice in space.choices])
    points = rng.integers(0, sizes, (max(STARTS, int(DRAWN * look.left)), len(sizes)))
    shares = look.at(points)
    starts = points[np.argsort(shares.max(axis=1), kind="stable")[:STARTS]]
    weights = np.full((STARTS, len(limited)), 1 / len(limited))
    while look.going():
        for at in range(len(starts)):
            if not look.going():
                break
            starts[at], end = _descend(look, starts[at], weights[at])
            _mend(look, starts[at])
            weights[at] *= np.exp(FOLLOW * (end - end.mean()))
            weights[at] /= weights[at].sum()
        if look.stale():  # all has been tried from here: elsewhere
            starts = rng.integers(0, sizes, starts.shape)
            weights = rng.dirichlet(np.ones(len(limited)), STARTS)
    return look.found(whole=False)


class _Look:
    """Looks at points, and remembers the closest."""

    def __init__(
        self, space: SearchSpace, limited: Sequence[tuple[Cost, float]], looks: int, grain: int
    ) -> None:
        self.left, self._grain = looks, grain
        self.sizes = [len(choice.options) for choice in space.choices]
        self._limited = limited
        self._least = float("inf")
        self._before = float("inf")
        self._point: tuple[int, ...] = ()
        self._shares: tuple[float, ...] = ()

    def at(self, points: Points) -> Shares:
        """The shares of points, [n, limits]."""
        self.left -= max(len(points), self._grain)
        shares = np.stack([cost.figures(points) / limit for cost, limit in self._limited], axis=1)
        largest = shares.max(axis=1)
        at = int(np.argmin(largest))
        if largest[at] < self._least:
            self._least = float(largest[at])
            self._point = tuple(int(index) for index in points[at])
            self._shares = tuple(float(share) for share in shares[at])
        return shares

    def going(self) -> bool:
        """Whether there is still something to look for, and looks are left."""
        return self._least > 1 and self.left > 0

    def stale(self) -> bool:
        """Whether nothing closer has been found since this was asked before."""
        before, self._before = self._before, self._least
        return before == self._least

    def found(self, *, whole: bool) -> Closest:
        """The closest."""
        return Closest(self._point, self._shares, whole)

    def changed(self, point: Points, positions: Sequence[int]) -> Points:
        """A point with every combination of options in some choices."""
        options = np.array(list(product(*(range(self.sizes[at]) for at in positions))), np.int64)
        points = np.repeat(point[None], len(options), axis=0)
        points[:, list(positions)] = options
        return points


def _descend(look: _Look, point: Points, weights: Shares) -> tuple[Points, Shares]:
    """Choice by choice to the least weighted sum of shares; the point and its shares there."""
    best, shares = float("inf"), np.zeros(len(weights))
    while look.going():
        before = best
        for position in range(len(point)):
            points = look.changed(point, (position,))
            there = look.at(points)
            sums = there @ weights
            at = int(np.argmin(sums))
            if sums[at] < best:
                best, point, shares = float(sums[at]), points[at], there[at]
        if best >= before:
            break
    return point, shares


def _mend(look: _Look, point: Points) -> None:
    """By single choices, then by pairs, to the least of what is missed of the limits, until nothing helps."""
    best = float("inf")
    places = range(len(point))
    singles: list[list[tuple[int, ...]]] = [[(one,)] for one in places]
    pairs: list[list[tuple[int, ...]]] = [
        [(one, other) for other in places[one + 1 :]] for one in places[:-1]
    ]
    for neighbours in (singles, pairs):
        improved = True
        while improved and look.going():
            improved = False
            for some in neighbours:
                points = np.concatenate([look.changed(point, positions) for positions in some])
                missed = np.maximum(look.at(points) - 1, 0).sum(axis=1)
                at = int(np.argmin(missed))
                if missed[at] < best - 1e-12:
                    best, point, improved = float(missed[at]), points[at], True
                if not look.going():
                    return
