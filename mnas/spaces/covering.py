"""Few networks of a space that together contain each of its operators. Knows no latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from latency_tables.covering import cover
from latency_tables.ops import Node, OpSpec, Shape
from mnas.errors import BadInput
from mnas.lower import lower_block, lower_classifier
from mnas.spaces import Space, StagedSpace

Choices = tuple[int, ...]
#: what an operator counts that one earlier network has: far less than a new one; with `n`, an n-th of it
REPEAT_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class _Block:
    """A stage's block for one input shape: its own choices, its operators by number, its output."""

    options: Choices
    operators: frozenset[int]
    output: Shape


@dataclass(frozen=True, slots=True)
class _Stages:
    """All blocks of a space, by stage and input shape, and the operators before and behind them."""

    operators: tuple[OpSpec, ...]
    start: Shape
    stem: frozenset[int]
    blocks: tuple[Mapping[Shape, Sequence[_Block]], ...]
    tails: Mapping[Shape, frozenset[int]]


def covering_choices(space: Space, dtype: str) -> list[Choices]:
    """Option indices of few networks that together contain every operator of the space.

    Greedy: each network is the one with most operators that none before it has. It is found exactly, stage by
    stage, because a block follows from its stage's choices and the filters that come in (an operator that
    occurs in several stages counts more than once). Among equals, operators seen the fewest times decide.

    Raises:
        BadInput: the space does not say what its stages are (`StagedSpace`).
    """
    if not isinstance(space, StagedSpace):
        raise BadInput(f"the space {space.name} is no StagedSpace: its operators cannot be covered")
    stages = _collect(space, dtype)
    weights = [1.0] * len(stages.operators)
    seen = [0] * len(stages.operators)
    found: dict[Choices, frozenset[int]] = {}
    while not all(seen):
        choices, operators = _best(stages, weights)
        for number in operators:
            seen[number] += 1
            weights[number] = REPEAT_WEIGHT / seen[number]
        found[choices] = operators
    candidates = list(found)
    return [candidates[index] for index in cover(list(found.values()), range(len(stages.operators)))]


def _best(stages: _Stages, weights: Sequence[float]) -> tuple[Choices, frozenset[int]]:
    """The network of most weight: the best way to each shape, stage after stage."""
    ways: dict[Shape, tuple[float, Choices, frozenset[int]]] = {stages.start: (0.0, (), stages.stem)}
    for blocks in stages.blocks:
        onward: dict[Shape, tuple[float, _Block, Shape]] = {}
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
            weight + sum([weights[number] for number in stages.tails[shape]]),
            choices,
            operators | stages.tails[shape],
        )
        for shape, (weight, choices, operators) in ways.items()
    ]
    _, choices, operators = max(ends, key=lambda end: end[0])
    return choices, operators


def _collect(space: StagedSpace, dtype: str) -> _Stages:
    numbers: dict[OpSpec, int] = {}

    def numbered(nodes: Sequence[Node]) -> frozenset[int]:
        return frozenset(numbers.setdefault(node.spec, len(numbers)) for node in nodes)

    frame = space.frame
    stem, head = frame.blocks
    first = lower_block(stem, (1, frame.height, frame.width, frame.channels), dtype)
    stem_operators = numbered(first.nodes)
    blocks = []
    shapes: Sequence[Shape] = (first.output,)
    for number, positions in enumerate(space.stages):
        by_shape = {}
        for shape in shapes:
            different: dict[tuple[frozenset[int], Shape], _Block] = {}
            for options in _combinations(space, positions):
                segment = lower_block(space.block(number, options, shape[-1]), shape, dtype)
                operators = numbered(segment.nodes)
                different.setdefault((operators, segment.output), _Block(options, operators, segment.output))
            by_shape[shape] = list(different.values())
        blocks.append(by_shape)
        shapes = tuple(dict.fromkeys(block.output for found in by_shape.values() for block in found))
    tails = {}
    for shape in shapes:
        last = lower_block(head, shape, dtype)
        tails[shape] = numbered((*last.nodes, *lower_classifier(last.output, frame.classes, dtype).nodes))
    return _Stages(tuple(numbers), first.output, stem_operators, tuple(blocks), tails)


def _combinations(space: StagedSpace, positions: range) -> Iterator[Choices]:
    return product(*(range(len(space.choices[position].options)) for position in positions))
