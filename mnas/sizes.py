"""Parameters and file sizes of networks, one by one and of many at once. Writes no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_tables.fitting.footprint import weight_bytes
from latency_tables.ops import OpSpec
from mnas.lower import Segment, lower, lower_block, lower_classifier
from mnas.spaces.base import StagedSpace

#: bytes that `latency_tables.tflite.write` takes besides weights and biases: for any file, for an operator
#: with weights (three tensors), for any other one; fitted to networks of both spaces
_FLOAT32, _INT8 = (680, 226, 90), (1150, 270, 90)
#: int8: a float32 scale for each output channel of weights and of their bias; equal operators share theirs
_SCALE_BYTES = 8
#: int8: an int64 zero point for each channel, written once for each number of channels
_ZERO_POINT_BYTES = 8

Points = NDArray[np.int64]
Figures = NDArray[np.float64]


def parameters(architecture: Any) -> float:
    """Trainable parameters: weights, biases, batch normalisation's gamma and beta."""
    return float(lower(architecture).parameters)


def file_bytes(architecture: Any, dtype: str = "float32") -> float:
    """Bytes of the `.tflite` file that `latency_tables.tflite.write` makes, closely.

    Off by at most 0.3 % in float32 and 1 % in int8 for files of 200 kB and more, by 5 % for the smallest.
    """
    specs = lower(architecture, dtype).graph.specs
    if dtype != "int8":
        return _FLOAT32[0] + sum(map(_float32_bytes, specs))
    weighted = [spec for spec in specs if weight_bytes(spec)]
    quantised = {
        (one.kind, one.kernel, one.inputs[0][-1], one.output[-1], one.activation) for one in weighted
    }
    return (
        _INT8[0]
        + sum(_bytes(spec, _INT8[1:]) for spec in specs)
        + _SCALE_BYTES * sum(channels for _, _, _, channels, _ in quantised)
        + _ZERO_POINT_BYTES * sum({one.output[-1] for one in weighted})
    )


def parameters_of(space: StagedSpace) -> StageSums:
    """`parameters` of many networks."""
    return StageSums(space, lambda part: part.parameters)


def float32_bytes_of(space: StagedSpace) -> StageSums:
    """`file_bytes` of many float32 networks; of int8 networks it is no sum over operators."""
    return StageSums(space, lambda part: sum(_float32_bytes(node.spec) for node in part.nodes), _FLOAT32[0])


class StageSums:
    """Sums over the stages of networks, by looking each stage up.

    A stage's part follows from its own choices and the shape that comes in (`StagedSpace`).

    Args:
        space: what the choices mean.
        figure: of a run of operators; it adds up.
        base: of any network.
    """

    def __init__(self, space: StagedSpace, figure: Callable[[Segment], float], base: float = 0.0) -> None:
        frame = space.frame
        stem, head = frame.blocks
        first = lower_block(stem, (1, frame.height, frame.width, frame.channels), "float32")
        self._base = base + figure(first)
        self._stages: list[tuple[Sequence[int], tuple[int, ...], Figures, Points]] = []
        shapes = [first.output]
        for stage, positions in enumerate(space.stages):
            sizes = tuple(len(space.choices[position].options) for position in positions)
            outputs: dict[tuple[int, ...], int] = {}
            parts, onward = [], []
            for shape in shapes:
                for options in product(*map(range, sizes)):
                    part = lower_block(space.block(stage, options, shape[-1]), shape, "float32")
                    parts.append(figure(part))
                    onward.append(outputs.setdefault(part.output, len(outputs)))
            form = (len(shapes), -1)
            self._stages.append(
                (list(positions), sizes, np.array(parts, float).reshape(form), np.array(onward).reshape(form))
            )
            shapes = list(outputs)
        self._ends = np.array([self._end(figure, head, shape, frame.classes) for shape in shapes])

    def __call__(self, points: Points) -> Figures:
        """The sums of option indices [n, choices], [n]."""
        total = np.full(len(points), float(self._base))
        shape = np.zeros(len(points), np.int64)
        for positions, sizes, parts, onward in self._stages:
            options = np.ravel_multi_index(tuple(points[:, positions].T), sizes)
            total += parts[shape, options]
            shape = onward[shape, options]
        sums: Figures = total + self._ends[shape]
        return sums

    @staticmethod
    def _end(figure: Callable[[Segment], float], head: Any, shape: tuple[int, ...], classes: int) -> float:
        last = lower_block(head, shape, "float32")
        return figure(last) + figure(lower_classifier(last.output, classes, "float32"))


def _float32_bytes(spec: OpSpec) -> float:
    return _bytes(spec, _FLOAT32[1:])


def _bytes(spec: OpSpec, overhead: tuple[int, ...]) -> float:
    weights = weight_bytes(spec)
    return weights + overhead[0 if weights else 1]
