"""Points as features, and how far apart these are for the surrogate. Fits nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.problem import Option, Points

Floats = NDArray[np.float64]

#: the most options of a choice that has a binary feature for each, so that distances are products of matrices
BINARY = 64


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Features whose weighted distances add up to that of a group.

    Attributes:
        weights: of each feature in each group's distance, [groups, features]; a group's distance is at most
            1.
        binary: so many features, the first, are 0 or 1.
        labels: so many features, the next, are apart by 1 where they are not equal. The rest are places,
            apart by their difference.
    """

    weights: Floats
    binary: int
    labels: int

    def __len__(self) -> int:
        return len(self.weights)

    def distances(self, weights: NDArray[Any], ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        """Weighted distances between features [n, q] and [m, q], [n, m]; weights [q]."""
        width = self.binary
        found = _hamming(weights[:width], ours[:, :width], theirs[:, :width])
        for column in range(width, len(weights)):
            if not weights[column]:
                continue
            own, other = ours[:, column, None], theirs[:, column]
            apart = np.not_equal(own, other) if column < width + self.labels else np.abs(own - other)
            found += weights[column] * apart
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How points become features.

    A choice is a group of one feature per option, which says whether two points differ in it. A choice of
    numbers with three options or more is a second group: one feature per step between options in their
    order, set above the step, so that the distance grows with the number of steps between two options.

    With more than `BINARY` options, each of the two groups is one feature that has the same distances: the
    option's index, a label, and the share of steps below it, a place. So features and distances take memory
    and time in proportion to the number of points, however many options there are.

    Attributes:
        parts: for each group, the position of its choice and the features of this one's options,
            [options, its features]; in the order of the features.
        groups: what the features count for.
    """

    parts: tuple[tuple[int, Floats], ...]
    groups: Groups

    @staticmethod
    def of(choices: Mapping[str, Sequence[Option]], *, ordinal: bool = True) -> Encoding:
        """The encoding of choices; `ordinal` says whether the order of numbers counts."""
        binary: list[tuple[int, Floats, float]] = []
        labels: list[tuple[int, Floats, float]] = []
        places: list[tuple[int, Floats, float]] = []
        for at, options in enumerate(choices.values()):
            count = len(options)
            if count > BINARY:
                labels.append((at, np.arange(float(count))[:, None], 1.0))
            elif count > 1:
                binary.append((at, np.eye(count), 0.5))
            if ordinal and count > 2 and all(map(_is_number, options)):
                rank = np.empty(count, np.int64)
                rank[sorted(range(count), key=options.__getitem__)] = np.arange(count)
                if count > BINARY:
                    places.append((at, rank[:, None] / (count - 1), 1.0))
                else:
                    above = rank[:, None] > np.arange(count - 1)[None, :]
                    binary.append((at, above.astype(float), 1.0 / (count - 1)))
        parts = [*binary, *labels, *places]
        ends = np.cumsum([0, *(part.shape[1] for _, part, _ in parts)])
        weights = np.zeros((len(parts), ends[-1]))
        for group, (_, _, weight) in enumerate(parts):
            weights[group, ends[group] : ends[group + 1]] = weight
        groups = Groups(weights, int(ends[len(binary)]), len(labels))
        return Encoding(tuple((at, part) for at, part, _ in parts), groups)

    def features(self, points: Points, kind: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
        """Points [n, d] as features [n, q], of a kind of number."""
        found = np.empty((len(points), self.groups.weights.shape[1]), kind)
        start = 0
        for at, rows in self.parts:
            found[:, start : start + rows.shape[1]] = rows[points[:, at]]
            start += rows.shape[1]
        return found


def _hamming(weights: NDArray[Any], ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
    """Weighted Hamming distances between features [n, q] and [m, q] of 0 and 1, [n, m]; weights [q]."""
    found: NDArray[Any] = (ours @ weights)[:, None] + theirs @ weights - 2.0 * (ours * weights) @ theirs.T
    np.maximum(found, 0.0, out=found)
    return found


def _is_number(option: Option) -> bool:
    return isinstance(option, int | float) and not isinstance(option, bool) and _is_finite(option)


def _is_finite(number: int | float) -> bool:
    """Whether it is finite; whole numbers are, also those that no float can have."""
    return isinstance(number, int) or math.isfinite(number)
