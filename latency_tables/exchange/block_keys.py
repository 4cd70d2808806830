"""The keys of once-for-all's and ProxylessNAS' tables, and which operators each stands for. Reads no file.

A key names a layer by its shapes, `expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-
idskip:0`, and leaves out what its makers knew: the activation, how squeeze-excite is made, the element type.
A `Dialect` says that. Sources: `latency_lookup_table.py` of once-for-all (Cai et al., ICLR 2020) and
`latency_estimator.py` of ProxylessNAS (Cai et al., ICLR 2019).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

from latency_tables.errors import BadTable
from latency_tables.ops import OpSpec, Shape
from latency_tables.units import Unit

_KEY = re.compile(
    r"(?P<kind>Conv|Conv_1|Conv_2|AvgPool2D|Logits|expanded_conv)"
    r"-input:(?P<input>[1-9]\d{0,4}x[1-9]\d{0,4}x[1-9]\d{0,5})"
    r"-output:(?P<output>[1-9]\d{0,5}(x[1-9]\d{0,4}x[1-9]\d{0,5})?)"
    r"(-expand:(?P<expand>[1-9]\d{0,5})-kernel:(?P<kernel>[1-9]\d?)-stride:(?P<stride>[1-9])"
    r"-idskip:(?P<idskip>[01])(-se:(?P<se>[01])-hs:(?P<hs>[01]))?)?",
    re.ASCII,
)
_FORM = (
    "Conv, Conv_1, Conv_2, AvgPool2D, Logits or expanded_conv, then -input:HxWxC-output:HxWxC, and of an "
    "expanded_conv -expand:N-kernel:N-stride:N-idskip:N, with or without -se:N-hs:N"
)
#: an activation that the runtime runs as an operator of its own
SEPARATE_ACTIVATIONS = frozenset({"hard_swish"})
ACTIVATIONS = ("relu", "relu6", "hard_swish")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the keys of one maker mean beyond what they say.

    Attributes:
        expand_is_ratio: `expand` is a multiple of the input's filters; else the number of filters itself.
        activation: of layers whose key does not say, and of `hs:0`.
        frame_activation: of `Conv`, `Conv_1` and `Conv_2`.
        squeeze: squeeze-excite's inner filters are a quarter of the `expanded` filters, rounded to multiples
            of 8, or of the layer's `input` filters, rounded down.
        gate: squeeze-excite's last activation, `hard_sigmoid` or `logistic`.
    """

    name: str
    expand_is_ratio: bool
    activation: str
    frame_activation: str
    squeeze: str
    gate: str


PROXYLESSNAS = Dialect("proxylessnas", True, "relu6", "relu6", "expanded", "hard_sigmoid")
ONCE_FOR_ALL = Dialect("once-for-all", False, "relu", "hard_swish", "expanded", "hard_sigmoid")
#: this project's own blocks under once-for-all's keys
MNASNET = Dialect("mnasnet", False, "relu6", "relu6", "input", "logistic")
DIALECTS = {one.name: one for one in (PROXYLESSNAS, ONCE_FOR_ALL, MNASNET)}


@dataclass(frozen=True, slots=True)
class BlockKey:
    """A row's key; `str()` prints it and `parse` reads it back.

    Attributes:
        kind: `Conv` the stem, `Conv_1` the head's convolution, `AvgPool2D` the global mean, `Conv_2` a
            convolution of the one pixel behind it, `Logits` the dense layer with the global mean where its
            input has more than one pixel, `expanded_conv` an inverted bottleneck.
        input: height, width and filters.
        output: likewise; of `Logits` the classes alone.
        expand: ratio or filters, as the dialect has it; 0 for other kinds, as all that follows.
        squeeze_excite: None where the key does not say.
        hard_swish: likewise.
    """

    kind: str
    input: Shape
    output: Shape
    expand: int = 0
    kernel: int = 0
    stride: int = 0
    skip: bool = False
    squeeze_excite: bool | None = None
    hard_swish: bool | None = None

    def __str__(self) -> str:
        parts = [self.kind, f"input:{_shape(self.input)}", f"output:{_shape(self.output)}"]
        if self.kind == "expanded_conv":
            parts += [f"expand:{self.expand}", f"kernel:{self.kernel}", f"stride:{self.stride}"]
            parts.append(f"idskip:{self.skip:d}")
            if self.squeeze_excite is not None and self.hard_swish is not None:
                parts += [f"se:{self.squeeze_excite:d}", f"hs:{self.hard_swish:d}"]
        return "-".join(parts)

    @classmethod
    def parse(cls, text: str) -> BlockKey:
        """Read a key.

        Raises:
            BadTable: it is none; the message quotes it and says what a key looks like.
        """
        match = _KEY.fullmatch(text)
        if match is None or (match["kind"] == "expanded_conv") != (match["expand"] is not None):
            raise BadTable(f"{text!r} is no key of a block; the form is {_FORM}")
        source, target = (tuple(map(int, match[name].split("x"))) for name in ("input", "output"))
        if (len(target) == 1) != (match["kind"] == "Logits"):
            raise BadTable(f"the output of {text!r}; Logits have a number of classes, all others HxWxC")
        if match["expand"] is None:
            return cls(match["kind"], source, target)
        return cls(
            kind=match["kind"],
            input=source,
            output=target,
            expand=int(match["expand"]),
            kernel=int(match["kernel"]),
            stride=int(match["stride"]),
            skip=match["idskip"] == "1",
            squeeze_excite=None if match["se"] is None else match["se"] == "1",
            hard_swish=None if match["hs"] is None else match["hs"] == "1",
        )


