"""What an operator is, as the runtime executes it, and how operators join into a network. No files, no timing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Self

from latency_tables.errors import BadOpSpec

Shape = tuple[int, ...]

#: kinds are TFLite's builtin operators in lower case; these carry a kernel, stride and padding
WINDOWED = frozenset({"conv_2d", "depthwise_conv_2d", "average_pool_2d", "max_pool_2d"})
#: element types as TFLite names them, in lower case
DTYPES = frozenset({"float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"})
PADDINGS = frozenset({"same", "valid"})
ACTIVATIONS = frozenset({"relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit"})


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operator as the runtime executes it: the key of a latency table.

    The text form is `kind/dtype/inputs/output[/option...]`, for example
    `conv_2d/float32/1x224x224x3/1x112x112x32/k3x3/s2x2/same/relu6`; `str()` prints it and `parse` reads it back.

    Attributes:
        kind: TFLite's builtin operator in lower case.
        dtype: element type of the activations.
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
        if self.dtype not in DTYPES:
            raise BadOpSpec(f"element type {self.dtype!r}; allowed: {', '.join(sorted(DTYPES))}")
        for shape in (*self.inputs, self.output):
            if any(size < 1 for size in shape):
                raise BadOpSpec(f"shape {shape} of {self.kind}; every size must be 1 or more")
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise BadOpSpec(f"activation {self.activation!r}; allowed: {', '.join(sorted(ACTIVATIONS))}")
        windowed = self.kernel is not None and self.stride is not None and self.padding in PADDINGS
        if (self.kind in WINDOWED) != windowed:
            raise BadOpSpec(f"{self.kind} with kernel {self.kernel}, stride {self.stride}, padding {self.padding}")

    def __str__(self) -> str:
        parts = [self.kind, self.dtype, "+".join(map(_print_shape, self.inputs)), _print_shape(self.output)]
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
        raise NotImplementedError

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and dense layers; other kinds count none, as the field counts."""
        if self.kind == "conv_2d" and self.kernel is not None:
            return prod(self.output) * prod(self.kernel) * self.inputs[0][-1] // self.groups
        if self.kind == "depthwise_conv_2d" and self.kernel is not None:
            return prod(self.output) * prod(self.kernel)
        if self.kind == "fully_connected":
            return prod(self.output) * (prod(self.inputs[0]) // prod(self.output[:-1]))
        return 0


@dataclass(frozen=True, slots=True)
class Node:
    """An operator in a network, and where its activation inputs come from.

    Attributes:
        sources: one per input of the spec: `i >= 0` is the output of node `i`, `-1 - k` the network's input `k`.
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
    return "x".join(map(str, shape))
