"""Few networks of a space that together contain each of its operators. Knows no latency."""

from __future__ import annotations

from collections.abc import Sequence

from latency_tables.covering import cover
from latency_tables.ops import Shape
from mnas.spaces.base import Space
from mnas.spaces.operators import Choices, Operators, StageBlock, operators

#: what an operator counts that one earlier network has: far less than a new one; with `n`, an n-th of it
REPEAT_WEIGHT = 1e-3


def covering_choices(space: Space, dtype: str) -> list[Choices]:
    """Option indices of few networks that together contain every operator of the space.

    Greedy: each network is the one with most operators that none before it has. It is found exactly, stage by
    stage, because a block follows from its stage's choices and the filters that come in (an operator that
    occurs in several stages counts more than once). Among equals, operators seen the fewest times decide.

    Raises:
        BadInput: the space does not say what its stages are (`StagedSpace`).
    """
    every = operators(space, dtype)
    weights = [1.0] * len(every.specs)
    seen = [0] * len(every.specs)
    found: dict[Choices, frozenset[int]] = {}
    while not all(seen):
        choices, contained = _best(every, weights)
        for number in contained:
            seen[number] += 1
            weights[number] = REPEAT_WEIGHT / seen[number]
        found[choices] = contained
    candidates = list(found)
    return [candidates[index] for index in cover(list(found.values()), range(len(every.specs)))]


def _best(every: Operators, weights: Sequence[float]) -> tuple[Choices, frozenset[int]]:
    """The network of most weight: the best way to each shape, stage after stage."""
    ways: dict[Shape, tuple[float, Choices, frozenset[int]]] = {every.start: (0.0, (), every.stem)}
    for blocks in every.blocks:
        onward: dict[Shape, tuple[float, StageBlock, Shape]] = {}
        for shape, (weight, _, _) in ways.items():
            for block in blocks[shape]:
                total = weight + sum([weights[number] for number in block.operators])
                if block.output not in onward or total > onward[block.output][0]:
                    onward[block.output] = (total, block, shape)
        ways = {
            shape: (total, ways[origin][1] + block.options, ways[origin][2] | block.operators)
            for shape, (total, block, origin) in onward.items()
        }
    ends = [
        (
            weight + sum([weights[number] for number in every.tails[shape]]),
            choices,
            contained | every.tails[shape],
        )
        for shape, (weight, choices, contained) in ways.items()
    ]
    _, choices, contained = max(ends, key=lambda end: end[0])
    return choices, contained
