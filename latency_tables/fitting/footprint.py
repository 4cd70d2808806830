"""What a network's tensors take, from its graph alone. Knows no runtime and measures nothing."""

from __future__ import annotations

from collections import defaultdict
from math import prod

from latency_tables.ops import Graph, OpSpec, Shape

_BYTES = {"float32": 4, "int32": 4, "float16": 2, "int16": 2, "int64": 8, "int4": 1}
#: of a bias, in every network that is written here
_BIAS_BYTES = 4


def parameter_bytes(graph: Graph) -> int:
    """Bytes of the weights and biases that the operators must have: convolutions and dense layers."""
    return sum(map(weight_bytes, graph.specs))


def live_bytes(graph: Graph) -> int:
    """The most bytes of activations that are needed at one time, each from its making to its last use.

    The network's inputs and outputs are needed from the first and to the last operator.
    """
    last: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        last.update(dict.fromkeys(node.sources, index))
        last.setdefault(index, index)
    last |= dict.fromkeys((*graph.outputs, *(-1 - number for number in range(len(graph.inputs)))), -1)
    ending: dict[int, list[int]] = defaultdict(list)
    for tensor, index in last.items():
        ending[index].append(tensor)
    live = sum(_size(shape, graph.dtype) for shape in graph.inputs)
    most = live
    for index, node in enumerate(graph.nodes):
        live += _size(node.spec.output, node.spec.dtype)
        most = max(most, live)
        for tensor in ending[index]:
            own = graph.nodes[tensor].spec if tensor >= 0 else None
            shape = graph.inputs[-1 - tensor] if own is None else own.output
            live -= _size(shape, graph.dtype if own is None else own.dtype)
    return most


def _size(shape: Shape, dtype: str) -> int:
    return prod(shape) * _BYTES.get(dtype, 1)


def weight_bytes(spec: OpSpec) -> int:
    """Bytes of one operator's weights and biases; 0 for kinds that need not have any."""
    channels = spec.output[-1] if spec.output else 1
    if spec.kernel is not None and spec.kind in {"conv_2d", "transpose_conv"}:
        count = prod(spec.kernel) * spec.inputs[0][-1] * channels // spec.groups
    elif spec.kernel is not None and spec.kind == "depthwise_conv_2d":
        count = prod(spec.kernel) * channels
    elif spec.kind == "fully_connected":
        count = prod(spec.inputs[0]) // max(1, prod(spec.output[:-1])) * channels
    else:
        return 0
    return count * _BYTES.get(spec.weights or spec.dtype, 1) + channels * _BIAS_BYTES
