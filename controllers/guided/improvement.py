"""What a point may add to a front: one objective is uncertain, the others are known. Fits nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from controllers.guided.encoding import Floats
from controllers.guided.scales import front

#: cells of a front's grid, at most; with more than one known objective lines are left out beyond that
CELLS = 4096
#: numbers that are held at a time
BLOCK = 2_000_000
#: deviations that a mean may lie below a level before nothing is expected of it
HOPELESS = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The space of the known objectives, cut at the front's figures.

    Within a cell the best value of the uncertain objective that the front reaches with figures no larger is
    one and the same. So the hypervolume that a point adds is a sum over cells: the part of the cell that its
    figures dominate, times by how much its value exceeds the cell's best. Its expectation is a sum of parts
    of cells times expected improvements over the cells' best. Exact for two objectives (a cell is a
    strip) and for more as long as no lines are left out.

    Attributes:
        lower: corners, [c, k].
        upper: opposite corners, [c, k].
        level: which of the levels is a cell's best, [c].
        levels: values, [l].
    """

    lower: Floats
    upper: Floats
    level: NDArray[np.intp]
    levels: Floats

    @staticmethod
    def of(figures: Floats, values: Floats, least: Floats, reference: Floats, floor: float) -> Cells:
        """The cells between the least figures [k] that a candidate may have and the reference point.

        Args:
            figures: known objectives of evaluated points [n, k], less is better; k may be 0.
            values: their uncertain objective [n], more is better.
            least: [k].
            reference: [k]; what is larger adds nothing.
            floor: the reference of the uncertain objective.
        """
        width = figures.shape[1]
        inside = np.all(figures < reference, axis=1) & (values > floor)
        figures, values = figures[inside], values[inside]
        best = front(np.column_stack([figures, -values]))
        figures, values = figures[best], values[best]
        lines = []
        for column in range(width):
            cuts = np.unique(figures[:, column])
            limit = max(2, int(CELLS ** (1 / width))) if width > 1 else CELLS
            if len(cuts) > limit:
                cuts = cuts[np.linspace(0, len(cuts) - 1, limit).astype(int)]
            edge = min([least[column], reference[column], *cuts[:1]])
            lines.append(np.unique([edge, *cuts, reference[column]]))
        spans = [list(pairwise(line)) for line in lines]
        combinations = list(product(*spans))
        cells = np.array(combinations, float).reshape(len(combinations), width, 2)
        lower, upper = cells[:, :, 0], cells[:, :, 1]
        reached = np.full(len(cells), floor)
        for figure, value in zip(figures, values, strict=True):
            dominated = np.all(figure <= lower, axis=1)
            reached[dominated] = np.maximum(reached[dominated], value)
        levels, level = np.unique(reached, return_inverse=True)
        return Cells(lower, upper, level, levels)

    def volumes(self, figures: Floats) -> Floats:
        """How much of each level's cells points [s, k] dominate, [s, l]."""
        count = len(figures)
        found = np.empty((count, len(self.levels)))
        step = max(1, BLOCK // max(1, len(self.lower)))
        members = np.zeros((len(self.lower), len(self.levels)))
        members[np.arange(len(self.lower)), self.level] = 1.0
        for start in range(0, count, step):
            part = figures[start : start + step]
            overlap = np.ones((len(part), len(self.lower)))
            for column in range(figures.shape[1]):
                low = np.maximum(self.lower[:, column], part[:, column, None])
                overlap *= np.maximum(self.upper[:, column] - low, 0.0)
            found[start : start + step] = overlap @ members
        return found

    def expected(self, figures: Floats, mean: Floats, deviation: Floats) -> Floats:
        """Expected hypervolume improvement, [s], of figures [s, k] and values N(mean, deviation^2), [s]."""
        volumes = self.volumes(figures)
        found = np.zeros(len(mean))
        for column, level in enumerate(self.levels):
            some = np.flatnonzero((volumes[:, column] > 0) & (mean - level > -HOPELESS * deviation))
            found[some] += volumes[some, column] * improvement(mean[some], deviation[some], level)
        return found

    def standing(self, figures: Floats, mean: Floats, deviation: Floats) -> Floats:
        """By how many deviations a point's mean exceeds the best of the front that its figures dominate.

        An order among points whose expected improvement is too small to be told from none.
        """
        reached = np.where(self.volumes(figures) > 0, self.levels, np.inf).min(axis=1)
        reached = np.where(np.isfinite(reached), reached, self.levels[-1])
        found: Floats = (mean - reached) / deviation
        return found


def improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """E[max(y - best, 0)] for y ~ N(mean, deviation^2), elementwise (Jones et al., 1998)."""
    from scipy.special import ndtr

    away = (mean - best) / deviation
    density = np.exp(-0.5 * away**2) / np.sqrt(2.0 * np.pi)
    found: Floats = np.maximum(deviation * (away * ndtr(away) + density), 0.0)
    return found


def membership(draws: Floats, figures: Floats, values: Floats, theirs: Floats) -> Floats:
    """How often each point is on the front of these and the evaluated points, if values are as drawn, [s].

    Args:
        draws: of the uncertain objective, jointly for all points, [draws, s]; more is better.
        figures: known objectives of the points, [s, k].
        values: the uncertain objective of evaluated points, [n].
        theirs: their known objectives, [n, k].
    """
    count = len(figures)
    rivals = front(np.column_stack([theirs, -values]))
    values, theirs = values[rivals], theirs[rivals]
    everyone = np.concatenate([figures, theirs])
    drawn = np.concatenate([draws, np.broadcast_to(values, (len(draws), len(values)))], axis=1)
    on_front = np.empty(count)
    for at, figure in enumerate(figures):
        ahead = np.all(everyone <= figure, axis=1)
        ahead[at] = False
        best = drawn[:, ahead].max(axis=1) if ahead.any() else -np.inf
        on_front[at] = np.mean(drawn[:, at] > best)
    return on_front
