"""How each kind of operator that we write is stored: version, options, shape constants. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from latency_tables.errors import BadOpSpec
from latency_tables.ops import OpSpec, Shape
from latency_tables.tflite import figures
from latency_tables.tflite.records import ACTIVATION_NAMES, PADDING_NAMES
from latency_tables.tflite.values import Quantisation

_ACTIVATIONS = {name: code for code, name in ACTIVATION_NAMES.items()}
_PADDINGS = {name: code for code, name in PADDING_NAMES.items()}
_HALF = Quantisation(1 / 256, -128)

Fields = Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind of operator is stored.

    Attributes:
        versions: of the operator with float32 and with int8 activations, as the converter gives them.
        options: the schema's name of its options table, empty for none.
        fields: the options' fields.
        shapes: the int32 constant after the activations, as its values and its shape.
        least: fewest activation inputs, `most` likewise.
        keeps: whether its output has its input's quantisation.
        fixed: the only quantisation that its int8 output may have.
    """

    versions: tuple[int, int]
    options: str = ""
    fields: Callable[[OpSpec], Fields] = lambda _: {}
    shapes: Callable[[OpSpec], tuple[tuple[int, ...], Shape]] | None = None
    least: int = 1
    most: int = 1
    keeps: bool = False
    fixed: Quantisation | None = None

    def version(self, spec: OpSpec) -> int:
        """The operator's version."""
        if spec.kind == "fully_connected" and len(spec.output) > 2:
            return 5
        if spec.kind == "conv_2d" and spec.groups > 1:
            return 6
        if spec.kind == "depthwise_conv_2d" and spec.dilation != (1, 1):
            return max(2, self.versions[spec.dtype == "int8"])
        return self.versions[spec.dtype == "int8"]


def form(spec: OpSpec) -> Form:
    """The form in which `spec` is stored.

    Raises:
        BadOpSpec: operators of this kind, type or figures cannot be written; the message says why.
    """
    found = FORMS.get(spec.kind)
    if found is None:
        raise BadOpSpec(f"{spec.kind} cannot be written; kinds that can: {', '.join(sorted(FORMS))}")
    if spec.dtype not in {"float32", "int8"} or spec.weights is not None:
        stored = f" with {spec.weights} weights" if spec.weights else ""
        raise BadOpSpec(f"{spec.kind} of {spec.dtype}{stored} cannot be written; float32 and int8 can")
    if not found.least <= len(spec.inputs) <= found.most:
        allowed = str(found.least) if found.least == found.most else f"{found.least} to {found.most}"
        raise BadOpSpec(f"{spec.kind} with {len(spec.inputs)} activation inputs; allowed: {allowed}")
    if problem := figures.contradiction(spec):
        raise BadOpSpec(problem)
    return found


def code(kind: str) -> int:
    """TFLite's number of a builtin operator."""
    return int(getattr(schema.BuiltinOperator, kind.upper()))


def filters(spec: OpSpec) -> tuple[Shape, int, int] | None:
    """Shape of the weights, the axis of their output channels, products per output; None without weights."""
    channels = spec.output[-1] if spec.output else 1
    if spec.kind == "conv_2d" and spec.kernel is not None:
        depth = spec.inputs[0][3] // spec.groups
        return (channels, *spec.kernel, depth), 0, spec.kernel[0] * spec.kernel[1] * depth
    if spec.kind == "depthwise_conv_2d" and spec.kernel is not None:
        return (1, *spec.kernel, channels), 3, spec.kernel[0] * spec.kernel[1]
    if spec.kind == "fully_connected":
        depth = figures.size(spec.inputs[0]) // figures.size(spec.output[:-1])
        return (channels, depth), 0, depth
    return None


def output_dtype(spec: OpSpec) -> str:
    """Element type of the operator's output."""
    return {"quantize": "int8", "dequantize": "float32"}.get(spec.kind, spec.dtype)


def _fused(spec: OpSpec) -> dict[str, int]:
    return {"FusedActivationFunction": _ACTIVATIONS[spec.activation]} if spec.activation else {}


def _window(spec: OpSpec) -> dict[str, int]:
    stride = spec.stride or (1, 1)
    return {
        "Padding": _PADDINGS[spec.padding or "same"],
        "StrideH": stride[0],
        "StrideW": stride[1],
        **_fused(spec),
    }


