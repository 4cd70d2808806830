"""From an architecture to the operators a runtime executes: the only walk over shapes. Knows no framework."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from latency_tables.ops import Graph, Node, OpSpec, Shape
from mnas.architecture import Architecture, Block
from mnas.errors import BadInput

#: element types a network can be lowered to
DTYPES = ("float32", "int8")


@dataclass(frozen=True, slots=True)
class Lowered:
    """A network as operators, with what counting them gives.

    Attributes:
        graph: the operators as TFLite executes them, batch 1, in its order; one image in, logits out.
        normalised: per node, whether batch normalisation follows (then the convolution has no bias).
        names: per node, what it is in its network, such as `stage3_layer1_depthwise`; all different.
        macs: multiply-accumulates of convolutions and dense layers.
        parameters: convolution and dense weights and biases, batch-norm gamma and beta.
    """

    graph: Graph
    normalised: tuple[bool, ...]
    names: tuple[str, ...]
    macs: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of operators that continues what stands before it, and whose output is its last operator's.

    Sources count from the segment's own first node, so that -1 is the segment's input. Shifted by the number
    of nodes before it, -1 becomes the node before it, or stays the network's input where there is none.
    """

    nodes: tuple[Node, ...]
    normalised: tuple[bool, ...]
    names: tuple[str, ...]
    macs: int
    parameters: int

    @property
    def output(self) -> Shape:
        """Shape of the segment's output."""
        return self.nodes[-1].spec.output


def lower(architecture: Architecture, dtype: str = "float32") -> Lowered:
    """The operators of a network, its multiply-accumulates and its parameters.

    Raises:
        BadInput: the element type is none of `DTYPES`.
    """
    if dtype not in DTYPES:
        raise BadInput(f"element type {dtype!r}; allowed: {', '.join(DTYPES)}")
    image: Shape = (1, architecture.height, architecture.width, architecture.channels)
    segments: list[tuple[str, Segment]] = []
    shape = image
    for number, block in enumerate(architecture.blocks):
        segment = lower_block(block, shape, dtype)
        segments.append((f"stage{number}_", segment))
        shape = segment.output
    segments.append(("", lower_classifier(shape, architecture.classes, dtype)))
    whole = _join(segments)
    graph = Graph((image,), dtype, whole.nodes, (len(whole.nodes) - 1,))
    return Lowered(graph, whole.normalised, whole.names, whole.macs, whole.parameters)


@lru_cache(maxsize=65536)
def lower_block(block: Block, shape: Shape, dtype: str) -> Segment:
    """The operators of one block on an input of `shape` (1, height, width, filters)."""
    segments = []
    for number in range(block.repeats):
        segment = _lower_layer(block, block.stride if number == 0 else 1, shape, dtype)
        segments.append((f"layer{number}_", segment))
        shape = segment.output
    return _join(segments)


@lru_cache(maxsize=4096)
def lower_classifier(shape: Shape, classes: int, dtype: str) -> Segment:
    """Global mean over an input of `shape` (1, height, width, filters) and the dense layer of logits."""
    layer = _Layer(shape, dtype)
    mean = layer.add("mean", "mean", (1, shape[-1]), -1)
    layer.add("logits", "fully_connected", (1, classes), mean)
    return layer.segment()


@lru_cache(maxsize=65536)
def _lower_layer(block: Block, stride: int, shape: Shape, dtype: str) -> Segment:
    layer = _Layer(shape, dtype)
    filters, act = shape[-1], block.activation
    pooled = block.skip == "pool" and filters == block.channels
    skipped = block.skip == "identity" and filters == block.channels and stride == 1
    shortcut = layer.flatten_pixel("shortcut", -1) if skipped else -1
    main = -1
    if block.kind == "cv":
        main = layer.convolve("convolution", main, block.channels, (block.kernel, stride), act)
    else:
        if block.expansion > 1:
            main = layer.convolve("expand", main, filters * block.expansion, (1, 1), act)
        main = layer.convolve("depthwise", main, None, (block.kernel, stride), act)
    if block.se_ratio:
        main = layer.squeeze_excite(main, max(1, int(filters * block.se_ratio)), act)
    if block.kind != "cv":
        main = layer.convolve("project", main, block.channels, (1, 1), act if block.kind == "sc" else None)
    if pooled:
        shortcut = layer.flatten_pixel("shortcut", layer.pool("pool", -1, 3, stride))
    if pooled or skipped:
        layer.add("add", "add", layer.shape(main), main, shortcut)
    return layer.segment()


