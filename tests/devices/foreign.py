"""Models that somebody else made: converted, unusual, truncated, corrupted, hostile. Runs none of them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Models = dict[str, bytes]

IMAGE = (1, 8, 8, 3)


def converted() -> Models:
    """What TensorFlow's converter makes of small functions: each is a valid model that LiteRT can run.

    Takes about two seconds after TensorFlow's import.
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    module = tf.Module()
    module.filters = tf.Variable(rng.normal(size=(3, 3, 3, 8)).astype(np.float32))
    module.dense = tf.Variable(rng.normal(size=(512, 10)).astype(np.float32))
    table = tf.constant(rng.normal(size=(5, 2)).astype(np.float32))

    def network(x: Any) -> Any:
        x = tf.nn.relu6(tf.nn.conv2d(x, module.filters, 1, "SAME"))
        return tf.linalg.matmul(tf.reshape(x, (-1, 512)), module.dense)

    def convert(function: Callable[..., Any], *inputs: Any, settings: dict[str, Any] | None = None) -> bytes:
        concrete = tf.function(function).get_concrete_function(*inputs)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
        for name, value in (settings or {}).items():
            setattr(converter, name, value)
        return bytes(converter.convert())

    def quantised(dtype: Any) -> dict[str, Any]:
        return {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([rng.normal(size=IMAGE).astype(np.float32)] for _ in range(4)),
            "target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
            "inference_input_type": dtype,
            "inference_output_type": dtype,
        }

    smallest = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    half = {**smallest, "target_spec": tf.lite.TargetSpec(supported_types=[tf.float16])}
    image = tf.TensorSpec(IMAGE)
    return {
        "float32": convert(network, image),
        "float16_weights": convert(network, image, settings=half),
        "int8": convert(network, image, settings=quantised(tf.int8)),
        "uint8_in_and_out": convert(network, image, settings=quantised(tf.uint8)),
        "dynamic_range": convert(network, image, settings=smallest),
        "several_inputs": convert(
            lambda x, n, flag: tf.where(flag, network(x) * tf.cast(n, tf.float32), 0.0),
            image,
            tf.TensorSpec([1], tf.int32),
            tf.TensorSpec([1], tf.bool),
        ),
        "dynamic_batch": convert(network, tf.TensorSpec((None, 8, 8, 3))),
        "dynamic_image": convert(lambda x: tf.reduce_mean(x, [1, 2]), tf.TensorSpec((None, None, None, 3))),
        "dynamic_output": convert(lambda x: tf.where(x > 0), image),
        "embedding": convert(lambda index: tf.gather(table, index), tf.TensorSpec([2], tf.int32)),
        "int64": convert(lambda x: x + 1, tf.TensorSpec([4], tf.int64)),
        "int16": convert(lambda x: tf.cast(x, tf.float32) * 2, tf.TensorSpec([4], tf.int16)),
        "scalar": convert(lambda x: x * 2, tf.TensorSpec([])),
        "without_inputs": convert(lambda: tf.ones((2, 3)) * 2),
        "without_operators": convert(lambda x: x, tf.TensorSpec([1, 4])),
        "while_loop": convert(_while_loop, image),
        "two_signatures": _two_signatures(network, module),
    }


def unusual() -> Models:
    """Valid models that a device may run or refuse, as their inputs happen to be."""
    import tensorflow as tf

    def convert(function: Callable[..., Any], *inputs: Any) -> bytes:
        concrete = tf.function(function).get_concrete_function(*inputs)
        return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module()).convert())

    strings = convert(tf.gather, tf.TensorSpec([4], tf.string), tf.TensorSpec([2], tf.int32))
    nothing = convert(tf.nn.relu, tf.TensorSpec([0, 4]))
    return {
        "strings": strings,
        "two_billion_strings": _changed(strings, _input_shape([2**31 - 1])),
        "nothing_by_two_billion": _changed(nothing, _input_shape([0, 2**31 - 1])),
        "complex64": convert(tf.math.real, tf.TensorSpec([4], tf.complex64)),
        "nothing_in_it": nothing,
        "integer_division": convert(lambda x, y: x // y, *(tf.TensorSpec([4], tf.int32),) * 2),
        "64_tebibytes": convert(lambda x: tf.reduce_sum(tf.tile(x, [2**20] * 2)), tf.TensorSpec([4, 4])),
    }


def beyond_the_runtime() -> Models:
    """Well-formed models with operators that no plain LiteRT has."""
    import tensorflow as tf

    concrete = tf.function(tf.linalg.inv).get_concrete_function(tf.TensorSpec([3, 3]))
    models = {}
    for name, operators, custom in (
        ("select_tf_operator", [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS], False),
        ("custom_operator", [tf.lite.OpsSet.TFLITE_BUILTINS], True),
    ):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
        converter.target_spec = tf.lite.TargetSpec(supported_ops=operators)
        converter.allow_custom_ops = custom
        models[name] = bytes(converter.convert())
    return models


def endless() -> bytes:
    """A valid model whose WHILE never ends: the runtime stays inside one run for ever."""
    import tensorflow as tf

    def loop(x: Any) -> Any:
        start = tf.cast(
            tf.reduce_sum(x) * 0, tf.int32
        )  # not a constant, or the converter would see through it
        return tf.while_loop(lambda i, y: i >= 0, lambda i, y: ((i + 1) % 7, y * 0.5 + 1), (start, x))[1]

    concrete = tf.function(loop).get_concrete_function(tf.TensorSpec(IMAGE))
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module()).convert())


