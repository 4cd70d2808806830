"""What a graph leaves out of a model: weights and quantisation. Knows where a .tflite file keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import BadModel
from latency_tables.ops import Node
from latency_tables.tflite.reader import WEIGHTS, traverse
from latency_tables.tflite.records import Operator, Subgraph, Tensor

_NUMPY = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "int32": np.int32, "int64": np.int64}


@dataclass(frozen=True, slots=True)
class Quantisation:
    """Affine quantisation of an activation: real = scale x (stored - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True, eq=False)
class NodeValues:
    """The constants of one operator, or the quantisation of one input of the network.

    Attributes:
        weights: filters as TFLite lays them out (convolution `[out, h, w, in]`, depthwise `[1, h, w, out]`,
            dense `[out, in]`); of other kinds the constant operand: the second summand or factor, the
            paddings of a pad `[rank, 2]`. float32, or int8 where the activations are.
        bias: `[out]`, float32 or int32; None for none, which convolutions write as zeros.
        scales: of int8 weights, one per output channel or a single one.
        output: quantisation of the operator's output; None where it is not quantised.
    """

    weights: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None
    scales: NDArray[np.float32] | None = None
    zero_points: NDArray[np.int64] | None = None
    output: Quantisation | None = None


def values(content: bytes) -> dict[int, NodeValues]:
    """Weights and quantisation of a .tflite file, by node of `read(content)`; `-1 - k` is its input `k`.

    Raises:
        BadModel: as `read`; or weights that are not stored as they are used.
    """
    subgraph, nodes = traverse(content)
    found: dict[int, NodeValues] = {
        -1 - k: NodeValues(output=_quantisation(subgraph.tensors[index]))
        for k, index in enumerate(subgraph.inputs)
    }
    for index, (operator, node) in enumerate(nodes):
        found[index] = _node_values(subgraph, operator, node)
    return found


def _node_values(subgraph: Subgraph, operator: Operator, node: Node) -> NodeValues:
    tensors = subgraph.tensors
    output = _quantisation(tensors[operator.outputs[0]])
    position = WEIGHTS.get(operator.kind)
    if position is None and operator.kind in {"add", "mul", "sub", "pad"} and len(node.spec.inputs) == 1:
        position = 1
        if operator.kind == "sub" and not tensors[operator.inputs[1]].constant:
            raise BadModel("a constant minuend of sub cannot be put back")
        if not tensors[operator.inputs[1]].constant:
            position = 0
    if position is None:
        return NodeValues(output=output)
    weights = tensors[operator.inputs[position]]
    biases = operator.inputs[2:3] if operator.kind in WEIGHTS else ()
    bias = tensors[biases[0]] if biases and biases[0] >= 0 else None
    return NodeValues(
        _array(weights),
        None if bias is None else _array(bias),
        weights.scales if len(weights.scales) else None,
        weights.zero_points if len(weights.scales) else None,
        output,
    )


def _array(tensor: Tensor) -> NDArray[Any]:
    dtype = _NUMPY.get(tensor.dtype)
    if dtype is None or not tensor.constant:
        raise BadModel(f"tensor {tensor.label} ({tensor.dtype}) is not stored as it is used")
    try:
        return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
    except ValueError as error:
        raise BadModel(
            f"tensor {tensor.label} has other data than its shape {tensor.shape}: {error}"
        ) from None


def _quantisation(tensor: Tensor) -> Quantisation | None:
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        return None
    return Quantisation(float(tensor.scales[0]), int(tensor.zero_points[0]))


def quantised(mapping: Mapping[int, NodeValues], key: int) -> Quantisation | None:
    """The quantisation that `mapping` gives for a node's output or an input, if any."""
    given = mapping.get(key)
    return None if given is None else given.output
