"""Every operator that networks of a space can have, each with a network that has it. Knows no latency."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from latency_tables.ops import OpSpec, Shape
from mnas.errors import BadInput
from mnas.lower import Segment, lower_block, lower_classifier
from mnas.spaces.base import Space, StagedSpace


def operators(space: Space, dtype: str = "float32") -> dict[OpSpec, tuple[int, ...]]:
    """All operators of the space, each with option indices whose network contains it.

    Complete, without walking through all networks: an operator lies in one block, a block follows from its
    stage's own choices and the shape that comes in, and what comes in is one of the few shapes that the stage
    before can put out. So every stage is lowered with every combination of its choices, on every such shape.

    Raises:
        BadInput: the space does not say what its stages are (`StagedSpace`).
    """
    if not isinstance(space, StagedSpace):
        raise BadInput(f"the space {space.name} is no StagedSpace: its operators cannot be enumerated")
    found: dict[OpSpec, tuple[int, ...]] = {}
    frame = space.frame
    stem, head = frame.blocks
    first: tuple[int, ...] = (0,) * len(space.choices)
    segment = lower_block(stem, (1, frame.height, frame.width, frame.channels), dtype)
    _collect(found, segment, first)
    reached: dict[Shape, tuple[int, ...]] = {segment.output: first}
    for number, positions in enumerate(space.stages):
        outputs: dict[Shape, tuple[int, ...]] = {}
        for shape, witness in reached.items():
            for options in _combinations(space, positions):
                segment = lower_block(space.block(number, options, shape[-1]), shape, dtype)
                vector = witness[: positions.start] + options + witness[positions.stop :]
                _collect(found, segment, vector)
                outputs.setdefault(segment.output, vector)
        reached = outputs
    for shape, witness in reached.items():
        segment = lower_block(head, shape, dtype)
        _collect(found, segment, witness)
        _collect(found, lower_classifier(segment.output, frame.classes, dtype), witness)
    return found


def _combinations(space: StagedSpace, positions: range) -> Iterator[tuple[int, ...]]:
    return product(*(range(len(space.choices[position].options)) for position in positions))


def _collect(found: dict[OpSpec, tuple[int, ...]], segment: Segment, vector: tuple[int, ...]) -> None:
    for node in segment.nodes:
        found.setdefault(node.spec, vector)
