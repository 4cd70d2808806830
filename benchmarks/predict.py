"""How fast is a latency predicted from a table, and how much faster than summing entries of a dictionary?

Ours is `mnas.spaces.vectorised`: a matrix of choices in, latencies with their intervals out. Theirs is
once-for-all's way (`latency_lookup_table.py`): for each network, the key of each layer is put together as
text and its entry added, without any interval; it gets the choices decoded. Both have the same figures, made
up, and must come to the same latencies. All in turns on one core, networks drawn anew for every round. Goals:
100 000 rows per second or more; one row in less than 100 us; one `Architecture`, lowered and predicted, in
less than 1 ms.
"""

from __future__ import annotations

import random
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any, TypeVar

import numpy as np
from common import Verdict, at_least, cores, finish, one_core, options, say, start
from numpy.typing import NDArray

from latency_tables.figures import Figure
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.ops import Shape
from latency_tables.predict import Predictor
from mnas import spaces
from mnas.architecture import Architecture, Block
from mnas.errors import MnasError
from mnas.lower import lower, lower_block, lower_classifier
from mnas.spaces import StagedSpace
from mnas.spaces.vectorised import Vectorised

Given = TypeVar("Given")
Found = TypeVar("Found")

ROWS_PER_S, ROW_US, ARCHITECTURE_MS = 100_000, 100, 1
AGREEMENT = 1e-9


def made_up(space: StagedSpace) -> Predictor:
    """A predictor of every operator of the space: figures by chance, error bars, exponents of nothing.

    So all is computed that a measured table needs, and latencies are plain sums.
    """
    rng = random.Random(0)
    figures = {}
    for key in map(str, spaces.operators(space).specs):
        ms = rng.uniform(0.001, 0.2)
        figures[key] = Figure(key, ms, 0.02 * ms, ms, "in context", 9, 3, 3, 2.0, 2.0)
    calibration = Calibration("scale", 1.03, anchors=20, lack_of_fit=0.01, fit_error=0.003, multiplier=1.73)
    return Predictor(figures, calibration, "made up", Sizes(10.0, 1.0, 100.0))