def _convolution(spec: OpSpec) -> Fields:
    return {**_window(spec), "DilationHFactor": spec.dilation[0], "DilationWFactor": spec.dilation[1]}


def _depthwise(spec: OpSpec) -> Fields:
    return {**_convolution(spec), "DepthMultiplier": spec.output[3] // spec.inputs[0][3]}


def _pool(spec: OpSpec) -> Fields:
    kernel = spec.kernel or (1, 1)
    return {**_window(spec), "FilterHeight": kernel[0], "FilterWidth": kernel[1]}


def _dense(spec: OpSpec) -> Fields:
    return {**_fused(spec), "KeepNumDims": len(spec.output) > 2}


def _joined(spec: OpSpec) -> Fields:
    axis = figures.axis_of_concatenation(spec.inputs, spec.output)
    if axis is None:
        raise BadOpSpec(f"concatenation of {spec.inputs} cannot give {spec.output}")
    return {"Axis": axis, **_fused(spec)}


def _reduced(spec: OpSpec) -> tuple[tuple[int, ...], Shape]:
    axes = figures.axes_of_mean(spec.inputs[0], spec.output)
    if axes is None:
        raise BadOpSpec(f"mean of {spec.inputs[0]} cannot give {spec.output}")
    return axes, (len(axes),)


def _padded(spec: OpSpec) -> tuple[tuple[int, ...], Shape]:
    given, output = spec.inputs[0], spec.output
    if len(given) != len(output) or any(b < a for a, b in zip(given, output, strict=True)):
        raise BadOpSpec(f"pad of {given} cannot give {output}")
    added = [b - a for a, b in zip(given, output, strict=True)]
    return tuple(side for total in added for side in (total // 2, total - total // 2)), (len(given), 2)


def _resized(spec: OpSpec) -> tuple[tuple[int, ...], Shape]:
    given, output = spec.inputs[0], spec.output
    if len(given) != 4 or len(output) != 4 or (given[0], given[3]) != (output[0], output[3]):
        raise BadOpSpec(f"{spec.kind} of {given} cannot give {output}")
    return output[1:3], (2,)


def _centred(_: OpSpec) -> Fields:
    return {"HalfPixelCenters": True}


_ONE = (1, 2)
FORMS: dict[str, Form] = {
    "conv_2d": Form((1, 3), "Conv2DOptions", _convolution),
    "depthwise_conv_2d": Form((1, 3), "DepthwiseConv2DOptions", _depthwise),
    "fully_connected": Form((1, 4), "FullyConnectedOptions", _dense),
    "average_pool_2d": Form(_ONE, "Pool2DOptions", _pool, keeps=True),
    "max_pool_2d": Form(_ONE, "Pool2DOptions", _pool, keeps=True),
    "add": Form(_ONE, "AddOptions", _fused, most=2),
    "sub": Form(_ONE, "SubOptions", _fused, most=2),
    "mul": Form(_ONE, "MulOptions", _fused, most=2),
    "concatenation": Form(_ONE, "ConcatenationOptions", _joined, most=1 << 16, keeps=True),
    "mean": Form(
        _ONE,
        "ReducerOptions",
        lambda spec: {"KeepDims": len(spec.output) == len(spec.inputs[0])},
        _reduced,
        keeps=True,
    ),
    "reshape": Form(
        (1, 1), "ReshapeOptions", shapes=lambda spec: (spec.output, (len(spec.output),)), keeps=True
    ),
    "pad": Form(_ONE, "PadOptions", shapes=_padded, keeps=True),
    "softmax": Form(_ONE, "SoftmaxOptions", lambda _: {"Beta": 1.0}, fixed=_HALF),
    "logistic": Form(_ONE, fixed=_HALF),
    "hard_swish": Form((1, 1), "HardSwishOptions"),
    "relu": Form((1, 2)),
    "relu6": Form((1, 2)),
    "resize_bilinear": Form((3, 3), "ResizeBilinearOptions", _centred, _resized, keeps=True),
    "resize_nearest_neighbor": Form((3, 3), "ResizeNearestNeighborOptions", _centred, _resized, keeps=True),
    "quantize": Form((1, 2), "QuantizeOptions"),
    "dequantize": Form((1, 2), "DequantizeOptions"),
}
