from __future__ import annotations

import pytest

from devices.measurement import ModelFile, OperatorTime, Pass
from devices.plan import Plan
from devices.registry import open_device
from latency_tables import tflite
from latency_tables.errors import BadTable
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import attribute_network

IMAGE = (1, 16, 16, 8)
GATE = (1, 1, 1, 8)
WINDOW = {"kernel": (3, 3), "stride": (1, 1), "padding": "same"}
POINT = {"kernel": (1, 1), "stride": (1, 1), "padding": "same"}


def network(dtype: str) -> Graph:
    """Every kind of operator of the spaces, a pooling skip around a convolution among them."""
    nodes = [
        Node(OpSpec("conv_2d", dtype, ((1, 32, 32, 3),), IMAGE, (3, 3), (2, 2), padding="same"), (-1,)),
        Node(OpSpec("conv_2d", dtype, (IMAGE,), IMAGE, **POINT, activation="relu6"), (0,)),
        Node(OpSpec("depthwise_conv_2d", dtype, (IMAGE,), IMAGE, **WINDOW, activation="relu6"), (1,)),
        Node(OpSpec("mean", dtype, (IMAGE,), GATE), (2,)),
        Node(OpSpec("conv_2d", dtype, (GATE,), (1, 1, 1, 2), **POINT, activation="relu"), (3,)),
        Node(OpSpec("conv_2d", dtype, ((1, 1, 1, 2),), GATE, **POINT), (4,)),
        Node(OpSpec("logistic", dtype, (GATE,), GATE), (5,)),
        Node(OpSpec("mul", dtype, (IMAGE, GATE), IMAGE), (2, 6)),
        Node(OpSpec("average_pool_2d", dtype, (IMAGE,), IMAGE, **WINDOW), (0,)),
        Node(OpSpec("conv_2d", dtype, (IMAGE,), IMAGE, **WINDOW), (7,)),
        Node(OpSpec("add", dtype, (IMAGE, IMAGE), IMAGE), (9, 8)),
        Node(OpSpec("mean", dtype, (IMAGE,), (1, 8)), (10,)),
        Node(OpSpec("fully_connected", dtype, ((1, 8),), (1, 10)), (11,)),
    ]
    return Graph(((1, 32, 32, 3),), dtype, tuple(nodes), (12,))


#: as ai-edge-litert 2.3.0 reported them on x86-64
FLOAT32 = [
    "Convolution (NHWC, F32) IGEMM",
    "Fully Connected (NC, F32) GEMM",
    "Convolution (NHWC, F32) DWConv",
    "Mean (ND) Reduce2",
    "Fully Connected (NC, F32) GEMM",
    "Fully Connected (NC, F32) GEMM",
    "Sigmoid (NC)",
    "Multiply (ND)",
    "Average Pooling (NHWC, F32) Pixelwise Average Pooling",
    "Convolution (NHWC, F32) IGEMM",
    "Add (ND)",
    "Mean (ND) Reduce2",
    "Static Reshape (NC)",
    "Fully Connected (NC, F32) GEMM",
]
#: XNNPACK leaves int8 average pooling to TFLite's own kernel, after what does not wait for it
INT8 = [
    "Convolution (NHWC, QC8) IGEMM",
    "Fully Connected (NC, QS8, QC8W) GEMM",
    "Convolution (NHWC, QC8) DWConv",
    "Mean (ND) Reduce",
    "Fully Connected (NC, QS8, QC8W) GEMM",
    "Fully Connected (NC, QS8, QC8W) GEMM",
    "Sigmoid (NC)",
    "Multiply (ND)",
    "Convolution (NHWC, QC8) IGEMM",
    "AVERAGE_POOL_2D",
    "Add (ND)",
    "Mean (ND) Reduce",
    "Static Reshape (NC)",
    "Fully Connected (NC, QS8, QC8W) GEMM",
]


def rows(labels: list[str]) -> list[OperatorTime]:
    return [OperatorTime(index, label, not label.isupper(), 2.0**index) for index, label in enumerate(labels)]


def test_a_reshape_before_a_dense_layer_is_its_own():
    found = attribute_network(network("float32"), rows(FLOAT32))
    assert [one.mean_ms for one in found] == [*(2.0**index for index in range(12)), 2.0**12 + 2.0**13]
    assert [one.positions for one in found] == [(index,) for index in range(13)]


def test_operators_left_to_the_runtime_are_found_where_it_ran_them():
    found = attribute_network(network("int8"), rows(INT8))
    assert found[8].labels == ("AVERAGE_POOL_2D",)
    assert [one.mean_ms for one in found[8:11]] == [2.0**9, 2.0**8, 2.0**10]
    assert found[12].labels == ("Static Reshape (NC)", "Fully Connected (NC, QS8, QC8W) GEMM")


def test_nothing_is_lost():
    for dtype, labels in (("float32", FLOAT32), ("int8", INT8)):
        found = attribute_network(network(dtype), rows(labels))
        assert sum(one.mean_ms for one in found) == sum(row.mean_ms for row in rows(labels))


@pytest.mark.parametrize("position", [*range(12), 13])  # the dense layer's reshape may be missing
def test_a_row_less_is_refused(position):
    with pytest.raises(BadTable, match="cannot be attributed"):
        attribute_network(network("float32"), rows(FLOAT32[:position] + FLOAT32[position + 1 :]))


def test_a_row_more_is_refused():
    with pytest.raises(BadTable, match="1 rows more than the network has operators"):
        attribute_network(network("float32"), rows([*FLOAT32, "Softmax (NC, F32)"]))


def test_another_order_is_refused():
    labels = list(FLOAT32)
    labels[6], labels[7] = labels[7], labels[6]
    with pytest.raises(
        BadTable, match=r"row 6 of the profile, 'Multiply \(ND\)', .* operator 6 of 13 \(logistic"
    ):
        attribute_network(network("float32"), rows(labels))


def test_rows_of_another_element_type_are_refused():
    with pytest.raises(BadTable, match="cannot be attributed"):
        attribute_network(network("float32"), rows(INT8))
    with pytest.raises(BadTable, match="cannot be attributed"):
        attribute_network(network("int8"), rows(FLOAT32))


def test_an_unknown_kind_is_refused():
    spec = OpSpec("cumsum", "float32", ((1, 4),), (1, 4))
    with pytest.raises(BadTable, match="cumsum"):
        attribute_network(tflite.single(spec), rows(["Cumulative Sum (ND)"]))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_runtime_here_still_names_and_orders_operators_this_way(dtype):
    device = open_device("local")
    try:
        model = ModelFile("network", tflite.write(network(dtype)))
        plan = Plan(warmup_runs=1, min_runs=3, per_operator=True)
        (measured,) = device.stream([model], plan)
    finally:
        device.close()
    assert isinstance(measured, Pass), measured
    assert measured.operators is not None
    found = attribute_network(network(dtype), measured.operators)
    total = sum(row.mean_ms for row in measured.operators)
    assert sum(one.mean_ms for one in found) == pytest.approx(total)
