"""Files read into graphs: what is left out, what is refused, and that damage never gives another answer."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from latency_tables.errors import BadModel
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.tflite import describe, read, single, values, write

CONV = OpSpec.parse("conv_2d/float32/1x9x9x6/1x5x5x10/k3x3/s2x2/same/relu6")
DENSE = OpSpec.parse("fully_connected/float32/1x10/1x4")
MEAN = OpSpec.parse("mean/float32/1x5x5x10/1x10")
GRAPH = Graph(CONV.inputs, "float32", (Node(CONV, (-1,)), Node(MEAN, (0,)), Node(DENSE, (1,))), (2, 0))
CONTENT = write(GRAPH)
INT8 = write(single(OpSpec.parse("depthwise_conv_2d/int8/1x9x9x6/1x5x5x6/k3x3/s2x2/same")))
READERS = (read, describe, values)


def changed(change: Callable[[Any], None], content: bytes = CONTENT) -> bytes:
    """The model with something else in it, packed by the library's own builder."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator(model: Any, index: int = 0) -> Any:
    return model.subgraphs[0].operators[index]


def tensor(model: Any, index: int) -> Any:
    return model.subgraphs[0].tensors[index]


def test_outputs_keep_their_order() -> None:
    assert read(CONTENT).outputs == (2, 0)


def test_a_dynamic_batch_counts_as_one() -> None:
    def free_batch(model: Any) -> None:
        for index in (model.subgraphs[0].inputs[0], *(operator(model, i).outputs[0] for i in range(3))):
            shape = list(tensor(model, index).shape)
            tensor(model, index).shapeSignature = [-1, *shape[1:]]

    def free_batch_in_shape(model: Any) -> None:
        free_batch(model)
        tensor(model, model.subgraphs[0].inputs[0]).shape = [-1, 9, 9, 6]

    for change in (free_batch, free_batch_in_shape):
        content = changed(change)
        assert read(content) == GRAPH
        assert describe(content).macs == describe(CONTENT).macs


def test_weights_of_another_type_are_in_the_key_and_their_unpacking_is_not() -> None:
    def half(model: Any) -> None:
        graph = model.subgraphs[0]
        weights = operator(model).inputs[1]
        packed = schema.TensorT()
        packed.shape, packed.type, packed.name = (
            tensor(model, weights).shape,
            schema.TensorType.FLOAT16,
            b"half",
        )
        packed.buffer = tensor(model, weights).buffer
        model.buffers[packed.buffer].data = np.zeros(10 * 9 * 6 * 2, np.uint8)
        tensor(model, weights).buffer = 0
        graph.tensors.append(packed)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        model.operatorCodes.append(code)
        unpack = schema.OperatorT()
        unpack.opcodeIndex = len(model.operatorCodes) - 1
        unpack.inputs, unpack.outputs = [len(graph.tensors) - 1], [weights]
        graph.operators.insert(0, unpack)

    content = changed(half)
    assert [str(spec) for spec in read(content).specs] == [
        "conv_2d/float32/1x9x9x6/1x5x5x10/k3x3/s2x2/same/w:float16/relu6",
        str(MEAN),
        str(DENSE),
    ]
    assert describe(content).kinds["dequantize"] == 1
    assert describe(content).parameters == describe(CONTENT).parameters
    with pytest.raises(BadModel, match="not stored as it is used"):
        values(content)


def test_kinds_that_cannot_be_written_can_be_read() -> None:
    def other(model: Any) -> None:
        model.operatorCodes[operator(model, 1).opcodeIndex].builtinCode = schema.BuiltinOperator.SUM

    def custom(name: bytes) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            code = model.operatorCodes[operator(model, 1).opcodeIndex]
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode = name

        return change

    assert str(read(changed(other)).specs[1]) == "sum/float32/1x5x5x10/1x10"
    assert str(read(changed(custom(b"Mine_2"))).specs[1]) == "custom:Mine_2/float32/1x5x5x10/1x10"
    with pytest.raises(BadModel, match=r"operator 1 \(custom:not/a key\) cannot be expressed"):
        read(changed(custom(b"not/a key")))
    with pytest.raises(BadModel, match=r"operator 1 \(custom:\ufffd\) cannot be expressed"):
        read(changed(custom(b"\xff")))
    assert describe(changed(custom(b"not/a key"))).kinds["custom:not/a key"] == 1