class Dictionary:
    """Latencies by the text of a layer, summed per network as once-for-all's latency table does."""

    def __init__(self, space: StagedSpace, predictor: Predictor) -> None:
        self._space = space
        self._scale = predictor.scale
        self._entries: dict[str, dict[str, float]] = {}
        frame = space.frame
        stem, head = frame.blocks
        image = (1, frame.height, frame.width, frame.channels)

        def enter(kind: str, block: Block, stride: int, shape: Shape) -> Shape:
            segment = lower_block(replace(block, repeats=1, stride=stride), shape, "float32")
            mean = sum(predictor.unit_ms(str(node.spec)) for node in segment.nodes)
            self._entries[_key(kind, block, stride, shape[1:], segment.output[1:])] = {"mean": mean}
            return segment.output

        shapes = {enter("Conv", stem, stem.stride, image)}
        for stage, positions in enumerate(space.stages):
            after = set()
            for shape in shapes:
                for indices in product(*(range(len(space.choices[at].options)) for at in positions)):
                    block = space.block(stage, indices, shape[-1])
                    out = enter("layer", block, block.stride, shape)
                    if block.repeats > 1:
                        enter("layer", block, 1, out)
                    after.add(out)
            shapes = after
        for shape in shapes:
            last = enter("Conv_1", head, head.stride, shape)
            logits = lower_classifier(last, frame.classes, "float32").nodes
            mean = sum(predictor.unit_ms(str(node.spec)) for node in logits)
            self._entries[f"Logits-input:{last[-1]}-output:{frame.classes}"] = {"mean": mean}

    def predict_ms(self, blocks: Sequence[Block]) -> float:
        """The latency of a network, given its blocks."""
        frame = self._space.frame
        stem, *stages, head = blocks
        size = -(-frame.height // stem.stride)
        shape: Shape = (size, size, stem.channels)
        image = (frame.height, frame.width, frame.channels)
        total = self._query("Conv", stem, stem.stride, image, shape)
        for block in stages:
            stride = block.stride
            for _ in range(block.repeats):
                size = -(-shape[0] // stride)
                out = (size, size, block.channels)
                total += self._query("layer", block, stride, shape, out)
                shape, stride = out, 1
        total += self._query("Conv_1", head, 1, shape, (shape[0], shape[1], head.channels))
        total += self._entries[f"Logits-input:{head.channels}-output:{frame.classes}"]["mean"]
        return total * self._scale

    def _query(self, kind: str, block: Block, stride: int, shape: Shape, out: Shape) -> float:
        return self._entries[_key(kind, block, stride, shape, out)]["mean"]


def _key(kind: str, block: Block, stride: int, shape: Shape, out: Shape) -> str:
    return "-".join(
        [
            kind,
            f"input:{'x'.join(str(one) for one in shape)}",
            f"output:{'x'.join(str(one) for one in out)}",
            f"operation:{block.kind}",
            f"expand:{block.expansion}",
            f"kernel:{block.kernel}",
            f"stride:{stride}",
            f"se:{block.se_ratio}",
            f"skip:{block.skip}",
        ]
    )


def timed(work: Callable[[Given], Found], given: Given) -> tuple[Found, float]:
    """What a call returns, and the seconds that it takes."""
    begin = time.perf_counter()
    found = work(given)
    return found, time.perf_counter() - begin


def rounds(space: StagedSpace, arguments: Namespace) -> Iterator[NDArray[np.int64]]:
    """Matrices of random choices, one a round."""
    sizes = [len(choice.options) for choice in space.choices]
    for seed in range(arguments.rounds):
        yield np.random.default_rng(seed).integers(0, sizes, size=(arguments.rows, len(sizes)))


def measure(space: StagedSpace, arguments: Namespace) -> Mapping[str, Any]:
    """All figures, over rounds in which everything has its turn."""
    predictor = made_up(space)
    ours, making_s = timed(lambda space: Vectorised(space, predictor), space)
    theirs = Dictionary(space, predictor)

    def summed(networks: Sequence[Architecture]) -> list[float]:
        return [theirs.predict_ms(one.blocks) for one in networks]

    def one_by_one(network: Architecture) -> float:
        return predictor.predict(lower(network).graph.specs).latency_ms

    matrix_s, dictionary_s, ratios, row_s, architecture_s = [], [], [], [], []
    for choices in rounds(space, arguments):
        networks = [space.decode(row) for row in choices[: arguments.networks].tolist()]
        found, ours_s = timed(ours.predict, choices)
        added, theirs_s = timed(summed, networks)
        alone = [timed(one_by_one, network) for network in networks]
        row_s += [timed(ours.predict, row)[1] for row in choices[: arguments.networks, None]]
        for other in (added, [latency_ms for latency_ms, _ in alone]):
            if not np.allclose(found.latency_ms[: len(networks)], other, rtol=AGREEMENT, atol=0):
                raise MnasError("the ways to sum a network's latency come to different latencies")
        matrix_s.append(ours_s / len(choices))
        dictionary_s.append(theirs_s / len(networks))
        ratios.append(dictionary_s[-1] / matrix_s[-1])
        architecture_s += [seconds for _, seconds in alone]
    return {
        "making_s": making_s,
        "rows_per_s": 1 / median(matrix_s),
        "row_us": 1e6 * median(row_s),
        "row_worst_us": 1e6 * max(row_s),
        "architecture_ms": 1e3 * median(architecture_s),
        "architecture_worst_ms": 1e3 * max(architecture_s),
        "dictionary_rows_per_s": 1 / median(dictionary_s),
        "ratio": median(ratios),
    }


def main() -> None:
    """Measure, print the figures, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--rows", type=at_least(1), default=200_000, help="of a round's matrix (default 200000)"
    )
    parser.add_argument(
        "--networks", type=at_least(1), default=2000, help="predicted one by one in each round (default 2000)"
    )
    parser.add_argument("--rounds", type=at_least(1), default=7, help="of everything (default 7)")
    parser.add_argument("--space", default="mnasnet", choices=spaces.names(), help="search space")
    parser.add_argument("--cpu", type=cores, help="core for all (default: the last one)")
    arguments = parser.parse_args()
    core = one_core(parser, arguments)
    if arguments.tiny:
        arguments.rows, arguments.networks, arguments.rounds = 1000, 20, 1
        arguments.space = "mnasnet-small-images"
    found = measure(spaces.create(arguments.space), arguments)
    for name, text in (
        ("rows_per_s", "matrix of choices, rows per second"),
        ("row_us", "one row, us"),
        ("architecture_ms", "one Architecture, ms"),
        ("dictionary_rows_per_s", "dictionary of layers, networks per second"),
        ("ratio", "matrix over dictionary"),
        ("making_s", "making the predictor of the space, s"),
    ):
        say(arguments, f"{text:44} {found[name]:12,.6g}")
    met = (
        found["rows_per_s"] >= ROWS_PER_S
        and found["row_us"] < ROW_US
        and found["architecture_ms"] < ARCHITECTURE_MS
    )
    verdict = Verdict(
        met,
        f"{found['rows_per_s']:,.0f} rows per second (goal: {ROWS_PER_S:,}), {found['ratio']:.0f} times as "
        f"many as a dictionary; one row in {found['row_us']:.0f} us (goal: < {ROW_US}), one Architecture "
        f"in {found['architecture_ms']:.3f} ms (goal: < {ARCHITECTURE_MS})",
    )
    setting = {"space": arguments.space, "rows": arguments.rows, "networks": arguments.networks}
    finish(arguments, {**found, **setting, "rounds": arguments.rounds, "cpu": core}, verdict)


if __name__ == "__main__":
    start(main)