def crashing() -> bytes:
    """A model whose WHILE has the main graph, hence itself, as its body: the runtime overflows its stack."""
    import tensorflow as tf

    def loop(i: Any, y: Any) -> Any:
        return tf.while_loop(lambda i, y: i < 7, lambda i, y: (i + 1, y + 1), (i, y))

    concrete = tf.function(loop).get_concrete_function(tf.TensorSpec([], tf.int32), tf.TensorSpec([2]))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())

    def recurse(model: Any) -> None:
        for operator in model.subgraphs[0].operators:
            if isinstance(operator.builtinOptions, schema.WhileOptionsT):
                operator.builtinOptions.bodySubgraphIndex = 0

    return _changed(bytes(converter.convert()), recurse)


def not_models() -> Models:
    """Files that are no TFLite model at all."""
    return {
        "empty": b"",
        "one_byte": b"T",
        "text": b"this is not a model\n" * 40,
        "zeros": bytes(4096),
        "identifier_only": b"\x1c\x00\x00\x00TFL3",
        "identifier_and_noise": b"\x1c\x00\x00\x00TFL3" + random.Random(0).randbytes(2000),
        "zip": b"PK\x03\x04" + random.Random(1).randbytes(2000),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    }


def truncated(content: bytes, points: int) -> Iterator[bytes]:
    """The first bytes of a model, at lengths from 4 to one less than all, evenly spaced."""
    for length in np.linspace(4, len(content) - 1, points, dtype=int):
        yield content[:length]


def corrupted(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of a model with damage in the header, in offset tables or anywhere.

    One third has one to four random bytes within the first 64; one third has a 32-bit word (tables are
    made of such words) replaced by an extreme value; one third has up to 16 random bytes anywhere.
    """
    rng = random.Random(seed)
    for number in range(count):
        damaged = bytearray(content)
        if number % 3 == 0:
            for _ in range(rng.randint(1, 4)):
                damaged[rng.randrange(64)] = rng.randrange(256)
        elif number % 3 == 1:
            place = 4 * rng.randrange(len(content) // 4)
            struct.pack_into(
                "<i", damaged, place, rng.choice((0, -1, 1, 2**31 - 1, -(2**31), 65_536, len(content)))
            )
        else:
            for _ in range(rng.randint(1, 16)):
                damaged[rng.randrange(len(content))] = rng.randrange(256)
        yield bytes(damaged)


def hostile(content: bytes) -> Models:
    """A converted model with one field changed to something that is valid to read and wrong to run."""

    def operator_input(tensor: int) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            operator = model.subgraphs[0].operators[0]
            operator.inputs = [tensor, *operator.inputs[1:]]

        return change

    def network_input(model: Any) -> None:
        model.subgraphs[0].inputs = [1_000_000]

    def operator_code(model: Any) -> None:
        model.subgraphs[0].operators[0].opcodeIndex = 1_000

    def unknown_operator(model: Any) -> None:
        model.operatorCodes[0].builtinCode = 9_999
        model.operatorCodes[0].deprecatedBuiltinCode = 127

    def version_of_the_future(model: Any) -> None:
        model.operatorCodes[0].version = 1_000

    def short_weights(model: Any) -> None:
        largest = max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))
        largest.data = largest.data[:5]

    def buffer(model: Any) -> None:
        model.subgraphs[0].tensors[1].buffer = 1_000_000

    def reads_itself(model: Any) -> None:
        operator = model.subgraphs[0].operators[0]
        operator.inputs = [operator.outputs[0], *operator.inputs[1:]]

    def stride_of_zero(model: Any) -> None:
        for operator in model.subgraphs[0].operators:
            if isinstance(operator.builtinOptions, schema.Conv2DOptionsT):
                operator.builtinOptions.strideW = operator.builtinOptions.strideH = 0

    def without_subgraphs(model: Any) -> None:
        model.subgraphs = []

    def without_operator_inputs(model: Any) -> None:
        model.subgraphs[0].operators[0].inputs = []

    def another_schema(model: Any) -> None:
        model.version = 99

    changes = {
        "huge_input": _input_shape([1, 2**20, 2**20, 3]),
        "overflowing_input": _input_shape([2**16] * 4),
        "negative_input": _input_shape([1, -8, -8, 3]),
        "tensor_out_of_range": operator_input(1_000_000),
        "negative_tensor": operator_input(-7),
        "network_input_out_of_range": network_input,
        "operator_code_out_of_range": operator_code,
        "unknown_operator": unknown_operator,
        "version_of_the_future": version_of_the_future,
        "short_weights": short_weights,
        "buffer_out_of_range": buffer,
        "reads_itself": reads_itself,
        "stride_of_zero": stride_of_zero,
        "without_subgraphs": without_subgraphs,
        "without_operator_inputs": without_operator_inputs,
        "another_schema": another_schema,
    }
    return {name: _changed(content, change) for name, change in changes.items()}


def _input_shape(shape: list[int]) -> Callable[[Any], None]:
    """A change of the shape of a network's first input."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = shape

    return change


def _changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _while_loop(x: Any) -> Any:
    import tensorflow as tf

    return tf.while_loop(lambda i, y: i < 7, lambda i, y: (i + 1, y * 1.5 + 1), (0, x))[1]


def _two_signatures(network: Callable[[Any], Any], owner: Any) -> bytes:
    import tensorflow as tf

    image = tf.TensorSpec(IMAGE)
    module = tf.Module()
    module.owner = owner  # of the variables that the network reads
    module.first = tf.function(network)
    module.second = tf.function(lambda x, y: network(x) + y)
    functions = [
        module.first.get_concrete_function(image),
        module.second.get_concrete_function(image, tf.TensorSpec([1])),
    ]
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions(functions, module).convert())
