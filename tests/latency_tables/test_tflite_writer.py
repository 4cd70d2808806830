"""Written models: readable, aligned, free of figures that no real network has, quick to write."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from latency_tables.errors import BadOpSpec
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.tflite import NodeValues, Quantisation, read, single, values, write
from latency_tables.tflite.records import load

ONE_OF_EACH = (
    "conv_2d/{}/1x9x9x6/1x5x5x10/k3x3/s2x2/same/relu6",
    "conv_2d/{}/1x9x9x6/1x7x7x9/k3x3/s1x1/valid/g3",
    "depthwise_conv_2d/{}/1x9x9x6/1x9x9x12/k5x5/s1x1/same/relu",
    "fully_connected/{}/1x24/1x10",
    "fully_connected/{}/1x2x2x6/1x10/relu6",
    "fully_connected/{}/1x7x24/1x7x10",
    "add/{}/1x4x4x6+1x4x4x6/1x4x4x6/relu",
    "add/{}/1x4x4x6/1x4x4x6",
    "sub/{}/1x4x4x6+1x1x1x6/1x4x4x6",
    "mul/{}/1x4x4x6+1x1x1x6/1x4x4x6",
    "mul/{}/1x4x4x6/1x4x4x6",
    "mean/{}/1x4x4x6/1x1x1x6",
    "mean/{}/1x4x4x6/1x6",
    "mean/{}/1x1x1x6/1x1x1x6",
    "average_pool_2d/{}/1x9x9x6/1x5x5x6/k3x3/s2x2/same",
    "max_pool_2d/{}/1x9x9x6/1x3x3x6/k3x3/s3x3/valid",
    "concatenation/{}/1x4x4x6+1x4x4x2+1x4x4x1/1x4x4x9",
    "concatenation/{}/1x4x4x6+1x4x4x6/1x8x4x6",
    "softmax/{}/1x10/1x10",
    "logistic/{}/1x4x4x6/1x4x4x6",
    "hard_swish/{}/1x4x4x6/1x4x4x6",
    "relu/{}/1x4x4x6/1x4x4x6",
    "relu6/{}/1x4x4x6/1x4x4x6",
    "reshape/{}/1x4x4x6/1x96",
    "pad/{}/1x4x4x6/1x5x6x6",
    "resize_bilinear/{}/1x4x4x6/1x8x8x6",
    "resize_nearest_neighbor/{}/1x4x4x6/1x8x8x6",
    "quantize/{}/1x4x4x6/1x4x4x6",
)
SPECS = [OpSpec.parse(text.format(dtype)) for text in ONE_OF_EACH for dtype in ("float32", "int8")]
SPECS.append(OpSpec.parse("dequantize/int8/1x4x4x6/1x4x4x6"))


def run(content: bytes, seed: int = 0) -> NDArray[Any]:
    """The first output for random inputs."""
    model = Interpreter(model_content=content, num_threads=1)
    model.allocate_tensors()
    numbers = np.random.default_rng(seed)
    for detail in model.get_input_details():
        if detail["dtype"] == np.float32:
            model.set_tensor(detail["index"], numbers.uniform(-1, 1, detail["shape"]).astype(np.float32))
        else:
            model.set_tensor(detail["index"], numbers.integers(-128, 128, detail["shape"], dtype=np.int8))
    model.invoke()
    return np.asarray(model.get_tensor(model.get_output_details()[0]["index"]))


def mobile(dtype: str, blocks: int, resolution: int = 32, width: int = 8) -> Graph:
    """Inverted bottlenecks with squeeze and excite, one after the other."""
    nodes: list[Node] = []
    shape = (1, resolution, resolution, 3)

    def add(text: str, *sources: int) -> int:
        nodes.append(Node(OpSpec.parse(text), sources))
        return len(nodes) - 1

    def text(shape: tuple[int, ...]) -> str:
        return "x".join(map(str, shape))

    def conv(kind: str, source: int, channels: int, rest: str) -> int:
        given = nodes[source].spec.output if source >= 0 else shape
        output = (*given[:3], channels)
        return add(f"{kind}/{dtype}/{text(given)}/{text(output)}/{rest}", source)

    last = conv("conv_2d", -1, width, "k3x3/s1x1/same/relu6")
    for _ in range(blocks):
        first, wide = last, 6 * width
        inner = conv("conv_2d", first, wide, "k1x1/s1x1/same/relu6")
        inner = conv("depthwise_conv_2d", inner, wide, "k3x3/s1x1/same/relu6")
        whole = text(nodes[inner].spec.output)
        gate = add(f"mean/{dtype}/{whole}/1x1x1x{wide}", inner)
        gate = conv("conv_2d", gate, width // 4, "k1x1/s1x1/same/relu")
        gate = conv("conv_2d", gate, wide, "k1x1/s1x1/same")
        gate = add(f"logistic/{dtype}/1x1x1x{wide}/1x1x1x{wide}", gate)
        inner = add(f"mul/{dtype}/{whole}+1x1x1x{wide}/{whole}", inner, gate)
        inner = conv("conv_2d", inner, width, "k1x1/s1x1/same")
        narrow = text(nodes[first].spec.output)
        last = add(f"add/{dtype}/{narrow}+{narrow}/{narrow}", first, inner)
    last = add(f"mean/{dtype}/{text(nodes[last].spec.output)}/1x{width}", last)
    last = add(f"fully_connected/{dtype}/1x{width}/1x10", last)
    return Graph((shape,), dtype, tuple(nodes), (last,))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_single_operators_read_back_and_run(spec: OpSpec) -> None:
    graph = single(spec)
    content = write(graph)
    assert read(content) == graph
    output = run(content)
    assert output.shape == spec.output
    assert np.isfinite(output).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["float32", "int8"]))
def test_random_networks_read_back(seed: int, dtype: str) -> None:
    """Chains and joins of every kind whose shapes happen to fit."""
    numbers = random.Random(seed)
    graph = random_graph(numbers, dtype)
    content = write(graph, seed=seed % 3)
    assert read(content) == graph
    assert write(read(content), values(content)) == content


def random_graph(numbers: random.Random, dtype: str) -> Graph:
    shape = (1, numbers.randint(1, 9), numbers.randint(1, 9), numbers.choice([1, 3, 4, 8]))
    nodes: list[Node] = []
    shapes = {-1: shape}
    for index in range(numbers.randint(1, 12)):
        source = numbers.choice(list(shapes))
        given = shapes[source]
        kernel = numbers.choice([1, 3, 5])
        stride = numbers.choice([1, 2])
        window: dict[str, Any] = {"kernel": (kernel, kernel), "stride": (stride, stride), "padding": "same"}
        slid = (given[0], -(-given[1] // stride), -(-given[2] // stride))
        twin = numbers.choice([key for key, other in shapes.items() if other[:3] == given[:3]])
        activation = numbers.choice([None, "relu", "relu6"])
        spec, sources = numbers.choice(
            [
                (OpSpec("conv_2d", dtype, (given,), (*slid, 8), **window, activation=activation), (source,)),
                (OpSpec("depthwise_conv_2d", dtype, (given,), (*slid, given[3] * 2), **window), (source,)),
                (OpSpec("max_pool_2d", dtype, (given,), (*slid, given[3]), **window), (source,)),
                (OpSpec("average_pool_2d", dtype, (given,), (*slid, given[3]), **window), (source,)),
                (OpSpec("add", dtype, (given, given), given, activation=activation), (source, source)),
                (OpSpec("mul", dtype, (given,), given), (source,)),
                (OpSpec("mean", dtype, (given,), (1, 1, 1, given[3])), (source,)),
                (OpSpec("logistic", dtype, (given,), given), (source,)),
                (OpSpec("hard_swish", dtype, (given,), given), (source,)),
                (
                    OpSpec(
                        "concatenation",
                        dtype,
                        (given, shapes[twin]),
                        (*given[:3], given[3] + shapes[twin][3]),
                    ),
                    (source, twin),
                ),
            ]
        )
        nodes.append(Node(spec, sources))
        shapes[index] = spec.output
    return Graph((shape,), dtype, tuple(nodes), (len(nodes) - 1,))


def test_buffers_are_aligned_and_the_librarys_own_code_reads_the_same() -> None:
    for dtype in ("float32", "int8"):
        content = write(mobile(dtype, 2))
        start = np.frombuffer(content, np.uint8).ctypes.data
        constants = [tensor for tensor in load(content)[0].tensors if tensor.constant]
        assert len(constants) > 10
        for tensor in constants:
            assert (np.frombuffer(tensor.data, np.uint8).ctypes.data - start) % 16 == 0
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        packed = bytes(builder.Output())
        assert read(packed) == read(content)
        assert run(packed).tobytes() == run(content).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_deep_networks_stay_in_a_plausible_range(dtype: str) -> None:
    """No overflow, and no denormals, which some processors compute a hundred times more slowly."""
    graph = mobile(dtype, 30)
    every = replace(graph, outputs=tuple(range(len(graph.nodes))))
    model = Interpreter(model_content=write(every), num_threads=1)
    model.allocate_tensors()
    detail = model.get_input_details()[0]
    pixels = np.random.default_rng(0).uniform(-1, 1, detail["shape"])
    scale = 1 if dtype == "float32" else 127
    model.set_tensor(detail["index"], (pixels * scale).astype(detail["dtype"]))
    model.invoke()
    for detail in model.get_output_details():
        output = model.get_tensor(detail["index"])
        if dtype == "int8":
            assert len(np.unique(output)) > 1 or output.size < 20
            continue
        assert np.isfinite(output).all()
        sizes = np.abs(output[output != 0])
        if not sizes.size:
            assert output.size < 20  # a squeezed layer that its ReLU silences
            continue
        assert sizes.max() < 1e4
        assert sizes.min() > 1e-30
        assert sizes.mean() > 1e-3


def test_the_seed_decides_the_weights() -> None:
    graph = single(OpSpec.parse("conv_2d/float32/1x9x9x6/1x5x5x10/k3x3/s2x2/same"))
    assert write(graph, seed=1) == write(graph, seed=1)
    assert write(graph, seed=1) != write(graph, seed=2)


def test_given_values_are_written() -> None:
    spec = OpSpec.parse("conv_2d/int8/1x4x4x2/1x4x4x3/k1x1/s1x1/same")
    given = NodeValues(
        weights=np.arange(6, dtype=np.int8).reshape(3, 1, 1, 2),
        bias=np.array([1, 2, 3], np.int32),
        scales=np.array([0.5, 0.25, 0.125], np.float32),
        output=Quantisation(0.75, 5),
    )
    found = values(write(single(spec), {0: given, -1: NodeValues(output=Quantisation(2.0, -3))}))
    assert found[-1].output == Quantisation(2.0, -3)
    assert found[0].output == Quantisation(0.75, 5)
    for name in ("weights", "bias", "scales"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(given, name))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_without_bias(dtype: str) -> None:
    """A dense layer may have none; the runtime wants one of a convolution, so it is zero."""
    for text in (f"conv_2d/{dtype}/1x4x4x2/1x4x4x3/k1x1/s1x1/same", f"fully_connected/{dtype}/1x2/1x3"):
        spec = OpSpec.parse(text)
        weights = np.ones((3, 1, 1, 2) if spec.kernel else (3, 2), dtype)
        content = write(single(spec), {0: NodeValues(weights=weights)})
        bias = values(content)[0].bias
        assert bias is None if spec.kernel is None else not bias.any()
        assert np.isfinite(run(content)).all()


CONV = OpSpec.parse("conv_2d/float32/1x9x9x6/1x5x5x10/k3x3/s2x2/same")


@pytest.mark.parametrize(
    ("graph", "quoted"),
    [
        (single(replace(CONV, output=(1, 9, 9, 10))), "gives (1, 5, 5)"),
        (single(replace(CONV, groups=4)), "4 groups"),
        (single(replace(CONV, weights="int8")), "int8 weights"),
        (single(replace(CONV, dtype="float16")), "float16"),
        (single(OpSpec.parse("custom:Mine/float32/1x2/1x2")), "custom:Mine cannot be written"),
        (single(OpSpec.parse("fully_connected/float32/1x24+10x24/1x10")), "2 activation inputs"),
        (single(OpSpec.parse("concatenation/float32/1x4x4x6+1x4x5x2/1x4x4x8")), "concatenation of"),
        (single(OpSpec.parse("mean/float32/1x4x4x6/1x2x1x6")), "mean of"),
        (single(OpSpec.parse("add/float32/1x4+1x3/1x4")), "add of"),
        (single(OpSpec.parse("pad/float32/1x4/1x3")), "pad of"),
        (single(OpSpec.parse("reshape/float32/1x4/1x3")), "reshape of"),
        (Graph(CONV.inputs, "float32", (), ()), "0 nodes"),
        (Graph(CONV.inputs, "float32", (Node(CONV, (-1,)),), (1,)), "outputs (1,)"),
        (Graph(CONV.inputs, "float32", (Node(CONV, (0,)),), (0,)), "neither an input nor an earlier node"),
        (Graph(CONV.inputs, "float32", (Node(CONV, (-2,)),), (0,)), "neither an input nor an earlier node"),
        (Graph(CONV.inputs, "float32", (Node(CONV, ()),), (0,)), "0 sources"),
        (Graph(((1, 9, 8, 6),), "float32", (Node(CONV, (-1,)),), (0,)), "(1, 9, 8, 6)"),
        (Graph(CONV.inputs, "int8", (Node(CONV, (-1,)),), (0,)), "gives int8"),
    ],
)
def test_what_cannot_be_written_is_refused(graph: Graph, quoted: str) -> None:
    with pytest.raises(BadOpSpec) as caught:
        write(graph)
    assert quoted in str(caught.value)


def test_values_of_another_shape_are_refused() -> None:
    for wrong in (
        NodeValues(weights=np.ones((10, 3, 3, 5), np.float32)),
        NodeValues(weights=np.ones((10, 3, 3, 6), np.float32), bias=np.ones(9, np.float32)),
    ):
        with pytest.raises(BadOpSpec, match="it takes"):
            write(single(CONV), {0: wrong})
    with pytest.raises(BadOpSpec, match="4 scales for 10 channels"):
        write(single(replace(CONV, dtype="int8")), {0: NodeValues(scales=np.ones(4, np.float32))})


def test_a_network_of_a_hundred_operators_takes_less_than_50_ms() -> None:
    graph = mobile("float32", 11, width=96)
    assert len(graph.nodes) >= 100
    write(graph)
    durations = []
    for _ in range(9):
        begin = time.perf_counter()
        content = write(graph)
        durations.append(time.perf_counter() - begin)
    assert len(content) > 4_000_000
    assert min(durations) < 0.05
