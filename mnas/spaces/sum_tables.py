"""The sum of any network of a space of stages, by looking its stages up. Knows no file and no calibration.

A stage's operators follow from its own choices and the shape that comes in (`StagedSpace`). So a stage has a
table by *state*, which is the shape that comes in and the combination of the stage's choices: the sum of its
operators' figures, and the shape that goes out. A network's sum is one entry for each stage.

The variance of that sum needs more: an operator that occurs c times in a network, in whatever stages, adds
(c x its standard error)^2. With c = c1 + c2 + ... over the stages, the squares of the terms stand in the
tables of the stages, and the products of two terms in a table for each pair of stages that have operators in
common. Nothing is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from math import prod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latency_tables.ops import OpSpec, Shape
from mnas.architecture import Block
from mnas.lower import lower_block, lower_classifier
from mnas.spaces.base import StagedSpace

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage can be. The stem belongs to the first, all that follows the stages to the last.

    A state is a combination of the stage's choices (the last one runs fastest) on a shape that comes in; all
    combinations on one shape, then all on the next.

    Attributes:
        positions: of its choices.
        sizes: how many options each has.
        part: by state, the row of `counts`.
        onward: by state, which of the next stage's incoming shapes goes out.
        counts: shape (parts, operators): how often each operator occurs.
    """

    positions: Sequence[int]
    sizes: tuple[int, ...]
    part: Indices
    onward: Indices
    counts: Floats


def stages_of(space: StagedSpace, dtype: str) -> tuple[list[Stage], list[OpSpec]]:
    """The stages of a space, and the operators that `counts` counts."""
    frame = space.frame
    stem, head = frame.blocks
    first = lower_block(stem, (1, frame.height, frame.width, frame.channels), dtype)
    shapes: Sequence[Shape] = (first.output,)
    numbers: dict[OpSpec, int] = {}
    found = []
    for stage, positions in enumerate(space.stages):
        sizes = tuple(len(space.choices[position].options) for position in positions)
        parts: list[Counter[int]] = []
        known: dict[tuple[Block, Shape], tuple[int, int]] = {}
        outputs: dict[Shape, int] = {}
        states = []
        for shape in shapes:
            for options in product(*map(range, sizes)):
                block = space.block(stage, options, shape[-1])
                if (block, shape) not in known:
                    segment = lower_block(block, shape, dtype)
                    nodes = [*(() if stage else first.nodes), *segment.nodes]
                    if stage == len(space.stages) - 1:
                        last = lower_block(head, segment.output, dtype)
                        nodes += [*last.nodes, *lower_classifier(last.output, frame.classes, dtype).nodes]
                    known[block, shape] = len(parts), outputs.setdefault(segment.output, len(outputs))
                    parts.append(Counter(numbers.setdefault(node.spec, len(numbers)) for node in nodes))
                states.append(known[block, shape])
        found.append((positions, sizes, np.array(states, np.intp).T, parts))
        shapes = tuple(outputs)
    return [
        Stage(positions, sizes, columns[0], columns[1], _counts(parts, len(numbers)))
        for positions, sizes, columns, parts in found
    ], list(numbers)


def _counts(parts: Sequence[Mapping[int, int]], operators: int) -> Floats:
    counts = np.zeros((len(parts), operators))
    for row, part in zip(counts, parts, strict=True):
        row[list(part)] = list(part.values())
    return counts