def operators(key: BlockKey, dialect: Dialect, dtype: str = "float32") -> Unit:
    """The operators that a key stands for, as TFLite executes them, in order.

    Raises:
        BadTable: the key contradicts itself: its strides do not lead from input to output, for example.
    """
    layer = _Layer(key.input, dtype)
    if key.kind == "expanded_conv":
        _expanded(layer, key, dialect)
    elif key.kind == "AvgPool2D":
        layer.add("mean", (1, 1, 1, key.input[-1]))
    elif key.kind == "Logits":
        filters = key.input[-1]
        if prod(key.input[:2]) > 1:
            layer.add("mean", (1, filters))
        layer.shape = (1, filters)
        layer.add("fully_connected", (1, *key.output))
    else:
        stride = -(-key.input[0] // key.output[0])
        kernel = 3 if key.kind == "Conv" else 1
        layer.convolve(key.output[-1], kernel, stride, dialect.frame_activation)
    ends = layer.shape[-len(key.output) :]
    if ends != key.output:
        raise BadTable(f"the key {key} ends with {_shape(ends)} by its own strides and filters")
    return tuple(layer.specs)


def key_of(unit: Unit, dialect: Dialect) -> BlockKey | None:
    """The key whose operators by this dialect are exactly these; None where no key stands for them."""
    first, last = unit[0], unit[-1]
    if len(first.inputs) < 1 or not first.inputs[0] or not last.output:
        return None
    if last.kind == "fully_connected":
        pixels = first.inputs[0][1:] if first.kind == "mean" else (1, 1, first.inputs[0][-1])
        key = BlockKey("Logits", pixels, last.output[1:])
    elif len(unit) == 1 and first.kind == "mean":
        key = BlockKey("AvgPool2D", first.inputs[0][1:], last.output[1:])
    elif first.kind == "conv_2d" and all(spec.kind in SEPARATE_ACTIVATIONS for spec in unit[1:]):
        one_pixel = prod(first.inputs[0][1:3]) == 1
        kind = "Conv" if first.kernel != (1, 1) else "Conv_2" if one_pixel else "Conv_1"
        key = BlockKey(kind, first.inputs[0][1:], last.output[1:])
    else:
        depthwise = next((spec for spec in unit if spec.kind == "depthwise_conv_2d"), None)
        if depthwise is None or depthwise.kernel is None or depthwise.stride is None:
            return None
        filters, expanded = first.inputs[0][-1], depthwise.output[-1]
        kinds = [spec.kind for spec in unit]
        key = BlockKey(
            "expanded_conv",
            first.inputs[0][1:],
            last.output[1:],
            expanded // filters if dialect.expand_is_ratio else expanded,
            depthwise.kernel[0],
            depthwise.stride[0],
            skip=last.kind == "add",
            squeeze_excite=None if dialect.expand_is_ratio else "mean" in kinds,
            hard_swish=None if dialect.expand_is_ratio else "hard_swish" in kinds,
        )
    try:
        return key if operators(key, dialect, first.dtype) == unit else None
    except BadTable:
        return None


class _Layer:
    """Collects operators of a chain, each on the output of the one before it."""

    def __init__(self, pixels: Shape, dtype: str) -> None:
        self.shape: Shape = (1, *pixels)
        self.specs: list[OpSpec] = []
        self._dtype = dtype

    def add(self, kind: str, output: Shape, *others: Shape, activation: str | None = None) -> None:
        inputs = (self.shape, *others)
        self.specs.append(OpSpec(kind, self._dtype, inputs, output, activation=activation))
        self.shape = output

    def convolve(self, filters: int | None, kernel: int, stride: int, activation: str | None) -> None:
        """A convolution, depthwise without `filters`, and its activation."""
        _, height, width, channels = self.shape
        output = (1, -(-height // stride), -(-width // stride), channels if filters is None else filters)
        separate = activation if activation in SEPARATE_ACTIVATIONS else None
        self.specs.append(
            OpSpec(
                "depthwise_conv_2d" if filters is None else "conv_2d",
                self._dtype,
                (self.shape,),
                output,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding="same",
                activation=None if separate else activation,
            )
        )
        self.shape = output
        if separate:
            self.add(separate, output)


def _expanded(layer: _Layer, key: BlockKey, dialect: Dialect) -> None:
    """Expansion, depthwise convolution, squeeze-excite, projection, addition (Sandler et al. 2018)."""
    filters = key.input[-1]
    expanded = filters * key.expand if dialect.expand_is_ratio else key.expand
    activation = "hard_swish" if key.hard_swish else dialect.activation
    start = layer.shape
    if expanded != filters:
        layer.convolve(expanded, 1, 1, activation)
    layer.convolve(None, key.kernel, key.stride, activation)
    if key.squeeze_excite:
        scaled = layer.shape
        pixel = (1, 1, 1, expanded)
        if prod(scaled[1:3]) > 1:
            layer.add("mean", pixel)
        # inside squeeze-excite once-for-all has ReLU, whatever the layer has
        inner = "relu" if dialect.squeeze == "expanded" else activation
        layer.convolve(_squeezed(filters, expanded, dialect), 1, 1, inner)
        layer.convolve(expanded, 1, 1, None)
        if dialect.gate == "logistic":
            layer.add("logistic", pixel)
        else:  # relu6(x + 3) / 6; constants are no inputs
            layer.add("add", pixel, activation="relu6")
            layer.add("mul", pixel)
        layer.shape = scaled
        layer.add("mul", scaled, pixel)
    layer.convolve(key.output[-1], 1, 1, None)
    if key.skip:
        if layer.shape != start:
            raise BadTable(f"the key {key} adds an input of another shape than its output's")
        layer.add("add", start, start)


def _squeezed(filters: int, expanded: int, dialect: Dialect) -> int:
    if dialect.squeeze == "input":
        return max(1, filters // 4)
    wanted = expanded // 4
    rounded = max(8, (wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))
