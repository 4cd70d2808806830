"""What an operator is, as the runtime runs it, and how operators join into a network; no files, no timing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Self

from latency_tables.errors import BadOpSpec

Shape = tuple[int, ...]

#: kinds are TFLite's builtin operators in lower case; these carry a kernel, stride and padding
WINDOWED = frozenset(
    {"conv_2d", "depthwise_conv_2d", "transpose_conv", "average_pool_2d", "max_pool_2d", "l2_pool_2d"}
)
#: element types as TFLite names them, in lower case
DTYPES = frozenset({"float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"})
PADDINGS = frozenset({"same", "valid"})
ACTIVATIONS = frozenset({"relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit"})

_KIND = re.compile(r"[a-z][a-z0-9_]*|custom:[A-Za-z0-9_.:-]+", re.ASCII)
_SHAPE = re.compile(r"[1-9][0-9]{0,17}(x[1-9][0-9]{0,17})*", re.ASCII)
_OPTION = re.compile(r"([ksd])([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", re.ASCII)
_OPTIONS = "kHxW, sHxW, same, valid, dHxW, gN, w:TYPE, " + ", ".join(sorted(ACTIVATIONS))
_GROUPS = re.compile(r"g([1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operator as the runtime executes it: the key of a latency table.

    The text form is `kind/dtype/inputs/output[/option...]`; `str()` prints it and `parse` reads it back:
    `conv_2d/float32/1x224x224x3/1x112x112x32/k3x3/s2x2/same/relu6`,
    `add/int8/1x28x28x40+1x28x28x40/1x28x28x40`.

    Attributes:
        kind: TFLite's builtin operator in lower case, or `custom:NAME`.
        dtype: element type of the first activation input (of the output where there is none).
        inputs: shapes of the activation inputs, NHWC; weights and other constants are not listed.
        output: shape of the first output.
        kernel: window height and width, for windowed kinds; None otherwise.
        stride: likewise.
        dilation: likewise, convolutions only.
        padding: `same` or `valid`, for windowed kinds.
        activation: the fused activation; None where there is none.
        weights: element type of the weights where it differs from `dtype` (dynamic range quantisation).
        groups: groups of a convolution.
    """

    kind: str
    dtype: str
    inputs: tuple[Shape, ...]
    output: Shape
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    dilation: tuple[int, int] = (1, 1)
    padding: str | None = None
    activation: str | None = None
    weights: str | None = None
    groups: int = 1

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise BadOpSpec(
                f"operator kind {self.kind!r}; it is a TFLite operator in lower case or custom:NAME, "
                "with letters, digits and _ only"
            )
        if self.dtype not in DTYPES:
            raise BadOpSpec(f"element type {self.dtype!r}; allowed: {', '.join(sorted(DTYPES))}")
        if self.weights is not None and self.weights not in DTYPES | {"int4"}:
            raise BadOpSpec(f"element type {self.weights!r} of weights; allowed: {', '.join(sorted(DTYPES))}")
        for shape in (*self.inputs, self.output):
            if any(size < 1 for size in shape):
                raise BadOpSpec(f"shape {shape} of {self.kind}; every size must be 1 or more")
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise BadOpSpec(f"activation {self.activation!r}; allowed: {', '.join(sorted(ACTIVATIONS))}")
        window = (self.kernel, self.stride, self.padding)
        given = None not in window and self.padding in PADDINGS
        if (self.kind in WINDOWED) != given or (not given and window != (None, None, None)):
            raise BadOpSpec(
                f"{self.kind} with kernel {self.kernel}, stride {self.stride}, padding {self.padding}"
            )
        if min(*(self.kernel or (1, 1)), *(self.stride or (1, 1)), *self.dilation, self.groups) < 1:
            raise BadOpSpec(
                f"{self.kind} with kernel {self.kernel}, stride {self.stride}, dilation {self.dilation}, "
                f"{self.groups} groups; each must be 1 or more"
            )

    def __str__(self) -> str:
        inputs = "+".join(map(_print_shape, self.inputs)) or "none"
        parts = [self.kind, self.dtype, inputs, _print_shape(self.output)]
        if self.kernel is not None and self.stride is not None and self.padding is not None:
            parts += [f"k{_print_shape(self.kernel)}", f"s{_print_shape(self.stride)}", self.padding]
        if self.dilation != (1, 1):
            parts.append(f"d{_print_shape(self.dilation)}")
        if self.groups != 1:
            parts.append(f"g{self.groups}")
        if self.weights is not None:
            parts.append(f"w:{self.weights}")
        if self.activation is not None:
            parts.append(self.activation)
        return "/".join(parts)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form back.

        Raises:
            BadOpSpec: the text is no operator; the message quotes the offending part.
        """
        parts = text.split("/")
        if len(parts) < 4:
            raise BadOpSpec(f"{text!r} is no operator; expected kind/dtype/inputs/output[/option...]")
        kind, dtype, inputs, output, *options = parts
        window: dict[str, tuple[int, int]] = {}
        words: dict[str, str] = {}
        groups = 1
        for option in options:
            if match := _OPTION.fullmatch(option):
                name = match[1]
                window[name] = (int(match[2]), int(match[3]))
            elif match := _GROUPS.fullmatch(option):
                groups = int(match[1])
            elif option in PADDINGS:
                words["padding"] = option
            elif option.startswith("w:"):
                words["weights"] = option[2:]
            elif option in ACTIVATIONS:
                words["activation"] = option
            else:
                raise BadOpSpec(f"option {option!r} of {text!r}; allowed: {_OPTIONS}")
        try:
            spec = cls(
                kind,
                dtype,
                () if inputs == "none" else tuple(map(_parse_shape, inputs.split("+"))),
                _parse_shape(output),
                window.get("k"),
                window.get("s"),
                window.get("d", (1, 1)),
                words.get("padding"),
                words.get("activation"),
                words.get("weights"),
                groups,
            )
        except BadOpSpec as error:
            raise BadOpSpec(f"{error} (in {text!r})") from None
        if str(spec) != text:
            raise BadOpSpec(f"{text!r} is not how this operator is written; did you mean {str(spec)!r}?")
        return spec

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and dense layers; other kinds count none, as is usual."""
        if self.kind == "conv_2d" and self.kernel is not None:
            return prod(self.output) * prod(self.kernel) * self.inputs[0][-1] // self.groups
        if self.kind == "transpose_conv" and self.kernel is not None:
            return prod(self.inputs[0]) * prod(self.kernel) * self.output[-1]
        if self.kind == "depthwise_conv_2d" and self.kernel is not None:
            return prod(self.output) * prod(self.kernel)
        if self.kind == "fully_connected":
            return prod(self.output) * (prod(self.inputs[0]) // prod(self.output[:-1]))
        return 0


@dataclass(frozen=True, slots=True)
class Node:
    """An operator in a network, and where its activation inputs come from.

    Attributes:
        sources: one per input of the spec: `i >= 0` is the (first) output of node `i`, `-1 - k` the
            network's input `k`.
    """

    spec: OpSpec
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as operators in execution order.

    Attributes:
        inputs: shapes of the network's inputs.
        dtype: element type of inputs and activations.
        outputs: nodes whose outputs leave the network.
    """

    inputs: tuple[Shape, ...]
    dtype: str
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def specs(self) -> tuple[OpSpec, ...]:
        """The operators in execution order."""
        return tuple(node.spec for node in self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)


def _print_shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _parse_shape(text: str) -> Shape:
    if text == "scalar":
        return ()
    if not _SHAPE.fullmatch(text):
        raise BadOpSpec(f"shape {text!r}; expected sizes of 1 or more joined by x, such as 1x56x56x24")
    return tuple(map(int, text.split("x")))
