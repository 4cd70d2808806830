"""How the canary that `devices` ships was made: three kinds of layers, some tenths of a millisecond."""

from __future__ import annotations

from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.tflite import write

LAYERS = (
    "conv_2d/float32/1x56x56x16/1x56x56x16/k3x3/s1x1/same/relu6",
    "depthwise_conv_2d/float32/1x56x56x16/1x56x56x16/k3x3/s1x1/same/relu6",
    "conv_2d/float32/1x56x56x16/1x56x56x32/k1x1/s1x1/same",
)


def canary() -> bytes:
    nodes = tuple(Node(OpSpec.parse(layer), (number - 1,)) for number, layer in enumerate(LAYERS))
    return write(Graph(((1, 56, 56, 16),), "float32", nodes, (len(nodes) - 1,)))
