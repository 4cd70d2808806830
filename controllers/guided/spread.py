"""Where to begin: points far from each other, over the whole range of what is known. Predicts nothing."""

from __future__ import annotations

import numpy as np

from controllers.algorithm import Turn
from controllers.guided.candidates import Candidates
from controllers.problem import Point

#: of the candidates, the share whose known figure is near enough to the one that is wanted
NEAR = 1 / 12


def spread(
    candidates: Candidates, columns: tuple[int, ...], sizes: tuple[int, ...], turn: Turn, shift: float = 0.0
) -> Point:
    """The next point of a quasi-random design.

    A known objective costs nothing to look up, so the design covers its range: the wanted rank follows van
    der Corput's sequence, which halves the largest gap again and again, moved around by a shift that differs
    from search to search (Cranley and Patterson, Randomization of number theoretic methods for multiple
    integration, 1976). Of the candidates near that rank the
    one is taken that differs most from all that were proposed, with the options that were proposed least.

    Args:
        candidates: at least one.
        columns: of known figures that are objectives; they take turns.
        sizes: number of options of each choice.
        turn: of the proposal.
        shift: 0 to 1, the same in a whole search.
    """
    candidates = candidates.at(turn.rng.permutation(len(candidates.points)))
    number = len(turn.seen)
    if columns:
        column = columns[number % len(columns)]
        rank = np.argsort(np.argsort(candidates.figures[:, column], kind="stable"))
        wanted = (van_der_corput(1 + number // len(columns)) + shift) % 1.0 * (len(rank) - 1)
        near = np.argsort(np.abs(rank - wanted), kind="stable")[: max(8, int(NEAR * len(rank)))]
        candidates = candidates.at(turn.rng.permutation(near))  # else the nearest would be the first of all
    points = candidates.points
    if not number:
        return _point(points[0])
    seen = np.array(sorted(turn.seen))
    apart = np.full(len(points), len(sizes))
    common = np.zeros(len(points))
    for one in seen:
        apart = np.minimum(apart, np.count_nonzero(points != one, axis=1))
    for choice, size in enumerate(sizes):
        counts = np.bincount(seen[:, choice], minlength=size)
        common += counts[points[:, choice]] / number
    return _point(points[int(np.argmax(apart - 0.5 * common))])


def van_der_corput(number: int) -> float:
    """The number's binary digits, mirrored at the point: 1/2, 1/4, 3/4, 1/8 ... (van der Corput, 1935)."""
    digits = f"{number:b}"[::-1]
    return int(digits, 2) / 2.0 ** len(digits)


def _point(row: np.ndarray) -> Point:
    return tuple(row.tolist())