def two_subgraphs(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


def dynamic_image(model: Any) -> None:
    tensor(model, model.subgraphs[0].inputs[0]).shapeSignature = [1, -1, -1, 6]


def depends_on_data(model: Any) -> None:
    tensor(model, operator(model, 1).outputs[0]).shapeSignature = [-1, 10]


def without_operators(model: Any) -> None:
    model.subgraphs[0].operators, model.subgraphs[0].outputs = [], model.subgraphs[0].inputs


def output_is_input(model: Any) -> None:
    model.subgraphs[0].outputs = model.subgraphs[0].inputs


def empty_shape(model: Any) -> None:
    tensor(model, operator(model, 1).outputs[0]).shape = [0, 10]


def strings(model: Any) -> None:
    operator(model, 1).inputs = operator(model, 1).inputs[:1]
    tensor(model, operator(model, 1).inputs[0]).type = schema.TensorType.STRING


@pytest.mark.parametrize(
    ("change", "quoted"),
    [
        (two_subgraphs, "2 subgraphs"),
        (dynamic_image, "'input_0' has sizes beyond the batch that are not fixed ((1, -1, -1, 6))"),
        (depends_on_data, "'node_1', which mean gives, depend on the data"),
        (without_operators, "no operators"),
        (output_is_input, "'input_0' is computed by no operator"),
        (empty_shape, "operator 1 (mean) cannot be expressed"),
        (strings, "'string'"),
    ],
)
def test_what_cannot_be_read_is_refused_but_described(change: Callable[[Any], None], quoted: str) -> None:
    content = changed(change)
    with pytest.raises(BadModel) as caught:
        read(content)
    assert quoted in str(caught.value)
    assert describe(content).subgraphs >= 1


def no_weights(model: Any) -> None:
    operator(model).inputs = operator(model).inputs[:1]


def no_output(model: Any) -> None:
    operator(model, 1).outputs = []


def wrong_output(model: Any) -> None:
    tensor(model, operator(model).outputs[0]).shape = [1, 4, 4, 10]


def wrong_filters(model: Any) -> None:
    tensor(model, operator(model).inputs[1]).shape = [6, 3, 3, 10]


def stride_zero(model: Any) -> None:
    operator(model).builtinOptions.strideH = 0


def reads_itself(model: Any) -> None:
    operator(model).inputs = [operator(model).outputs[0], *operator(model).inputs[1:]]


def long_name(model: Any) -> None:
    tensor(model, 0).name, tensor(model, 0).type = "n" * 5000, 99


def scalar_output(model: Any) -> None:
    tensor(model, operator(model).outputs[0]).shape = []


def unknown_activation(model: Any) -> None:
    operator(model).builtinOptions.fusedActivationFunction = 77


def unknown_padding(model: Any) -> None:
    operator(model).builtinOptions.padding = 9


def no_options(model: Any) -> None:
    operator(model).builtinOptionsType, operator(model).builtinOptions = 0, None


@pytest.mark.parametrize(
    ("change", "quoted"),
    [
        (no_weights, "no weights"),
        (no_output, "no output"),
        (wrong_output, "contradicts itself"),
        (wrong_filters, "do not fit 6 channels"),
        (scalar_output, "do not fit 6 channels into an output of shape ()"),
        (stride_zero, "stride (0, 2)"),
        (reads_itself, "reads 'node_0', which nothing before it computes"),
        (unknown_activation, "activation is number 77"),
        (unknown_padding, "padding None"),
        (no_options, "stride (0, 0)"),
    ],
)
def test_operators_that_make_no_sense_are_refused(change: Callable[[Any], None], quoted: str) -> None:
    with pytest.raises(BadModel) as caught:
        read(changed(change))
    assert quoted in str(caught.value)


def tensor_beyond(model: Any) -> None:
    operator(model).inputs = [1000, *operator(model).inputs[1:]]


def code_beyond(model: Any) -> None:
    operator(model).opcodeIndex = 1000


def buffer_beyond(model: Any) -> None:
    tensor(model, 1).buffer = 1000


def negative_shape(model: Any) -> None:
    tensor(model, model.subgraphs[0].inputs[0]).shape = [1, -9, -9, 6]


def short_weights(model: Any) -> None:
    model.buffers[tensor(model, operator(model).inputs[1]).buffer].data = np.zeros(5, np.uint8)


def no_subgraphs(model: Any) -> None:
    model.subgraphs = []


def another_schema(model: Any) -> None:
    model.version = 4


def unknown_type(model: Any) -> None:
    tensor(model, 0).type = 99


def other_options(model: Any) -> None:
    operator(model).builtinOptionsType = schema.BuiltinOptions.Pool2DOptions


def many_dimensions(model: Any) -> None:
    tensor(model, 0).shape = [1] * 100


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        (b"", "empty (0 bytes)"),
        (b"T", "no .tflite model"),
        (bytes(4000), "no .tflite model"),
        (b"PK\x03\x04 and the rest of an archive", "no .tflite model"),
        (b"\x1c\0\0\0TFL3", "truncated or corrupt"),
        (b"\x1c\0\0\0TFL3" + random.Random(0).randbytes(3000), "truncated or corrupt"),
        (changed(tensor_beyond), "tensor 1000 of"),
        (changed(code_beyond), "code 1000 of"),
        (changed(buffer_beyond), "buffer 1000 of"),
        (changed(negative_shape), "(1, -9, -9, 6)"),
        (changed(short_weights), "has 5 bytes, not 2160"),
        (changed(no_subgraphs), "no subgraph"),
        (changed(another_schema), "schema version 4"),
        (changed(unknown_type), "type 99"),
        (changed(long_name), "nnn...' is of type 99 ("),
        (changed(other_options), "options of type"),
        (changed(many_dimensions), "shape"),
    ],
)
def test_files_that_are_no_models_are_refused_by_all(content: bytes, quoted: str) -> None:
    for function in READERS:
        with pytest.raises(BadModel) as caught:
            function(content)
        assert quoted in str(caught.value)
        assert len(str(caught.value)) < 500


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([CONTENT, INT8]), st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_never_gives_another_answer(content: bytes, share: float) -> None:
    for function in READERS:
        try:
            found = function(content[: int(share * len(content))])
        except BadModel:
            continue
        assert function is values or found == function(content)