@dataclass(frozen=True, slots=True)
class SumTables:
    """Figures by state, ready to look up. The states of all stages are numbered through, stage after stage.

    Attributes:
        stages: what the states are.
        starts: number of each stage's first state, and their number at the end.
        absent: by operator, whether its figure is missing.
        radix: shape (stages, choices): times option indices, the number of each stage's combination.
        onward: by state, the number of the next stage's first state on the shape that goes out.
        sums: shape (terms, states), of what operators add; NaN where a figure is missing.
        variances_ms2: by state, what a stage adds to the variance for itself.
        pairs: the first stages of all pairs that have operators in common, then the second stages.
        entries: shape (len(pairs), states): where the row of a first stage's state begins in `products`; the
            place in the row of a second stage's.
        products: what pairs of stages add to the variance.
    """

    stages: Sequence[Stage]
    starts: Indices
    absent: NDArray[np.bool_]
    radix: Floats
    onward: Indices
    sums: Floats
    variances_ms2: Floats
    pairs: Indices
    entries: Indices
    products: Floats

    @classmethod
    def of(cls, stages: Sequence[Stage], terms: Floats, variances_ms2: Floats) -> Self:
        """The tables for figures by operator.

        Args:
            terms: what is added up, shape (terms, operators), NaN where missing.
            variances_ms2: of figures, by operator; those of the sums are told from them.
        """
        starts = np.cumsum([0, *(len(stage.part) for stage in stages)])
        radix = np.zeros((len(stages), sum(len(stage.sizes) for stage in stages)))
        for row, stage in zip(radix, stages, strict=True):
            row[list(stage.positions)] = [prod(stage.sizes[at + 1 :]) for at in range(len(stage.sizes))]
        absent = np.asarray(np.isnan(terms).any(axis=0))
        sums, onward = [], []
        for stage, after, following in zip(stages, starts[1:], [*stages[1:], None], strict=True):
            total = np.where(absent, 0.0, terms) @ stage.counts.T
            total[:, stage.counts[:, absent].any(axis=1)] = np.nan
            sums.append(total[:, stage.part])
            onward.append(stage.onward * (0 if following is None else prod(following.sizes)) + after)
        return cls(
            stages,
            starts,
            absent,
            radix,
            np.concatenate(onward),
            np.concatenate(sums, axis=1),
            np.concatenate([(stage.counts**2 @ variances_ms2)[stage.part] for stage in stages]),
            *_pairs(stages, starts, variances_ms2),
        )

    def states(self, choices: NDArray[np.integer]) -> Indices:
        """The states of networks, shape (stages, networks)."""
        states = (self.radix @ choices.T).astype(np.intp)
        for before, after in pairwise(range(len(states))):
            states[after] += self.onward[states[before]]
        return states

    def add_up(self, choices: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Sums over networks, shape (terms, networks), NaN where a figure is missing, and their variances."""
        states = self.states(choices)
        sums, variances = self.sums[:, states].sum(axis=1), self.variances_ms2[states].sum(axis=0)
        if len(self.pairs):
            entries = self.entries[np.arange(len(self.pairs))[:, None], states[self.pairs]]
            row, place = entries.reshape(2, -1, len(choices))
            variances += self.products[row + place].sum(axis=0)
        return sums, variances

    def missing(self, choices: NDArray[np.integer]) -> list[int]:
        """The operators of networks whose figures are missing."""
        found = np.zeros_like(self.absent)
        for stage, start, state in zip(self.stages, self.starts, self.states(choices), strict=False):
            found |= stage.counts[np.unique(stage.part[state - start])].any(axis=0)
        return np.flatnonzero(found & self.absent).tolist()


def _pairs(
    stages: Sequence[Stage], starts: Indices, variances_ms2: Floats
) -> tuple[Indices, Indices, Floats]:
    """`pairs`, `entries` and `products` of `SumTables`: for counts a and b of an operator, 2 a b x variance.

    States that have the same counts of the operators in common share a row or a column.
    """
    pairs, entries, products = [], [], []
    begin = 0
    for (number, first), (other, second) in combinations(enumerate(stages), 2):
        common = first.counts.any(axis=0) & second.counts.any(axis=0) & (variances_ms2 > 0)
        if not common.any():
            continue
        rows, row = np.unique(first.counts[:, common], axis=0, return_inverse=True)
        columns, column = np.unique(second.counts[:, common], axis=0, return_inverse=True)
        pairs.append((number, other))
        of_first, of_second = np.zeros((2, starts[-1]), np.intp)
        of_first[starts[number] : starts[number + 1]] = begin + len(columns) * row.ravel()[first.part]
        of_second[starts[other] : starts[other + 1]] = column.ravel()[second.part]
        entries.append((of_first, of_second))
        products.append((2 * rows * variances_ms2[common] @ columns.T).ravel())
        begin += products[-1].size
    return (
        np.array(pairs, np.intp).T.ravel(),
        np.array(entries, np.intp).reshape(-1, 2, starts[-1]).swapaxes(0, 1).reshape(-1, starts[-1]),
        np.concatenate([np.zeros(0), *products]),
    )
