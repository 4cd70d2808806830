"""Does the local device report the latency that LiteRT's own `litert-benchmark` reports?

Every pair measures one model with both, each in a fresh process (where memory falls is luck that lasts as
long as a process does), on the same core with the same thread count, priority, warm-up and number of runs.
Which of the two goes first is random, and so is the order of models. Goal: for each model of 2 ms or more,
the median over pairs of the ratio of medians (ours over theirs) lies within 0.97 and 1.03.

The two call the runtime by different interfaces: `litert-benchmark` by CompiledModel, which costs one to two
microseconds more a run than the local device's Interpreter, less than a thousandth of 2 ms.

`litert-benchmark` rounds its median to 0.01 ms, a quarter of a percent of 2 ms at most. It counts every run;
the local device leaves preempted runs out, which a median notices on a busy core only. So a pair during which
others took more than 5 % of the core is measured again, and a machine that is never quiet misses the goal.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from common import Verdict, at_least, bootstrap_median, cores, finish, options, say, start

from devices.errors import DeviceTrouble
from devices.measurement import Failure, ModelFile, Settings
from devices.plan import Plan
from devices.registry import open_device
from latency_tables.tflite import write
from mnas.lower import lower
from mnas.recipes import recipe

LOW, HIGH = 0.97, 1.03
SHORTEST_MS = 2.0
#: pixels: at 224 the int8 networks take less than 2 ms on a fast core
RESOLUTION = 320
MODELS = tuple((name, dtype) for name in ("mobilenetv2", "mnasnet-a1") for dtype in ("float32", "int8"))
WARMUP_RUNS = 10
#: share of the cores' time that others may take during a pair
QUIET = 0.05
#: pairs are tried this many times as often as they are wanted
PATIENCE = 4
#: longest wait of `litert-benchmark` for other measurements on its cores
LOCK_WAIT_S = 60.0
#: longest time that one measurement by either may take
TIMEOUT_S = 300.0
#: `litert-benchmark` takes neither cores nor priority: this does, as the worker does, then becomes it
LAUNCH = f"""
import runpy, sys
from devices.runners import litert_worker as worker
cpus = [int(cpu) for cpu in sys.argv[1].split(",")]
worker.choose_cpus(len(cpus), cpus)
worker.raise_priority()
worker.offer_to_be_ended()
lock = worker.CoreLock(cpus)  # until this process ends
lock.take({LOCK_WAIT_S})
sys.argv = ["litert-benchmark", *sys.argv[2:]]
runpy.run_module("ai_edge_litert.tools.benchmark_litert_model", run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians of one model, measured by both one after the other."""

    ours_ms: float
    theirs_ms: float
    ours_first: bool
    other_load: float

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours_ms / self.theirs_ms


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the pairs of one model say. The interval is a 95 % bootstrap interval of the median ratio."""

    model: str
    pairs: int
    ours_ms: float
    theirs_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    judged: bool
    met: bool


def ours(file: ModelFile, arguments: Namespace) -> float:
    """Median latency in ms as the local device measures it, in a worker of its own."""
    plan = Plan(warmup_runs=WARMUP_RUNS, min_runs=arguments.runs, deadline_s=TIMEOUT_S)
    device = open_device("local", Settings(arguments.threads, arguments.cpus))
    try:
        (outcome,) = device.stream([file], plan)
    finally:
        device.close()
    if isinstance(outcome, Failure):
        raise DeviceTrouble(f"{outcome.model}: {outcome.message}")
    return float(median(outcome.samples_ms))


def theirs(path: Path, arguments: Namespace) -> float:
    """Median latency in ms as `litert-benchmark` measures it."""
    result = arguments.folder / "result.json"
    command = [sys.executable, "-c", LAUNCH, ",".join(map(str, arguments.cpus))]
    command += [f"--model={path}", f"--num_threads={arguments.threads}", f"--num_runs={arguments.runs}"]
    command += [f"--warmup_runs={WARMUP_RUNS}", f"--result_json={result}"]
    try:
        done = subprocess.run(  # in a session of its own like the worker, to which its priority then applies
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceTrouble(
            f"litert-benchmark took more than {TIMEOUT_S:g} s on {path.name}: ask for fewer --runs"
        ) from error
    if done.returncode or not result.exists():
        raise DeviceTrouble(f"litert-benchmark failed on {path.name}: {done.stderr[-2000:]}")
    latency_ms = float(json.loads(result.read_text())["latency"]["median_ms"])
    result.unlink()
    return latency_ms


def compare(path: Path, arguments: Namespace, rng: random.Random) -> Pair:
    """Measure a model with both, in random order."""
    file = ModelFile.from_path(path)
    ours_first = rng.random() < 0.5
    before = usage(arguments.cpus)
    if ours_first:
        ours_ms = ours(file, arguments)
    theirs_ms = theirs(path, arguments)
    if not ours_first:
        ours_ms = ours(file, arguments)
    elapsed_s, busy_s = (now - then for now, then in zip(usage(arguments.cpus), before, strict=True))
    return Pair(ours_ms, theirs_ms, ours_first, max(0.0, busy_s / (elapsed_s * len(arguments.cpus))))


def usage(cpus: tuple[int, ...]) -> tuple[float, float]:
    """The time, and what the cores were busy less what this process and its children used, all in seconds."""
    times = psutil.cpu_times(percpu=True)
    busy_s = sum(sum(times[cpu]) - times[cpu].idle - getattr(times[cpu], "iowait", 0.0) for cpu in cpus)
    for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF):
        used = resource.getrusage(who)
        busy_s -= used.ru_utime + used.ru_stime
    return time.monotonic(), busy_s


def collect(path: Path, arguments: Namespace, rng: random.Random) -> tuple[Pair, list[Pair]]:
    """A quiet pair, and the disturbed ones before it; after too many of them, the quietest."""
    disturbed: list[Pair] = []
    while True:
        pair = compare(path, arguments, rng)
        if pair.other_load <= QUIET or arguments.tiny:
            return pair, disturbed
        disturbed.append(pair)
        if len(disturbed) == PATIENCE:
            quietest = min(disturbed, key=lambda each: each.other_load)
            disturbed.remove(quietest)
            return quietest, disturbed


def judge(model: str, pairs: list[Pair]) -> Agreement:
    """Sum the pairs of one model up."""
    ratios = [pair.ratio for pair in pairs]
    ratio, theirs_ms = median(ratios), median(pair.theirs_ms for pair in pairs)
    low, high = bootstrap_median(ratios)
    judged = theirs_ms >= SHORTEST_MS
    ours_ms = median(pair.ours_ms for pair in pairs)
    return Agreement(
        model, len(pairs), ours_ms, theirs_ms, ratio, low, high, judged, judged and LOW <= ratio <= HIGH
    )


def main() -> None:
    """Measure, print a line per model, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", type=Path, help=".tflite files instead of the networks built in")
    parser.add_argument("--pairs", type=at_least(1), default=20, help="pairs per model (default 20)")
    parser.add_argument("--runs", type=at_least(1), default=60, help="runs in each measurement (default 60)")
    parser.add_argument("--threads", type=at_least(1), default=1, help="threads of the runtime (default 1)")
    parser.add_argument("--cpus", type=cores, help="cores, such as 1 or 0,1 (default: the last ones)")
    parser.add_argument("--seed", type=int, default=0, help="of the order (default 0)")
    arguments = parser.parse_args()
    arguments.cpus = arguments.cpus or tuple(sorted(os.sched_getaffinity(0))[-arguments.threads :])
    if len(arguments.cpus) < arguments.threads:
        parser.error(f"{arguments.threads} threads on cores {arguments.cpus}: give each thread a core")
    if arguments.tiny:
        arguments.pairs, arguments.runs = 1, 3
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = Path(folder)
        paths = arguments.models
        for name, dtype in () if paths else MODELS[: 1 if arguments.tiny else None]:
            paths.append(arguments.folder / f"{name}-{dtype}.tflite")
            network = recipe(name).at(RESOLUTION, RESOLUTION)
            paths[-1].write_bytes(write(lower(network, dtype).graph))
        pairs: dict[Path, list[Pair]] = {path: [] for path in paths}
        repeated = 0
        for number in range(arguments.pairs):
            for path in rng.sample(paths, len(paths)):
                pair, others = collect(path, arguments, rng)
                pairs[path].append(pair)
                repeated += len(others)
            say(arguments, f"round {number + 1} of {arguments.pairs} done, {repeated} pairs repeated")
    found = [judge(path.stem, pairs[path]) for path in paths]
    say(arguments, f"{'model':24} {'ours ms':>9} {'theirs ms':>9} {'ratio':>7}  95 % interval")
    for row in found:
        say(
            arguments,
            f"{row.model:24} {row.ours_ms:9.3f} {row.theirs_ms:9.3f} {row.ratio:7.4f}  "
            f"{row.ratio_low:.4f} to {row.ratio_high:.4f}" + ("" if row.judged else "  (too short to judge)"),
        )
    within = sum(row.met for row in found)
    judged = sum(row.judged for row in found)
    loud = sum(pair.other_load > QUIET for each in pairs.values() for pair in each)
    verdict = Verdict(
        within == judged >= 4 and arguments.pairs >= 20 and loud == 0,
        f"{within} of {judged} models of {SHORTEST_MS:g} ms or more have a median ratio within {LOW} and "
        f"{HIGH} over {arguments.pairs} pairs (goal: all, at least 4 models, at least 20 pairs)"
        + (f"; {loud} pairs were disturbed by other processes: make the machine quiet" if loud else ""),
    )
    finish(
        arguments,
        {
            "models": [
                {**asdict(row), "each": [asdict(pair) for pair in pairs[path]]}
                for row, path in zip(found, paths, strict=True)
            ],
            "threads": arguments.threads,
            "cpus": arguments.cpus,
            "runs": arguments.runs,
            "seed": arguments.seed,
            "repeated_pairs": repeated,
            "disturbed_pairs": loud,
        },
        verdict,
    )


if __name__ == "__main__":
    start(main)
