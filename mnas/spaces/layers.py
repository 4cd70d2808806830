"""Cuts networks of a space into their layers, the blocks of block-wise tables. Knows no latency."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, product

from latency_tables.ops import Graph, OpSpec, Shape
from latency_tables.units import Unit
from mnas.errors import BadInput
from mnas.lower import Segment, lower_block, lower_classifier
from mnas.spaces.base import Space, StagedSpace


class Layers:
    """Finds the layers of networks of one space.

    A layer is the stem's or the head's convolution, one layer of a stage with its squeeze-and-excitation and
    shortcut, or the classifier with the mean before it: what once-for-all's tables (Cai et al. 2020) have an
    entry for.
    """

    def __init__(self, space: Space, dtype: str = "float32") -> None:
        """For a space and an element type.

        Raises:
            BadInput: the space does not say what its stages are (`StagedSpace`).
        """
        if not isinstance(space, StagedSpace):
            raise BadInput(f"the space {space.name} is no StagedSpace: its networks have no known layers")
        self._space = space
        self._dtype = dtype
        self._stages: dict[tuple[int, Shape], dict[tuple[OpSpec, ...], Segment]] = {}

    def __call__(self, graph: Graph) -> list[range]:
        """The layers of a network, as runs of its nodes in order.

        Raises:
            BadInput: it is no network of the space.
        """
        frame = self._space.frame
        stem, head = frame.blocks
        image: Shape = (1, frame.height, frame.width, frame.channels)
        first = lower_block(stem, image, self._dtype)
        specs = graph.specs
        if _specs(first) == specs[: len(first.nodes)]:
            for segments in self._ways(specs[len(first.nodes) :], 0, first.output):
                last = lower_block(head, segments[-1].output if segments else first.output, self._dtype)
                dense = lower_classifier(last.output, frame.classes, self._dtype)
                whole = [first, *segments, last]
                if specs == sum(map(_specs, [*whole, dense]), ()):
                    sizes = [size for one in whole for size in _sizes(one)]
                    return _ranges([*sizes, len(dense.nodes)])
        raise BadInput(
            f"a network of {len(specs)} operators is none of the space {self._space.name}: "
            "what its layers are is not known"
        )

    def every(self) -> list[Unit]:
        """Every different layer of the space's networks: stem, layers of stages, head, classifier."""
        frame = self._space.frame
        stem, head = frame.blocks
        first = lower_block(stem, (1, frame.height, frame.width, frame.channels), self._dtype)
        found: dict[Unit, None] = dict.fromkeys(_cut(first))
        shapes: list[Shape] = [first.output]
        for stage in range(len(self._space.stages)):
            onward: dict[Shape, None] = {}
            for shape in shapes:
                for segment in self._blocks(stage, shape).values():
                    found.update(dict.fromkeys(_cut(segment)))
                    onward[segment.output] = None
            shapes = list(onward)
        for shape in shapes:
            last = lower_block(head, shape, self._dtype)
            found.update(dict.fromkeys(_cut(last)))
            found[_specs(lower_classifier(last.output, frame.classes, self._dtype))] = None
        return list(found)

    def _ways(self, specs: Sequence[OpSpec], stage: int, shape: Shape) -> list[list[Segment]]:
        """Every way in which operators may begin with the stages from `stage` on."""
        if stage == len(self._space.stages):
            return [[]]
        return [
            [segment, *rest]
            for key, segment in self._blocks(stage, shape).items()
            if tuple(specs[: len(key)]) == key
            for rest in self._ways(specs[len(key) :], stage + 1, segment.output)
        ]

    def _blocks(self, stage: int, shape: Shape) -> dict[tuple[OpSpec, ...], Segment]:
        """The different blocks of a stage on an input."""
        if (stage, shape) not in self._stages:
            positions = self._space.stages[stage]
            every = product(*(range(len(self._space.choices[place].options)) for place in positions))
            segments = (
                lower_block(self._space.block(stage, options, shape[-1]), shape, self._dtype)
                for options in every
            )
            self._stages[stage, shape] = {_specs(segment): segment for segment in segments}
        return self._stages[stage, shape]


def _specs(segment: Segment) -> tuple[OpSpec, ...]:
    return tuple(node.spec for node in segment.nodes)


def _sizes(segment: Segment) -> list[int]:
    """The number of operators of each layer: `layer0_expand` and `layer0_project` are of one."""
    return [len(list(layer)) for _, layer in groupby(segment.names, lambda name: name.partition("_")[0])]


def _cut(segment: Segment) -> list[Unit]:
    specs = _specs(segment)
    return [specs[nodes.start : nodes.stop] for nodes in _ranges(_sizes(segment))]


def _ranges(sizes: Sequence[int]) -> list[range]:
    found: list[range] = []
    for size in sizes:
        start = found[-1].stop if found else 0
        found.append(range(start, start + size))
    return found
