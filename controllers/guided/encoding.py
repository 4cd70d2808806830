"""Points as binary features, whose weighted Hamming distance the surrogate sees. Fits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.problem import Option, Points

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How points become features.

    A choice is a group of one feature per option, which says whether two points differ in it. A choice of
    numbers with three options or more is a second group: one feature per step between options in their
    order, set above the step, so that the distance grows with the number of steps between two options.

    Attributes:
        rows: for each choice, its options' features, [options, its features]; in the order of the features.
        groups: weight of each feature in each group's distance, [groups, features]; a group's distance is
            at most 1.
    """

    rows: tuple[Floats, ...]
    groups: Floats

    @staticmethod
    def of(choices: Mapping[str, Sequence[Option]], *, ordinal: bool = True) -> Encoding:
        """The encoding of choices; `ordinal` says whether the order of numbers counts."""
        parts: list[tuple[int, Floats, float]] = []
        for at, options in enumerate(choices.values()):
            count = len(options)
            if count > 1:
                parts.append((at, np.eye(count), 0.5))
            if ordinal and count > 2 and all(_is_number(option) for option in options):
                rank = np.argsort(np.argsort(np.array(options, float), kind="stable"), kind="stable")
                above = rank[:, None] > np.arange(count - 1)[None, :]
                parts.append((at, above.astype(float), 1.0 / (count - 1)))
        width = sum(part.shape[1] for _, part, _ in parts)
        rows = [np.zeros((len(options), 0)) for options in choices.values()]
        groups = np.zeros((len(parts), width))
        start = 0
        for group, (at, part, weight) in enumerate(parts):
            columns = slice(start, start + part.shape[1])
            rows[at] = np.concatenate([rows[at], part], axis=1)
            groups[group, columns] = weight
            start += part.shape[1]
        return Encoding(tuple(rows), groups)

    def features(self, points: Points, kind: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
        """Points [n, d] as features [n, q] of 0 and 1, of a kind of number."""
        found = np.empty((len(points), self.groups.shape[1]), kind)
        start = 0
        for at, rows in enumerate(self.rows):
            found[:, start : start + rows.shape[1]] = rows.astype(kind)[points[:, at]]
            start += rows.shape[1]
        return found


def distances(weights: NDArray[Any], ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
    """Weighted Hamming distances between features [n, q] and [m, q], [n, m]; weights [q]."""
    found: NDArray[Any] = (ours @ weights)[:, None] + theirs @ weights - 2.0 * (ours * weights) @ theirs.T
    np.maximum(found, 0.0, out=found)
    return found


def _is_number(option: Option) -> bool:
    return isinstance(option, int | float) and not isinstance(option, bool) and bool(np.isfinite(option))
