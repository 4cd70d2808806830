"""Every operator that networks of a space can have, and which block brings it. Knows no latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from latency_tables.ops import Node, OpSpec, Shape
from mnas.errors import BadInput
from mnas.lower import lower_block, lower_classifier
from mnas.spaces.base import Space, StagedSpace

Choices = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StageBlock:
    """A stage's block for one input shape: its own choices, its operators by number, its output."""

    options: Choices
    operators: frozenset[int]
    output: Shape


@dataclass(frozen=True, slots=True)
class Operators:
    """All operators of a space, and the parts that its networks are made of.

    Attributes:
        specs: the operators, all different; the parts name them by their number here.
        start: the shape that the first stage gets.
        stem: the operators before it.
        blocks: per stage, by the shape that comes in, its blocks that differ in operators or output.
        tails: by the shape that leaves the last stage, the operators behind it.
    """

    specs: tuple[OpSpec, ...]
    start: Shape
    stem: frozenset[int]
    blocks: tuple[Mapping[Shape, Sequence[StageBlock]], ...]
    tails: Mapping[Shape, frozenset[int]]


def operators(space: Space, dtype: str = "float32") -> Operators:
    """All operators of the space.

    Complete, without walking through all networks: an operator lies in one block, a block follows from its
    stage's own choices and the shape that comes in, and what comes in is one of the few shapes that the stage
    before can put out. So every stage is lowered with every combination of its choices, on every such shape.

    Raises:
        BadInput: the space does not say what its stages are (`StagedSpace`).
    """
    if not isinstance(space, StagedSpace):
        raise BadInput(f"the space {space.name} is no StagedSpace: its operators cannot be enumerated")
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
            different: dict[tuple[frozenset[int], Shape], StageBlock] = {}
            for options in _combinations(space, positions):
                segment = lower_block(space.block(number, options, shape[-1]), shape, dtype)
                found = numbered(segment.nodes)
                different.setdefault((found, segment.output), StageBlock(options, found, segment.output))
            by_shape[shape] = list(different.values())
        blocks.append(by_shape)
        shapes = tuple(dict.fromkeys(block.output for alike in by_shape.values() for block in alike))
    tails = {}
    for shape in shapes:
        last = lower_block(head, shape, dtype)
        tails[shape] = numbered((*last.nodes, *lower_classifier(last.output, frame.classes, dtype).nodes))
    return Operators(tuple(numbers), first.output, stem_operators, tuple(blocks), tails)


def _combinations(space: StagedSpace, positions: range) -> Iterator[Choices]:
    return product(*(range(len(space.choices[position].options)) for position in positions))
