"""What one would do without a table's generator: convert each operator with TensorFlow, time each file.

One process that keeps TensorFlow loaded. It reads operators from standard input, one text form a line, and
answers each with a line of JSON: seconds of converting and of `litert-benchmark` with its defaults, and the
median that printed. The first line it writes says that TensorFlow is loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latency_tables.ops import OpSpec
from latency_tables.tflite import read
from mnas.nn.backend import tf
from mnas.nn.quiet import quiet

TIMEOUT_S = 300.0
CALIBRATION_IMAGES = 4


def function_of(spec: OpSpec) -> Callable[..., Any]:
    """The operator as TensorFlow has it, with random weights, of its activation inputs.

    Raises:
        ValueError: none is known for its kind.
    """
    random = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return tf.constant(random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32))

    act = {None: lambda x: x, "relu": tf.nn.relu, "relu6": tf.nn.relu6}[spec.activation]
    padding = (spec.padding or "same").upper()
    depth, filters = (spec.inputs[0][-1], spec.output[-1]) if spec.output else (1, 1)
    strides = (1, *(spec.stride or (1, 1)), 1)
    if spec.kind == "conv_2d" and spec.kernel:
        kernel, bias = weights(*spec.kernel, depth, filters), weights(filters)
        return lambda x: act(tf.nn.conv2d(x, kernel, strides, padding) + bias)
    if spec.kind == "depthwise_conv_2d" and spec.kernel:
        kernel, bias = weights(*spec.kernel, depth, filters // depth), weights(filters)
        return lambda x: act(tf.nn.depthwise_conv2d(x, kernel, strides, padding) + bias)
    if spec.kind == "fully_connected":
        kernel, bias = weights(depth, filters), weights(filters)
        return lambda x: act(tf.matmul(x, kernel) + bias)
    if spec.kind == "average_pool_2d":
        return lambda x: act(tf.nn.avg_pool2d(x, spec.kernel, spec.stride, padding))
    if spec.kind == "mean":
        return lambda x: tf.reduce_mean(x, (1, 2), keepdims=len(spec.output) == 4)
    if spec.kind == "reshape":
        return lambda x: tf.reshape(x, spec.output)
    if spec.kind == "add":
        return lambda x, y: act(x + y)
    if spec.kind == "mul":
        return lambda x, y: act(x * y)
    if spec.kind == "logistic":
        return tf.sigmoid  # type: ignore[no-any-return]  # the library has no types
    raise ValueError(f"no TensorFlow operator is known for {spec}")


def convert(spec: OpSpec) -> bytes:
    """The converter's model of one operator.

    Raises:
        ValueError: it is another operator than was asked for.
    """
    module = tf.Module()
    signature = [tf.TensorSpec(shape, tf.float32) for shape in spec.inputs]
    module.function = tf.function(function_of(spec), input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.function.get_concrete_function()], module
    )
    if spec.dtype == "int8":
        random = np.random.default_rng(1)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [random.normal(size=shape).astype(np.float32) for shape in spec.inputs]
            for _ in range(CALIBRATION_IMAGES)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content = bytes(converter.convert())
    if (found := read(content).specs) != (spec,):
        raise ValueError(f"the converter made {', '.join(map(str, found))} of {spec}")
    return content


def benchmark(path: Path) -> float:
    """Median latency in ms by `litert-benchmark` with its defaults, in a process of its own."""
    result = path.with_suffix(".json")
    command = [str(Path(sys.executable).with_name("litert-benchmark"))]
    subprocess.run(
        [*command, f"--model={path}", f"--result_json={result}"],
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    return float(json.loads(result.read_text())["latency"]["median_ms"])


def main(lines: Sequence[str] = ()) -> None:
    """Answer each line of standard input."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "operator.tflite"
        with quiet():
            convert(OpSpec.parse("logistic/float32/1x8/1x8"))
        print(json.dumps({"ready": True}), flush=True)
        for line in lines or sys.stdin:
            spec = OpSpec.parse(line.strip())
            begin = time.perf_counter()
            with quiet():
                content = convert(spec)
            path.write_bytes(content)
            converted = time.perf_counter()
            median_ms = benchmark(path)
            answer = {
                "operator": str(spec),
                "convert_s": converted - begin,
                "benchmark_s": time.perf_counter() - converted,
                "median_ms": median_ms,
            }
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