@pytest.mark.parametrize("content", [CONTENT, INT8])
def test_a_file_cut_before_its_last_constant_is_refused(content: bytes) -> None:
    for length in range(0, len(content) - 3000 if len(content) > 4000 else len(content) // 2, 7):
        for function in READERS:
            with pytest.raises(BadModel):
                function(content[:length])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A model with bytes or 32-bit words replaced, mostly where the tables are."""
    content = bytearray(draw(st.sampled_from([CONTENT, INT8])))
    tables = min(len(content), 2500)
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            content[draw(st.integers(8, tables - 1))] = draw(st.integers(0, 255))
        else:
            word = draw(
                st.sampled_from([0, -1, 1, 2**31 - 1, -(2**31), 65_536, len(content)]) | st.integers(-64, 64)
            )
            struct.pack_into("<i", content, 4 * draw(st.integers(2, tables // 4 - 1)), word)
    return bytes(content)


@settings(max_examples=1000, deadline=None)
@given(damaged())
def test_a_damaged_file_is_read_or_refused_in_one_way_and_soon(content: bytes) -> None:
    for function in READERS:
        begin = time.perf_counter()
        try:
            function(content)
        except BadModel as error:
            assert len(str(error)) < 2000  # noqa: PT017 - whether it is raised is open
        assert time.perf_counter() - begin < 10


def test_overlapping_tables_cannot_keep_the_reader_busy() -> None:
    """Every operator of this file is the same empty one, named as often as the file has room for offsets."""
    content = bytearray(CONTENT)
    content += bytes(-len(content) % 4)
    subgraph = schema.Model.GetRootAs(bytes(content), 0).Subgraphs(0)
    count, where = 3_000_000, len(content)
    table = where + 4 + 4 * count + 4  # after its virtual table of four bytes
    offsets = np.arange(table - where - 4, table - where - 4 - 4 * count, -4, dtype="<u4")
    content += struct.pack("<I", count) + offsets.tobytes() + struct.pack("<HHi", 4, 4, 4)
    slot = subgraph._tab.Pos + subgraph._tab.Offset(10)
    struct.pack_into("<I", content, slot, where - slot)
    damaged = bytes(content)
    assert schema.Model.GetRootAs(damaged, 0).Subgraphs(0).Operators(count - 1).OpcodeIndex() == 0
    begin = time.perf_counter()
    for function in READERS:
        with pytest.raises(BadModel, match="vectors hold more"):
            function(damaged)
    assert time.perf_counter() - begin < 30
