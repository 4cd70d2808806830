"""How much faster is a latency table built than by converting and timing each operator?

The other way is what one would do without a generator: one TensorFlow process that converts each operator of
the space and runs `litert-benchmark` with its defaults on each file (`converting.py`); TensorFlow's import is
not counted. Both take turns: one complete pass over every operator by the table's builder, then a part of the
operators the other way, and so on. Then the full table is built, with its anchors and as many passes as its
precision takes, and networks that neither has seen are measured to compare what each predicts.

Goals: one complete pass at least 15 times as fast; the full table within 5 minutes, the standard error of its
operators between passes, weighted by their share of time, below 3 %.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import Verdict, at_least, finish, options, say, start

from devices.device import Device
from devices.measurement import Failure, Pass
from devices.registry import open_device
from latency_tables.build import PLAN, Adaptive, build
from latency_tables.fitting.calibration import fit_scale
from latency_tables.fitting.statistics import network_ms
from latency_tables.judging.interleaved import InMemory
from latency_tables.judging.validation import Validation
from latency_tables.measuring.precision import weighted_standard_error_percent
from latency_tables.ops import Graph
from latency_tables.records import Network
from latency_tables.validate import PLAN as VALIDATION
from latency_tables.validate import Keeping, validate
from mnas.errors import MnasError
from mnas.tables import ANCHORS, TableRequest, held_out, open_or_create

RATIO = 15
MOST_S = 300
MOST_ERROR_PERCENT = 3
#: times the two take turns
TURNS = 4
START_S = 300.0


@dataclass(frozen=True, slots=True)
class Other:
    """What converting and timing one operator took, in seconds, and what it said, in milliseconds."""

    convert_s: float
    benchmark_s: float
    median_ms: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.convert_s + self.benchmark_s


@contextmanager
def converting() -> Iterator[Callable[[str], Other]]:
    """The other way: a function of an operator's text form, in a process that has TensorFlow loaded."""
    script = Path(__file__).with_name("converting.py")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    sent, answers = process.stdin, process.stdout

    def answer() -> dict[str, Any]:
        line = answers.readline()
        if not line:
            raise MnasError(
                f"the converting process ended with exit code {process.wait()}; it says why above"
            )
        return dict(json.loads(line))

    def measure(operator: str) -> Other:
        sent.write(f"{operator}\n")
        sent.flush()
        found = answer()
        return Other(found["convert_s"], found["benchmark_s"], found["median_ms"])

    try:
        answer()
        yield measure
    finally:
        sent.close()
        process.wait()


def one_pass(device: Device, request: TableRequest, folder: Path, number: int) -> tuple[float, int]:
    """Seconds that one pass over every operator of the space takes, and how many there are.

    Networks are chosen, written, measured and stored in it; each operator is in one of them at least.
    """
    once = replace(request, cover_times=1, anchors=1)
    begin = time.perf_counter()
    with open_or_create(folder / f"pass-{number}.db", once, device) as table:
        report = build(table, device, replace(PLAN, passes=1))
    if report.missing or report.failures:
        raise MnasError(f"the pass left {len(report.missing)} operators without a time")
    return time.perf_counter() - begin, report.operators


def turns(
    device: Device, request: TableRequest, folder: Path, operators: Sequence[str], arguments: Namespace
) -> tuple[list[float], dict[str, Other]]:
    """Seconds of each of our passes, and what the other way said of each operator; in turns."""
    ours_s: list[float] = []
    theirs: dict[str, Other] = {}
    parts = np.array_split(np.array(operators), min(TURNS, len(operators)))
    with converting() as measure:
        for number, part in enumerate(parts):
            seconds, count = one_pass(device, request, folder, number)
            ours_s.append(seconds)
            theirs |= {str(operator): measure(str(operator)) for operator in part}
            spent_s = sum(one.seconds for one in theirs.values())
            say(
                arguments,
                f"one pass over {count} operators {seconds:6.1f} s   "
                f"converting and timing {len(theirs):4} operators {spent_s:6.1f} s",
            )
    return ours_s, theirs


