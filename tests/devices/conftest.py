"""Models to measure, made without a converter, and the local device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices.local import LocalTransport
from devices.measurement import ModelFile
from devices.runners.litert import LitertDevice
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.tflite import single, write


def one_operator(name: str, spec: str) -> ModelFile:
    return ModelFile(name, write(single(OpSpec.parse(spec))))


@pytest.fixture(scope="session")
def tiny() -> ModelFile:
    """Some microseconds."""
    return one_operator("tiny.tflite", "conv_2d/float32/1x8x8x8/1x8x8x8/k3x3/s1x1/same")


@pytest.fixture(scope="session")
def small() -> ModelFile:
    """About half a millisecond."""
    return one_operator("small.tflite", "conv_2d/float32/1x56x56x32/1x56x56x32/k3x3/s1x1/same/relu6")


@pytest.fixture(scope="session")
def large() -> ModelFile:
    """A hundred milliseconds and more."""
    return one_operator("large.tflite", "conv_2d/float32/1x128x128x256/1x128x128x256/k3x3/s1x1/same")


@pytest.fixture(scope="session")
def pooling_int8() -> ModelFile:
    """An operator that the default delegate does not take."""
    return one_operator("pooling.tflite", "average_pool_2d/int8/1x28x28x64/1x28x28x64/k3x3/s1x1/same")


@pytest.fixture(scope="session")
def network() -> ModelFile:
    """Six depthwise separable blocks of some milliseconds in all."""
    nodes: list[Node] = []
    for i in range(6):
        depthwise = "depthwise_conv_2d/float32/1x56x56x64/1x56x56x64/k3x3/s1x1/same/relu6"
        pointwise = "conv_2d/float32/1x56x56x64/1x56x56x64/k1x1/s1x1/same"
        nodes += [Node(OpSpec.parse(depthwise), (2 * i - 1,)), Node(OpSpec.parse(pointwise), (2 * i,))]
    graph = Graph(((1, 56, 56, 64),), "float32", tuple(nodes), (len(nodes) - 1,))
    return ModelFile("network.tflite", write(graph))


@pytest.fixture(scope="module")
def device() -> Iterator[LitertDevice]:
    device = LitertDevice("local", LocalTransport())
    yield device
    device.close()
