"""New points near one that a strategy proposed in vain. Knows no study and no strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import repeat
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.known import RULED_OUT, Screen
from controllers.problem import Figures, Points

#: the largest space whose points are listed, to find the nearest that is left
LISTABLE = 100_000
#: random neighbours that are tried in a larger one, farther and farther away
NEIGHBOURS = 200
#: points by chance that are looked up at a time when nothing near is allowed
CHUNK = 4096

Place = tuple[float, ...]
Floats = NDArray[np.float64]
#: rows of places
Places = Floats


class Nearby(Protocol):
    """Finds points of one space."""

    def find(
        self, place: Place, seen: Set[Place], rng: np.random.Generator, screen: Screen | None
    ) -> Place | None:
        """An unseen point near a place, of the best grade that there is; None if all were seen."""


def nearby(sizes: Sequence[int], points: Points | None) -> Nearby:
    """How to find points of a space.

    Args:
        sizes: number of options of each parameter that is a choice, 0 for one that is none.
        points: those that exist, [n, d]; None if every combination of options does.
    """
    if points is not None:
        return Listed(np.unique(points, axis=0))
    if 0 < prod(sizes) <= LISTABLE:
        return Listed(np.stack(np.unravel_index(np.arange(prod(sizes)), sizes), axis=1))
    return Unlisted(sizes)


class Listed:
    """Of a space that can be listed: the nearest point, in the number of choices that differ."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._row = {tuple(point): row for row, point in enumerate(points.tolist())}
        self._figures: Figures | None = None
        self._looked_up = np.zeros(len(points), dtype=bool)

    def find(
        self, place: Place, seen: Set[Place], rng: np.random.Generator, screen: Screen | None
    ) -> Place | None:
        """The nearest; with a screen, of the best grade among as many of the nearest as may be looked up."""
        left = np.ones(len(self._points), dtype=bool)
        left[[self._row[one] for one in seen if one in self._row]] = False
        rows = rng.permutation(np.flatnonzero(left))
        if not rows.size:
            return None
        apart = np.count_nonzero(self._points[rows] != np.array(place), axis=1)
        if screen is None:
            return tuple(self._points[rows[apart.argmin()]].tolist())
        rows = rows[np.argsort(apart, kind="stable")][: screen.known.pool]
        grades = screen.grades(self._known(rows, screen))
        return tuple(self._points[rows[grades.argmax()]].tolist())

    def _known(self, rows: NDArray[np.int64], screen: Screen) -> Figures:
        """Figures of rows, looked up once."""
        new = rows[~self._looked_up[rows]]
        if new.size:
            figures = screen.known.figures(self._points[new])
            if self._figures is None:
                self._figures = np.empty((len(self._points), figures.shape[1]))
            self._figures[new] = figures
            self._looked_up[new] = True
        assert self._figures is not None
        return self._figures[rows]


class Unlisted:
    """Of a space too large to list: random neighbours, then down the known figures, then by chance."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = np.array(sizes, dtype=np.int64)
        self._open = np.flatnonzero(self._sizes > 1)
        self._columns = np.repeat(self._open, self._sizes[self._open] - 1)
        self._offsets = np.array([1 + at for size in self._sizes[self._open] for at in range(size - 1)])

    def find(
        self, place: Place, seen: Set[Place], rng: np.random.Generator, screen: Screen | None
    ) -> Place | None:
        """The first that is allowed; of one batch, the first of the best grade."""
        ruled_out: Place | None = None
        if not self._open.size:
            return None
        for rows, figures in self._batches(np.array(place, dtype=np.float64), rng, screen):
            grades = screen.grades(figures) if screen and figures is not None else repeat(RULED_OUT + 1)
            new = [
                (grade, one)
                for grade, one in zip(grades, map(tuple, rows.tolist()), strict=False)
                if one not in seen
            ]
            grade, found = max(new, key=lambda pair: pair[0], default=(RULED_OUT, None))
            if grade > RULED_OUT:
                return found
            ruled_out = ruled_out or found
        return ruled_out

    def _batches(
        self, here: Places, rng: np.random.Generator, screen: Screen | None
    ) -> Iterator[tuple[Places, Figures | None]]:
        rows = self._neighbours(here, rng)
        if screen is None:
            yield rows, None
            return
        known, left = screen.known, screen.known.pool
        yield rows, known.figures(rows.astype(np.int64))
        own = known.figures(here[None].astype(np.int64))[0]
        while left > 0:
            around = self._around(here)
            figures = known.figures(around.astype(np.int64))
            yield around, figures
            rows = self._saving(here, around, _excess(figures, own))
            left -= len(around) + len(rows)
            if not len(rows):
                break
            figures = known.figures(rows.astype(np.int64))
            yield rows, figures
            excess = _excess(figures, own)
            if excess.min() >= 0:
                break
            here, own = rows[excess.argmin()], figures[excess.argmin()]
        while left > 0:
            rows = rng.integers(self._sizes, size=(min(left, CHUNK), len(self._sizes))).astype(np.float64)
            left -= len(rows)
            yield rows, known.figures(rows.astype(np.int64))

    def _around(self, here: Places) -> Places:
        """All that differ in one choice."""
        rows = np.tile(here, (len(self._columns), 1))
        at = np.arange(len(rows)), self._columns
        rows[at] = (rows[at] + self._offsets) % self._sizes[self._columns]
        return rows

    def _saving(self, here: Places, around: Places, excess: Floats) -> Places:
        """With the change that saves most, with the two that do in two choices, and so on."""
        rows, changed = [], set()
        row = here.copy()
        for at in np.argsort(excess, kind="stable"):
            column = self._columns[at]
            if excess[at] < 0 and column not in changed:
                changed.add(column)
                row[column] = around[at, column]
                rows.append(row.copy())
        return np.array(rows)

    def _neighbours(self, here: Places, rng: np.random.Generator) -> Places:
        """Random ones, more and more choices changed."""
        count = len(self._open)
        changes = np.minimum(count, 1 + np.arange(NEIGHBOURS) * count // NEIGHBOURS)
        order = rng.random((NEIGHBOURS, count)).argsort(axis=1)
        changed = np.zeros((NEIGHBOURS, len(here)), dtype=bool)
        changed[:, self._open] = order < changes[:, None]
        rows = np.tile(here, (NEIGHBOURS, 1))
        offsets = rng.integers(1, np.maximum(self._sizes, 2), size=rows.shape)
        moved = (rows + offsets) % np.maximum(self._sizes, 1)
        return np.where(changed, moved, rows)


def _excess(figures: Figures, own: Floats) -> Floats:
    """How much more than one point's figures [k] are those of others [n, k]: relative, summed, [n]."""
    excess: Floats = np.nan_to_num((figures - own) / np.maximum(np.abs(own), 1e-12)).sum(axis=1)
    return excess