class Listed(InMemory):
    """Keeps the passes of a validation, the anchors' among them."""

    def __init__(self) -> None:
        super().__init__()
        self.bursts: list[Pass] = []

    def add(self, outcome: Pass | Failure) -> None:
        """Keep a result."""
        super().add(outcome)
        if isinstance(outcome, Pass):
            self.bursts.append(outcome)


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean absolute errors on held-out networks in percent, with one scale from the anchors, and without."""

    scaled_percent: float
    raw_percent: float


def other_errors(
    anchors: Sequence[Network],
    bursts: Sequence[Pass],
    found: Validation,
    graphs: Mapping[str, Graph],
    theirs: Mapping[str, Other],
) -> Errors | None:
    """How the sum of the other way's figures does; None where it was not asked for every operator.

    Its scale is from the anchors as they were measured among the held-out networks, as the table's is.
    """
    every = (*graphs.values(), *(one.graph for one in anchors))
    if not {str(spec) for graph in every for spec in graph.specs} <= theirs.keys():
        return None

    def total_ms(graph: Graph) -> float:
        return sum(theirs[str(spec)].median_ms for spec in graph.specs)

    passes: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for burst in bursts:
        passes[burst.model.partition("/")[0]].append(burst.distribution_ms)
    measured = [one for one in anchors if passes[one.name]]
    scale = fit_scale(
        [total_ms(one.graph) for one in measured], [network_ms(passes[one.name]) for one in measured]
    )
    sums = np.array([total_ms(graphs[one.name]) for one in found.details])
    latencies = np.array([one.measured_ms for one in found.details])
    return Errors(*(float(np.mean(np.abs(100 * (sums * by / latencies - 1)))) for by in (scale, 1.0)))


def run(arguments: Namespace, folder: Path) -> tuple[dict[str, Any], Verdict]:
    """Measure all of it; the document and the verdict."""
    request = TableRequest.for_space(
        arguments.space,
        resolution=arguments.resolution,
        width=arguments.width,
        dtype=arguments.dtype,
        anchors=2 if arguments.tiny else ANCHORS,
    )
    with closing(open_device("local")) as device:
        begin = time.perf_counter()
        with open_or_create(folder / "full.db", request, device) as table:
            plan = replace(PLAN, passes=2, min_runs=3, min_time_s=0.0) if arguments.tiny else PLAN
            report = build(table, device, plan, adaptive=None if arguments.tiny else Adaptive())
            full_s = time.perf_counter() - begin
            error = weighted_standard_error_percent(table)
            operators = table.operators()
            step = max(1, len(operators) // (arguments.operators or len(operators)))
            say(
                arguments,
                f"full table: {len(operators)} operators, {report.networks} networks, {report.measured} "
                f"passes over them, {full_s:.0f} s, weighted standard error {_percent(error)}",
            )
            ours_s, theirs = turns(device, request, folder, operators[::step], arguments)
            graphs = dict(held_out(table, arguments.networks, seed=0))
            brief = replace(VALIDATION, passes=1, min_runs=3, min_time_s=0.0)
            kept = Listed()
            found = validate(
                table,
                list(graphs.items()),
                device,
                brief if arguments.tiny else VALIDATION,
                keeping=Keeping(kept),
            )
            anchors = [one for one in table.networks() if one.role == "anchor"]
            others = other_errors(anchors, kept.bursts, found, graphs, theirs)
    each_s = sum(one.seconds for one in theirs.values()) / len(theirs)
    theirs_s, pass_s = each_s * len(operators), median(ours_s)
    ratio, full_ratio = theirs_s / pass_s, theirs_s / full_s
    say(
        arguments,
        f"operators per second: {len(operators) / pass_s:.1f} in one pass, {len(operators) / full_s:.1f} for "
        f"the full table, {1 / each_s:.2f} the other way; {ratio:.1f} and {full_ratio:.1f} times as fast",
    )
    say(arguments, f"held-out MAPE, full table: {found.scores.mape_percent:.2f} %, re-anchored")
    if others is not None:
        say(
            arguments,
            f"held-out MAPE, the other way: {others.scaled_percent:.2f} % with a scale from the same "
            f"anchors, {others.raw_percent:.1f} % without",
        )
    document = {
        "space": request.space,
        "resolution_pixels": request.resolution,
        "dtype": request.dtype,
        "operators": len(operators),
        "one_pass_s": ours_s,
        "full_table_s": full_s,
        "full_table_passes": report.measured,
        "weighted_standard_error_percent": error,
        "converted_operators": len(theirs),
        "converting_s": sum(one.convert_s for one in theirs.values()),
        "litert_benchmark_s": sum(one.benchmark_s for one in theirs.values()),
        "ratio_of_one_pass": ratio,
        "ratio_of_full_table": full_ratio,
        "mape_percent": found.scores.mape_percent,
        "noise_floor_percent": found.noise.floor_percent,
        "converted_mape_percent": others and others.scaled_percent,
        "converted_raw_mape_percent": others and others.raw_percent,
    }
    met = ratio >= RATIO and full_s <= MOST_S and error is not None and error < MOST_ERROR_PERCENT
    text = (
        f"one pass is {ratio:.1f} times as fast (goal: {RATIO}); the full table takes {full_s:.0f} s (goal: "
        f"{MOST_S} or less), weighted standard error {_percent(error)} (goal: < {MOST_ERROR_PERCENT})"
    )
    return document, Verdict(met, text)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} %"


def main() -> None:
    """Measure, print, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--space", default="mnasnet", help="the search space (default mnasnet)")
    parser.add_argument("--resolution", type=at_least(1), help="in pixels (default: the space's own)")
    parser.add_argument("--width", type=float, help="filter multiplier (default: the space's own)")
    parser.add_argument("--dtype", default="float32", help="float32 or int8 (default float32)")
    parser.add_argument(
        "--operators",
        type=at_least(1),
        help="convert and time about so many, spread over the space; the others count as their mean, and the "
        "other way predicts nothing (default: all)",
    )
    parser.add_argument("--networks", type=at_least(1), default=30, help="held-out networks (default 30)")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.space, arguments.resolution, arguments.width = "mnasnet-small-images", 28, 0.05
        arguments.operators, arguments.networks = 3, 2
    with tempfile.TemporaryDirectory() as folder:
        document, verdict = run(arguments, Path(folder))
    finish(arguments, document, verdict)


if __name__ == "__main__":
    start(main)
