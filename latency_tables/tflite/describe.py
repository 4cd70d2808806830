"""What a .tflite file is, at a glance: any valid one, also one that cannot be read into operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latency_tables.ops import Shape
from latency_tables.tflite.figures import size
from latency_tables.tflite.reader import WEIGHTS, unfixed
from latency_tables.tflite.records import Operator, Subgraph, Tensor, load

_UNCOUNTED = ("custom:", "stablehlo_", "builtin_", "unidirectional_", "bidirectional_", "embedding_lookup_")
_UNCOUNTED_KINDS = frozenset(
    {
        "if",
        "while",
        "call",
        "call_once",
        "lstm",
        "rnn",
        "svdf",
        "delegate",
        "concat_embeddings",
        "conv_3d_transpose",
    }
)
_FLOATING = frozenset({"float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"})


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model; a dynamic batch is 1 in `shape`, and then `dynamic` is true."""

    name: str
    shape: Shape
    dtype: str
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is.

    Attributes:
        operators: over all subgraphs, unpacking of constants included.
        kinds: how many operators of each kind, most frequent first.
        macs: multiply-accumulates of convolutions, dense layers and matrix products at the file's batch (1
            where it is dynamic); None where they cannot be known, and `macs_unknown` says why.
        parameters: elements of the constants that operators compute with (weights, biases, factors); shapes,
            axes and paddings, which are unquantised integers, do not count. What is used twice counts once.
        subgraphs: more than one with control flow or several signatures.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: int
    kinds: Mapping[str, int]
    macs: int | None
    parameters: int
    subgraphs: int
    macs_unknown: str | None = None


def describe(content: bytes) -> Description:
    """Describe a .tflite file.

    Raises:
        BadModel: the content is no valid .tflite file.
    """
    subgraphs = load(content)
    first = subgraphs[0]
    kinds = Counter(operator.kind for subgraph in subgraphs for operator in subgraph.operators)
    macs, unknown = _macs(first, len(subgraphs))
    return Description(
        tuple(_info(first.tensors[index]) for index in first.inputs),
        tuple(_info(first.tensors[index]) for index in first.outputs),
        sum(kinds.values()),
        dict(kinds.most_common()),
        macs,
        _parameters(subgraphs),
        len(subgraphs),
        unknown,
    )


def _info(tensor: Tensor) -> TensorInfo:
    return TensorInfo(tensor.name, tensor.shape, tensor.dtype, any(tensor.dynamic))


def _parameters(subgraphs: Sequence[Subgraph]) -> int:
    counted: dict[int, int] = {}  # by buffer, which tensors and signatures may share
    for subgraph in subgraphs:
        used = {index for operator in subgraph.operators for index in operator.inputs if index >= 0}
        for tensor in (subgraph.tensors[index] for index in used):
            if tensor.constant and (tensor.dtype in _FLOATING or len(tensor.scales)):
                counted[id(tensor.data)] = size(tensor.shape)
    return sum(counted.values())


def _macs(subgraph: Subgraph, subgraphs: int) -> tuple[int | None, str | None]:
    if subgraphs > 1:
        return None, f"the model has {subgraphs} subgraphs (control flow or several signatures)"
    if problem := unfixed(subgraph):
        return None, problem
    total = 0
    for operator in subgraph.operators:
        if operator.kind.startswith(_UNCOUNTED) or operator.kind in _UNCOUNTED_KINDS:
            return None, f"the cost of the operator {operator.kind} is not known"
        count = _operator_macs(operator, subgraph.tensors)
        if count is None:
            return None, f"an operator {operator.kind} has shapes that do not fit together"
        total += count
    return total, None


def _operator_macs(operator: Operator, tensors: Sequence[Tensor]) -> int | None:
    kind, inputs = operator.kind, operator.inputs
    if kind not in WEIGHTS and kind != "conv_3d":
        return 0
    if len(inputs) < 2 or not operator.outputs or min(inputs[:2]) < 0:
        return None
    weights, output = tensors[inputs[1]].shape, tensors[operator.outputs[0]].shape
    given = tensors[inputs[2] if kind == "transpose_conv" and len(inputs) > 2 else inputs[0]].shape
    try:
        if kind == "conv_2d":  # [out, h, w, in / groups]
            return size(output) * size(weights[1:]) if len(weights) == 4 else None
        if kind == "depthwise_conv_2d":  # [1, h, w, out]
            return size(output) * size(weights[1:3]) if len(weights) == 4 else None
        if kind == "transpose_conv":  # [out, h, w, in]: every element of the input is spread over a window
            return size(given) * size(weights[:3]) if len(weights) == 4 else None
        if kind == "conv_3d":  # [d, h, w, in, out]
            return size(output) * size(weights[:4]) if len(weights) == 5 else None
        if kind == "fully_connected":  # [out, in]
            return size(output) * weights[1] if len(weights) == 2 else None
        summed = given[-2] if operator.options.get("AdjX") else given[-1]
    except IndexError:
        return None
    return size(output) * summed
