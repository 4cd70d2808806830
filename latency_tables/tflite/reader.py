"""From a .tflite file to a graph of operators. Knows what operators mean, not how the file is laid out."""

from __future__ import annotations

from collections.abc import Sequence

from latency_tables.errors import BadModel, BadOpSpec
from latency_tables.ops import WINDOWED, Graph, Node, OpSpec
from latency_tables.tflite.figures import contradiction
from latency_tables.tflite.records import (
    ACTIVATION_NAMES,
    PADDING_NAMES,
    Operator,
    Subgraph,
    Tensor,
    load,
)

#: position of the weights among the inputs of operators that have some
WEIGHTS = {"conv_2d": 1, "depthwise_conv_2d": 1, "fully_connected": 1, "transpose_conv": 1, "batch_matmul": 1}
#: operators that the runtime applies to constants before the first run
_UNPACKS = frozenset({"dequantize", "densify"})


def read(content: bytes) -> Graph:
    """Read a .tflite file's network.

    Constants (weights, axes, paddings) are left out, as is what only unpacks them. A dynamic batch is 1.
    Outputs of an operator with several (split) are not told apart: its node stands for all of them.

    Raises:
        BadModel: the content is no valid .tflite file; or it has several subgraphs (control flow, several
            signatures), inputs whose size is not fixed, no operators, or one that no OpSpec can express.
    """
    subgraph, nodes = traverse(content)
    produced = {tensor: index for index, (operator, _) in enumerate(nodes) for tensor in operator.outputs}
    outputs = []
    for tensor in subgraph.outputs:
        if tensor not in produced:
            raise BadModel(f"the model's output {subgraph.tensors[tensor].label} is computed by no operator")
        outputs.append(produced[tensor])
    inputs = [subgraph.tensors[tensor] for tensor in subgraph.inputs]
    dtype = inputs[0].dtype if inputs else nodes[0][1].spec.dtype
    shapes = tuple(tensor.shape for tensor in inputs)
    return Graph(shapes, dtype, tuple(node for _, node in nodes), tuple(dict.fromkeys(outputs)))


def traverse(content: bytes) -> tuple[Subgraph, list[tuple[Operator, Node]]]:
    """The file's only subgraph and its operators, each with the node it is read as; see `read`."""
    subgraphs = load(content)
    if len(subgraphs) > 1:
        raise BadModel(
            f"the model has {len(subgraphs)} subgraphs (control flow or several signatures); "
            "only models of one subgraph can be read into operators"
        )
    subgraph = subgraphs[0]
    tensors = subgraph.tensors
    if problem := unfixed(subgraph):
        raise BadModel(f"{problem}; convert the model with fixed sizes")
    known = {tensor: -1 - position for position, tensor in enumerate(subgraph.inputs)}
    unpacked: dict[int, Tensor] = {}
    nodes: list[tuple[Operator, Node]] = []
    for position, operator in enumerate(subgraph.operators):
        where = f"operator {position} ({operator.kind})"
        sources = []
        for index in operator.inputs:
            if index in known:
                sources.append(index)
            elif index >= 0 and not tensors[index].constant and index not in unpacked:
                raise BadModel(f"{where} reads {tensors[index].label}, which nothing before it computes")
        constant = [index for index in operator.inputs if index >= 0 and index not in sources]
        if operator.kind in _UNPACKS and constant and not sources:
            unpacked |= {
                tensor: unpacked.get(constant[0], tensors[constant[0]]) for tensor in operator.outputs
            }
            continue
        if not operator.outputs:
            raise BadModel(f"{where} has no output")
        try:
            spec = _spec(operator, tensors, sources, unpacked)
        except BadOpSpec as error:
            raise BadModel(f"{where} cannot be expressed: {error}") from None
        if problem := contradiction(spec):
            raise BadModel(f"{where} contradicts itself: {problem}")
        nodes.append((operator, Node(spec, tuple(known[index] for index in sources))))
        known |= dict.fromkeys(operator.outputs, len(nodes) - 1)
    if not nodes:
        raise BadModel("the model has no operators")
    return subgraph, nodes


def _spec(
    operator: Operator, tensors: Sequence[Tensor], sources: Sequence[int], unpacked: dict[int, Tensor]
) -> OpSpec:
    kind, options = operator.kind, operator.options
    output = tensors[operator.outputs[0]]
    dtype = tensors[sources[0]].dtype if sources else output.dtype
    position = WEIGHTS.get(kind)
    weights = None
    if position is not None:
        if len(operator.inputs) <= position or operator.inputs[position] < 0:
            raise BadOpSpec("it has no weights")
        weights = tensors[operator.inputs[position]]
    stored = weights and unpacked.get(operator.inputs[position or 0], weights)
    kernel = stride = padding = None
    dilation, groups = (1, 1), 1
    if kind in WINDOWED:
        kernel = (options.get("FilterHeight", 0), options.get("FilterWidth", 0))
        if weights is not None:
            if len(weights.shape) != 4:
                raise BadOpSpec(f"its filters are of shape {weights.shape}")
            kernel = weights.shape[1:3]
        stride = (options.get("StrideH", 0), options.get("StrideW", 0))
        padding = PADDING_NAMES.get(options.get("Padding", -1))
        dilation = (options.get("DilationHFactor", 1), options.get("DilationWFactor", 1))
    if kind == "conv_2d" and weights is not None and sources:
        channels = tensors[sources[0]].shape[-1] if tensors[sources[0]].shape else 0
        if weights.shape[3] < 1 or channels % weights.shape[3] or weights.shape[:1] != output.shape[-1:]:
            raise BadOpSpec(
                f"filters of shape {weights.shape} do not fit {channels} channels into an output of shape "
                f"{output.shape}"
            )
        groups = channels // weights.shape[3]
    fused = options.get("FusedActivationFunction", 0)
    if fused and fused not in ACTIVATION_NAMES:
        raise BadOpSpec(f"its fused activation is number {fused}")
    return OpSpec(
        kind=kind,
        dtype=dtype,
        inputs=tuple(tensors[index].shape for index in sources),
        output=output.shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=ACTIVATION_NAMES.get(fused),
        weights=stored.dtype if stored and stored.constant and stored.dtype != dtype else None,
        groups=groups,
    )


def unfixed(subgraph: Subgraph) -> str | None:
    """Which size is known only when the model runs, in words; None if at most that of the batch is."""
    inputs = [subgraph.tensors[index] for index in subgraph.inputs]
    for tensor in inputs:
        if any(tensor.dynamic[1:]):
            sizes = _signature(tensor)
            return f"the model's input {tensor.label} has sizes beyond the batch that are not fixed ({sizes})"
    if any(tensor.dynamic[0] for tensor in inputs if tensor.dynamic):
        return None
    for operator in subgraph.operators:
        for tensor in (subgraph.tensors[index] for index in operator.outputs):
            if any(tensor.dynamic):
                sizes = _signature(tensor)
                return (
                    f"the sizes of {tensor.label}, which {operator.kind} gives, depend on the data ({sizes})"
                )
    return None


def _signature(tensor: Tensor) -> tuple[int, ...]:
    return tuple(-1 if free else length for length, free in zip(tensor.shape, tensor.dynamic, strict=True))
