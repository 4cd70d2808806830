"""Descriptions: counts that can be checked by hand, and models beyond what can be read."""

from __future__ import annotations

from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.tflite import TensorInfo, describe, read, single, write
from tests.latency_tables.test_tflite_reader import CONTENT, changed, operator


@pytest.mark.parametrize(
    ("text", "macs", "parameters"),
    [
        ("conv_2d/{}/1x9x9x6/1x5x5x10/k3x3/s2x2/same", 25 * 10 * 9 * 6, 10 * 9 * 6 + 10),
        ("conv_2d/{}/1x9x9x6/1x9x9x9/k3x3/s1x1/same/g3", 81 * 9 * 9 * 2, 9 * 9 * 2 + 9),
        ("depthwise_conv_2d/{}/1x9x9x6/1x9x9x12/k5x5/s1x1/same", 81 * 12 * 25, 12 * 25 + 12),
        ("fully_connected/{}/1x24/1x10", 240, 250),
        ("fully_connected/{}/1x7x24/1x7x10", 1680, 250),
        ("mul/{}/1x4x4x6/1x4x4x6", 0, 1),
        ("mean/{}/1x4x4x6/1x6", 0, 0),
        ("reshape/{}/1x4x4x6/1x96", 0, 0),
        ("pad/{}/1x4x4x6/1x5x6x6", 0, 0),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_costs_of_single_operators(text: str, macs: int, parameters: int, dtype: str) -> None:
    spec = OpSpec.parse(text.format(dtype))
    found = describe(write(single(spec)))
    assert found.macs == macs == spec.macs
    assert found.macs_unknown is None
    assert found.parameters == parameters
    assert (found.operators, dict(found.kinds), found.subgraphs) == (1, {spec.kind: 1}, 1)
    assert found.inputs == (TensorInfo("input_0", spec.inputs[0], dtype),)
    assert found.outputs == (TensorInfo("node_0", spec.output, dtype),)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_mnasnet_a1_has_the_published_multiply_accumulates(dtype: str) -> None:
    from mnas.lower import lower
    from mnas.recipes import recipe

    lowered = lower(recipe("mnasnet-a1"), dtype)
    content = write(lowered.graph)
    assert read(content) == lowered.graph
    assert describe(content).macs == 311_579_072
    assert sum(describe(content).kinds.values()) == len(lowered.graph.nodes)


def test_constants_that_two_operators_share_count_once() -> None:
    def share(model: Any) -> None:
        operator(model, 1).inputs = [operator(model, 0).outputs[0], *operator(model, 0).inputs[1:]]
        operator(model, 1).opcodeIndex = operator(model, 0).opcodeIndex

    spec = OpSpec.parse("conv_2d/float32/1x4x4x3/1x4x4x3/k3x3/s1x1/same")
    twice = write(Graph(spec.inputs, "float32", (Node(spec, (-1,)), Node(spec, (0,))), (1,)))
    assert describe(twice).parameters == 2 * (3 * 27 + 3)
    assert describe(changed(share, twice)).parameters == 3 * 27 + 3


def test_kinds_come_most_frequent_first() -> None:
    spec = OpSpec.parse("relu/float32/1x4/1x4")
    other = OpSpec.parse("logistic/float32/1x4/1x4")
    nodes = (Node(other, (-1,)), Node(spec, (0,)), Node(spec, (1,)))
    assert list(describe(write(Graph(spec.inputs, "float32", nodes, (2,)))).kinds.items()) == [
        ("relu", 2),
        ("logistic", 1),
    ]


def test_what_cannot_be_counted_has_a_reason() -> None:
    def several(model: Any) -> None:
        model.subgraphs.append(model.subgraphs[0])

    def image(model: Any) -> None:
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shapeSignature = [1, -1, -1, 6]

    def custom(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"Mine"

    def recurrent(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM

    def from_the_future(model: Any) -> None:
        model.operatorCodes[0].builtinCode = 9999

    def weightless(model: Any) -> None:
        operator(model).inputs = operator(model).inputs[:1]

    for change, reason in (
        (several, "2 subgraphs"),
        (image, "not fixed"),
        (custom, "custom:Mine"),
        (recurrent, "unidirectional_sequence_lstm"),
        (from_the_future, "builtin_9999"),
        (weightless, "conv_2d"),
    ):
        found = describe(changed(change, CONTENT))
        assert found.macs is None
        assert found.macs_unknown is not None
        assert reason in found.macs_unknown
        assert found.parameters > 0


def test_matrix_products_and_transposed_convolutions_count() -> None:
    def batch_matmul(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.BATCH_MATMUL
        operator(model).builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
        operator(model).builtinOptions = schema.BatchMatMulOptionsT()

    dense = OpSpec.parse("fully_connected/float32/1x7x24/1x7x10")
    assert describe(changed(batch_matmul, write(single(dense)))).macs == 7 * 24 * 10

    def transposed(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.TRANSPOSE_CONV
        options = schema.TransposeConvOptionsT()
        options.strideH = options.strideW = 1
        operator(model).builtinOptionsType = schema.BuiltinOptions.TransposeConvOptions
        operator(model).builtinOptions = options
        image, weights, bias = operator(model).inputs
        operator(model).inputs = [bias, weights, image]

    conv = OpSpec.parse("conv_2d/float32/1x4x4x3/1x4x4x5/k3x3/s1x1/same")
    content = changed(transposed, write(single(conv)))
    assert describe(content).macs == 16 * 3 * 9 * 5
    assert str(read(content).specs[0]) == "transpose_conv/float32/1x4x4x3/1x4x4x5/k3x3/s1x1/same"
    assert read(content).specs[0].macs == describe(content).macs
