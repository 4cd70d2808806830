"""How much faster is a model written than converted?

Both make a .tflite file of the same network, in turns, on the same core. The converter gets a Keras model
that is built already, and for int8 one image to calibrate with; the writer gets the operators and makes up
weights. Imports and the converter's first conversion are not counted. Goals: for every model the median of
converting is 200 times that of writing or more; a network of 100 operators or more is written in less than
50 ms.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from common import Verdict, at_least, cores, finish, one_core, options, say, start

from latency_tables.tflite import read, write
from mnas.architecture import Architecture
from mnas.errors import MnasError
from mnas.lower import lower
from mnas.nn.quiet import quiet
from mnas.recipes import recipe

RATIO = 200
MOST_MS = 50
MANY_OPERATORS = 100
BLOCKS = {
    "convolution": "in_56x56x24,cv_r1_k3_s1_c72,fc_10",
    "separable": "in_56x56x24,ds_r1_k3_s1_c24,fc_10",
    "bottleneck": "in_28x28x40,ir_r1_k5_s1_e6_c40_se0.25,fc_10",
}
NETWORKS = ("mobilenetv2", "mnasnet-a1")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians of one model. `write_worst_ms` is the slowest of all times that it was written."""

    model: str
    operators: int
    file_bytes: int
    convert_ms: float
    write_ms: float
    write_worst_ms: float
    ratio: float
    met: bool


def converter(architecture: Architecture, dtype: str) -> Callable[[], bytes]:
    """The conversion of a Keras model that this builds."""
    from mnas.nn.backend import tf
    from mnas.nn.keras_model import build

    model = build(architecture)
    image = np.random.default_rng(0).uniform(-1, 1, (1, *model.input_shape[1:])).astype(np.float32)

    def convert() -> bytes:
        conversion: Any = tf.lite.TFLiteConverter.from_keras_model(model)
        if dtype == "int8":
            conversion.optimizations = [tf.lite.Optimize.DEFAULT]
            conversion.representative_dataset = lambda: iter([[image]])
            conversion.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            conversion.inference_input_type = conversion.inference_output_type = tf.int8
        return bytes(conversion.convert())

    return convert


def compare(name: str, architecture: Architecture, dtype: str, arguments: Namespace) -> Comparison:
    """Convert and write one model in turns."""
    graph = lower(architecture, dtype).graph
    convert = converter(architecture, dtype)
    converted_ms, written_ms = [], []
    for _ in range(arguments.rounds):
        with quiet():  # Keras tells what it exports
            begin = time.perf_counter()
            converted = convert()
            converted_ms.append(1e3 * (time.perf_counter() - begin))
        for seed in range(arguments.writes):
            begin = time.perf_counter()
            written = write(graph, seed=seed)
            written_ms.append(1e3 * (time.perf_counter() - begin))
    if read(converted).specs != read(written).specs:
        raise MnasError(f"{name} in {dtype}: the converter made other operators of it than were written")
    ratio = median(converted_ms) / median(written_ms)
    fast = len(graph.nodes) < MANY_OPERATORS or median(written_ms) < MOST_MS
    return Comparison(
        f"{name} {dtype}",
        len(graph.nodes),
        len(written),
        median(converted_ms),
        median(written_ms),
        max(written_ms),
        ratio,
        ratio >= RATIO and fast,
    )


def main() -> None:
    """Compare, print a line per model, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=at_least(1), default=3, help="conversions of each model (default 3)")
    parser.add_argument(
        "--writes", type=at_least(1), default=10, help="times it is written each round (default 10)"
    )
    parser.add_argument(
        "--resolution", type=at_least(1), default=224, help="of the networks, in pixels (default 224)"
    )
    parser.add_argument("--cpu", type=cores, help="core for both (default: the last one)")
    arguments = parser.parse_args()
    core = one_core(parser, arguments)
    architectures = {name: Architecture.parse(text) for name, text in BLOCKS.items()}
    if arguments.tiny:
        arguments.rounds = arguments.writes = 1
        del architectures["separable"], architectures["bottleneck"]
    else:
        architectures |= {
            name: recipe(name).at(arguments.resolution, arguments.resolution) for name in NETWORKS
        }
    with quiet():
        converter(Architecture.parse(BLOCKS["convolution"]), "float32")()
    say(
        arguments,
        f"{'model':24} {'operators':>9} {'convert ms':>11} {'write ms':>9} {'worst':>7} {'ratio':>7}",
    )
    found = []
    for name, architecture in architectures.items():
        for dtype in ("float32", "int8"):
            row = compare(name, architecture, dtype, arguments)
            found.append(row)
            say(
                arguments,
                f"{row.model:24} {row.operators:9} {row.convert_ms:11.1f} {row.write_ms:9.2f} "
                f"{row.write_worst_ms:7.2f} {row.ratio:7.0f}",
            )
    smallest = min(row.ratio for row in found)
    large = [row.write_ms for row in found if row.operators >= MANY_OPERATORS]
    verdict = Verdict(
        all(row.met for row in found),
        f"writing is {smallest:.0f} times as fast as converting or more (goal: {RATIO}); networks of "
        f"{MANY_OPERATORS} operators or more take {max(large, default=0):.1f} ms or less (goal: < {MOST_MS})",
    )
    document = {"models": [asdict(row) for row in found], "rounds": arguments.rounds, "cpu": core}
    finish(arguments, {**document, "resolution_pixels": arguments.resolution}, verdict)


if __name__ == "__main__":
    start(main)