class _Layer:
    """Collects the operators of one layer; nodes count from the layer's first one, -1 is its input."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        self._input = shape
        self._dtype = dtype
        self._nodes: list[Node] = []
        self._normalised: list[bool] = []
        self._names: list[str] = []

    def shape(self, source: int) -> Shape:
        """Shape of a node's output, or of the layer's input."""
        return self._nodes[source].spec.output if source >= 0 else self._input

    def convolve(
        self,
        name: str,
        source: int,
        filters: int | None,
        window: tuple[int, int],
        activation: str | None,
        *,
        normalised: bool = True,
    ) -> int:
        """Convolve a node's output with a window of a size and stride, depthwise without `filters`."""
        channels = self.shape(source)[-1] if filters is None else filters
        return self.add(
            name,
            "depthwise_conv_2d" if filters is None else "conv_2d",
            self._strided(source, window[1], channels),
            source,
            window=window,
            activation=activation,
            normalised=normalised,
        )

    def squeeze_excite(self, source: int, squeezed: int, activation: str) -> int:
        """Scale a node's channels by a gate computed from their means; returns the node."""
        *pixels, filters = self.shape(source)
        gate = source
        if prod(pixels) > 1:  # the mean of one pixel is that pixel; the converter drops it
            gate = self.add("squeeze_mean", "mean", (1, 1, 1, filters), gate)
        gate = self.convolve("squeeze", gate, squeezed, (1, 1), activation, normalised=False)
        gate = self.convolve("excite", gate, filters, (1, 1), None, normalised=False)
        gate = self.add("gate", "logistic", (1, 1, 1, filters), gate)
        return self.add("scale", "mul", self.shape(source), source, gate)

    def pool(self, name: str, source: int, kernel: int, stride: int) -> int:
        """Average over windows of a node's output; returns the node."""
        output = self._strided(source, stride, self.shape(source)[-1])
        return self.add(name, "average_pool_2d", output, source, window=(kernel, stride))

    def flatten_pixel(self, name: str, source: int) -> int:
        """A node's output as an addition takes it second; returns the node.

        Of one image and one pixel the converter adds [filters], not [1, 1, 1, filters].
        """
        *pixels, filters = self.shape(source)
        if prod(pixels) > 1 or filters == 1:
            return source
        return self.add(name, "reshape", (filters,), source)

    def add(
        self,
        name: str,
        kind: str,
        output: Shape,
        *sources: int,
        window: tuple[int, int] | None = None,
        activation: str | None = None,
        normalised: bool = False,
    ) -> int:
        """Append an operator; `window` is the size and stride of its kernel. Returns the node."""
        spec = OpSpec(
            kind,
            self._dtype,
            tuple(self.shape(source) for source in sources),
            output,
            kernel=None if window is None else (window[0], window[0]),
            stride=None if window is None else (window[1], window[1]),
            padding=None if window is None else "same",
            activation=activation,
        )
        self._nodes.append(Node(spec, sources))
        self._normalised.append(normalised)
        self._names.append(name)
        return len(self._nodes) - 1

    def segment(self) -> Segment:
        """What was collected."""
        return Segment(
            tuple(self._nodes),
            tuple(self._normalised),
            tuple(self._names),
            sum(node.spec.macs for node in self._nodes),
            sum(map(_parameters, (node.spec for node in self._nodes), self._normalised)),
        )

    def _strided(self, source: int, stride: int, channels: int) -> Shape:
        _, height, width, _ = self.shape(source)
        return (1, -(-height // stride), -(-width // stride), channels)


def _parameters(spec: OpSpec, normalised: bool) -> int:
    """Weights, and per output channel one bias or batch normalisation's gamma and beta."""
    if spec.kind == "conv_2d":
        weights = prod(spec.kernel or ()) * spec.inputs[0][-1] * spec.output[-1]
    elif spec.kind == "depthwise_conv_2d":
        weights = prod(spec.kernel or ()) * spec.output[-1]
    elif spec.kind == "fully_connected":
        weights = spec.inputs[0][-1] * spec.output[-1]
    else:
        return 0
    return weights + spec.output[-1] * (2 if normalised else 1)


def _join(segments: Iterable[tuple[str, Segment]]) -> Segment:
    """Segments one after the other, with a prefix for the names of each."""
    nodes: list[Node] = []
    normalised: list[bool] = []
    names: list[str] = []
    macs = parameters = 0
    for prefix, segment in segments:
        offset = len(nodes)
        nodes += [
            Node(node.spec, tuple([source + offset for source in node.sources])) for node in segment.nodes
        ]
        normalised += segment.normalised
        names += [prefix + name for name in segment.names]
        macs += segment.macs
        parameters += segment.parameters
    return Segment(tuple(nodes), tuple(normalised), tuple(names), macs, parameters)
