"""What a runtime and its delegates call operators in a profile. Attributes no time to anything."""

from __future__ import annotations

import re

from devices.measurement import OperatorTime
from latency_tables.ops import OpSpec

_UNARY, _BINARY = r"Unary Elementwise \(NC.*\)", r"Binary Elementwise \(ND.*\)"
_CONVOLUTION = r"Convolution \(NHWC, [\w, ]+\)"
_DENSE = r"Fully Connected \([\w, ]+\)(?: GEMM)?"
_CLAMP = rf"Clamp \(NC.*\).*|{_UNARY}"
#: kind -> what XNNPACK calls the operators that run it; a row's label must match in full
LABELS: dict[str, str] = {
    # a 1x1 convolution of stride 1 runs as a fully connected operator, before 2024 as a GEMM of its own
    "conv_2d": rf"{_CONVOLUTION}(?: I?GEMM| DWConv| VMulCAddC)?|Convolution \(NCHW, .*\).*|{_DENSE}",
    "depthwise_conv_2d": rf"{_CONVOLUTION}(?: DWConv| VMulCAddC| IGEMM)?|Convolution \(NCHW, .*\).*",
    "fully_connected": _DENSE,
    "transpose_conv": r"Deconvolution \(NHWC, [\w, ]+\).*",
    "add": rf"Add \(ND.*\)|{_BINARY}",
    "sub": rf"Subtract \(ND.*\)|{_BINARY}",
    "mul": rf"Multiply \(ND.*\)|Square \(NC.*\)|{_BINARY}",
    "div": rf"Divide \(ND.*\)|{_BINARY}",
    "mean": r"(?:Mean|Sum) \(ND.*\)(?: Reduce2?| Mean)?|Global Average Pooling .*",
    "average_pool_2d": r"Average Pooling \(NHWC, \w+\).*|Global Average Pooling .*",
    "max_pool_2d": r"Max Pooling \(NHWC, \w+\).*",
    "logistic": rf"Sigmoid \(NC.*\).*|{_UNARY}",
    "tanh": rf"Tanh \(NC.*\).*|{_UNARY}",
    "hard_swish": rf"HardSwish \(NC.*\).*|{_UNARY}",
    "relu": _CLAMP,
    "relu6": _CLAMP,
    "relu_n1_to_1": _CLAMP,
    "leaky_relu": rf"Leaky ReLU \(NC.*\).*|{_UNARY}",
    "elu": rf"ELU \(NC.*\).*|{_UNARY}",
    "prelu": r"PReLU \(N[CD].*\).*",
    "softmax": r"Softmax \(NC.*\).*",
    "reshape": r"Static Reshape \(N[CD].*\)|Copy \(NC.*\).*",
    "pad": r"Constant Pad \(ND.*\).*",
    "transpose": r"Transpose \(ND.*\).*",
    "resize_bilinear": r"Resize Bilinear \(.*\).*",
    "depth_to_space": r"Depth To Space \(.*\).*",
    "concatenation": r"Copy \(NC.*\)|Concatenate.*",
    "quantize": r"Convert \(N[CD].*\).*",
    "dequantize": r"Convert \(N[CD].*\).*",
}
#: kinds that XNNPACK joins with the operator that follows them, and with which
INTO_NEXT: dict[str, frozenset[str]] = {"pad": frozenset({"conv_2d", "depthwise_conv_2d"})}
#: kinds that it joins with the operator before them
INTO_PREVIOUS = frozenset({"relu", "relu6", "relu_n1_to_1"})
#: rows that the runtime may run just before the operator's own, as part of it: of a dense layer, and of one
#: whose weights alone are of whole numbers
_RESHAPING, _CONVERTING = r"Static Reshape \(N[CD].*\)", r"Convert \(NC, F32, Q[A-Z]+8\)"
#: element types in labels that name one, by the operator's
_ELEMENT_TYPES = {"float32": ("F32", "X32", "PF32"), "int8": ("QS8", "QC8", "QC8W", "S8", "X8", "PQS8")}
_NAMED = re.compile(r"\b(P?F32|P?F16|X32|X16|X8|S8|U8|P?Q[A-Z]+8W?)\b")
#: what the tools themselves do, and report among the operators
_BOOKKEEPING = re.compile(r"AllocateTensors|ModifyGraphWithDelegate|LiteRT::.*|Invoke")
#: the one node that a delegate puts in the place of all that it takes
_PARTITION = re.compile(r"DELEGATE|[\w. -]*delegate(?:v\d)?|edgetpu-custom-op", re.IGNORECASE)
_INSIDE = re.compile(r"Delegate/.*:(\d{1,6})")
_NODE = re.compile(r"\[.*\]:(\d{1,6})")
_OUTPUT = re.compile(r"(?:^|[\[ ,])node_(\d{1,6})(?=[\], ]|$)")


def is_bookkeeping(row: OperatorTime) -> bool:
    """Whether the row is of no operator."""
    return _BOOKKEEPING.fullmatch(row.label) is not None


def is_partition(row: OperatorTime) -> bool:
    """Whether the row is of all nodes that a delegate took together.

    Delegates have any name; `benchmark_model` names what is within one otherwise.
    """
    within = row.name is None or row.name.startswith("Delegate/")
    return row.delegated and (not within or _PARTITION.fullmatch(row.label) is not None)


def place(row: OperatorTime) -> int | None:
    """Where the operator stands within its partition; None where the runner does not tell."""
    found = _INSIDE.fullmatch(row.name or "")
    return int(found[1]) if found else None


def node(row: OperatorTime) -> int | None:
    """The number of the node in the file, for one that the runtime itself ran; None where it is not told."""
    found = None if row.delegated else _NODE.fullmatch(row.name or "")
    return int(found[1]) if found else None


def outputs(row: OperatorTime) -> frozenset[int]:
    """The nodes whose outputs leave the partition, where the row names tensors that this package named."""
    return frozenset(map(int, _OUTPUT.findall(row.name or "")))


def prepares(spec: OpSpec, row: OperatorTime) -> str | None:
    """The pattern of preparation that the row is, where it may be a part of this operator."""
    for pattern, needed in (
        (_RESHAPING, spec.kind == "fully_connected"),
        (_CONVERTING, spec.weights is not None),
    ):
        if needed and row.delegated and re.fullmatch(pattern, row.label):
            return pattern
    return None


def fits(spec: OpSpec, row: OperatorTime) -> bool:
    """Whether the row can be this operator's own."""
    if not row.delegated:
        return row.label.lower() == spec.kind
    pattern = LABELS.get(spec.kind)
    if pattern is None or re.fullmatch(pattern, row.label) is None:
        return False
    named = _NAMED.findall(row.label)
    known = _ELEMENT_TYPES.get(spec.dtype)
    return not named or known is None or spec.weights is not None or all(name in known for name in named)


def likely(spec: OpSpec, row: OperatorTime) -> bool:
    """Whether the row is what this operator runs as where it has a choice of kernels."""
    if spec.kind == "conv_2d":
        point = spec.kernel == (1, 1) and spec.stride == (1, 1)
        return point == (re.search(r"Fully Connected|\) GEMM", row.label) is not None)
    return spec.kind != "depthwise_conv_2d" or row.label.endswith("DWConv")
