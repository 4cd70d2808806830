"""What does it cost to measure many small models on a phone and on a board, beyond the measuring itself?

On an emulated phone and over a real SSH server on loopback, the batches of `devices.runners` (one push, one
process there) run against the loop that one would write first: for each model `adb push`, `adb shell`, `adb
pull`, or `scp`, `ssh`, `scp`, and a program that measures one model. All in turns.

Overhead is wall time without pure inference, the time within runs of models, warm-up included: that a program
starts and loads its model is overhead, and part of both loops. Beside it stands what is left without the
program's own time: on the phone that of `benchmark_model` in a loop in a shell there that keeps nothing (the
fastest round counts, so that noise makes overheads larger); on the board loading, warm-up and runs, as the
process tells. What leases, temperature gates and canaries take is not part of this.

Goal: with batches the median overhead per model is a fifth or less, on phone and board.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from common import Verdict, at_least, finish, options, say, start

from devices.adb import direct_tcp
from devices.adb.keys import make_if_absent
from devices.device import Device
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.errors import DeviceTrouble
from devices.facts import machine
from devices.measurement import Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.runners.benchmark_model import Result, command, parse
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.runners.litert import LitertDevice
from devices.setup.phone import PhoneRuntime, set_up_phone
from devices.ssh import SshTransport
from devices.staging import Staging
from devices.survey import survey
from devices.transport import Transport
from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write

sys.path.append(str(Path(__file__).parents[1]))
from tests.devices.sshd import SSHD, Sshd, running_sshd

LESS = 5
WORK = "/data/local/tmp/mnas"
STEP_S = 120.0
#: measures one model in a process of its own and writes what it found; arguments: model, file, warm-up, runs
ONE = """
import json, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
begin = time.perf_counter()
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for each in interpreter.get_input_details():
    interpreter.set_tensor(each["index"], np.random.rand(*each["shape"]).astype(each["dtype"]))
for _ in range(1 + int(sys.argv[3])):
    interpreter.invoke()
runs = []
for _ in range(int(sys.argv[4])):
    start = time.perf_counter()
    interpreter.invoke()
    runs.append(time.perf_counter() - start)
found = {"runs_s": runs, "all_s": time.perf_counter() - begin}
open(sys.argv[2], "w").write(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """One loop over models.

    Attributes:
        least_s: what the device has to do in any case.
        inference_s: time within runs of models, warm-up included.
    """

    models: int
    wall_s: float
    least_s: float
    inference_s: float


class Link(Protocol):
    """A device, and both loops over it."""

    name: str

    def batch(self, models: Sequence[ModelFile], plan: Plan) -> Timed:
        """Measure models, none of which is there, in a batch."""

    def naive(self, models: Sequence[ModelFile], plan: Plan) -> Timed:
        """Measure models one by one."""


def measured(device: Device, models: Sequence[ModelFile], plan: Plan) -> tuple[float, list[Pass]]:
    """(wall time in seconds, passes) of a stream in which nothing fails."""
    begin = time.perf_counter()
    found = list(device.stream(models, plan))
    wall_s = time.perf_counter() - begin
    for outcome in found:
        if isinstance(outcome, Failure):
            raise DeviceTrouble(outcome.message)
    return wall_s, [outcome for outcome in found if isinstance(outcome, Pass)]


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """What a program prints on both streams.

    Raises:
        DeviceTrouble: it failed.
    """
    ended = subprocess.run(
        list(command),
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=STEP_S,
    )
    if ended.returncode:
        raise DeviceTrouble(f"{command[0]} failed: {ended.stderr.strip()[-300:]}")
    return ended.stdout + ended.stderr


class Phone:
    """The emulated phone: `benchmark_model`, and Google's adb for the naive loop."""

    name = "phone"

    def __init__(self, phone: EmulatedPhone, folder: Path) -> None:
        key = folder / ".android/adbkey"
        make_if_absent(key)
        self._folder = folder
        self._transport: Transport = direct_tcp(phone.host, phone.port, keys=[key])
        self._program: PhoneRuntime = set_up_phone(self._transport, WORK, program=BENCHMARK_MODEL)
        self._staging = Staging(self._transport, WORK)
        self._device = BenchmarkModelDevice(
            phone.address,
            self._transport,
            Settings(),
            WORK,
            self._program.sha256,
            machine(survey(self._transport, WORK)),
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._environment = {**os.environ, "HOME": str(folder), "ANDROID_ADB_SERVER_PORT": str(port)}
        self._adb = ["adb", "-P", str(port), "-s", f"{phone.host}:{phone.port}"]
        run(["adb", "-P", str(port), "start-server"], self._environment)
        run(["adb", "-P", str(port), "connect", f"{phone.host}:{phone.port}"], self._environment)
        run([*self._adb, "wait-for-device"], self._environment)

    def close(self) -> None:
        """End the adb server and the connection."""
        run([*self._adb[:3], "kill-server"], self._environment)
        self._device.close()

    def batch(self, models: Sequence[ModelFile], plan: Plan) -> Timed:
        """See `Link`."""
        self._staging.clean(0.0)
        wall_s, passes = measured(self._device, models, plan)
        summaries = [one.summary for one in passes if one.summary]
        inference_s = sum(one.count * one.mean_ms for one in summaries) / 1e3
        inference_s += plan.warmup_runs * sum(one.warmup_mean_ms or 0.0 for one in summaries) / 1e3
        return Timed(len(models), wall_s, self._alone(models, plan), inference_s)

    def naive(self, models: Sequence[ModelFile], plan: Plan) -> Timed:
        """See `Link`."""
        results: list[Result] = []
        here, there = self._folder / "model.tflite", "/data/local/tmp/model.tflite"
        measure = self._command(there, plan, "/data/local/tmp/result.pb")
        begin = time.perf_counter()
        for model in models:
            here.write_bytes(model.content)
            run([*self._adb, "push", str(here), there], self._environment)
            results.append(parse(run([*self._adb, "shell", *measure], self._environment)))
            result_file = str(self._folder / "result.pb")
            run([*self._adb, "pull", "/data/local/tmp/result.pb", result_file], self._environment)
        wall_s = time.perf_counter() - begin
        phases = [phase for one in results for phase in (one.inference, one.warmup) if phase]
        inference_s = sum((phase.count or 0) * phase.mean_ms for phase in phases) / 1e3
        self._staging.put(models)
        return Timed(len(models), wall_s, self._alone(models, plan), inference_s)

    def _command(self, model: str, plan: Plan, result: str) -> list[str]:
        return command(self._program.path, model, Settings(), plan, self._program.offers, result_path=result)

    def _alone(self, models: Sequence[ModelFile], plan: Plan) -> float:
        """Time that the program takes for models that are on the phone, in seconds."""
        measure = " ".join(self._command('"$model"', plan, f"{WORK}/result.pb"))
        script = f"cd {WORK}/models && while read -r model; do {measure} </dev/null >/dev/null 2>&1; done"
        names = "".join(f"{model.sha256}.tflite\n" for model in models)
        begin = time.perf_counter()
        ended = self._transport.run(["sh", "-c", script], names.encode(), timeout_s=STEP_S + len(models))
        if not ended.ok:
            raise DeviceTrouble(f"the program alone failed: exit code {ended.exit_code}")
        return time.perf_counter() - begin


class Board:
    """This machine behind an SSH server: LiteRT for Python, and OpenSSH's clients for the naive loop."""

    name = "board"

    def __init__(self, server: Sshd, folder: Path) -> None:
        self._folder = folder
        transport = SshTransport("board", config=server.config)
        self._staging = Staging(transport, f"{server.home}/.cache/mnas")
        self._device = LitertDevice("ssh://board", transport, staging=self._staging)
        self._config = str(server.config)
        self._home = server.home
        (server.home / "one.py").write_text(ONE, encoding="utf-8")

    def close(self) -> None:
        """End the connection."""
        self._device.close()

    def batch(self, models: Sequence[ModelFile], plan: Plan) -> Timed:
        """See `Link`."""
        self._staging.clean(0.0)
        wall_s, passes = measured(self._device, models, plan)
        inference_s = least_s = 0.0
        for one in passes:
            each_ms = sum(one.samples_ms) / len(one.samples_ms)
            runs = plan.warmup_runs + len(one.samples_ms) + one.dropped
            inference_s += ((one.first_inference_ms or 0.0) + runs * each_ms) / 1e3
            least_s += (one.initialisation_ms or 0.0) / 1e3
        return Timed(len(models), wall_s, least_s + inference_s, inference_s)

    def naive(self, models: Sequence[ModelFile], plan: Plan) -> Timed:
        """See `Link`."""
        here, result = self._folder / "model.tflite", self._folder / "result.json"
        measure = [sys.executable, "one.py", "model.tflite", "result.json"]
        measure += [str(plan.warmup_runs), str(plan.min_runs)]
        inference_s = least_s = 0.0
        begin = time.perf_counter()
        for model in models:
            here.write_bytes(model.content)
            run(["scp", "-q", "-F", self._config, str(here), f"board:{self._home}/model.tflite"])
            run(["ssh", "-F", self._config, "board", f"cd {self._home} && {' '.join(measure)}"])
            run(["scp", "-q", "-F", self._config, f"board:{self._home}/result.json", str(result)])
            found = json.loads(result.read_text(encoding="utf-8"))
            inference_s += sum(found["runs_s"])
            least_s += found["all_s"]
        return Timed(len(models), time.perf_counter() - begin, least_s, inference_s)


def models_of(count: int) -> list[ModelFile]:
    """Different convolutions, a few tens of microseconds each."""
    found = []
    for i in range(count):
        channels_in, channels_out, size = 12 + i % 10, 12 + i // 10 % 15, (16, 20)[i // 150 % 2]
        shapes = f"1x{size}x{size}x{channels_in}/1x{size}x{size}x{channels_out}"
        text = f"conv_2d/float32/{shapes}/k3x3/s1x1/same"
        found.append(ModelFile(f"model-{i}.tflite", write(single(OpSpec.parse(text)), seed=i)))
    return found


@contextmanager
def links() -> Iterator[list[Link]]:
    """The phone and the board.

    Raises:
        DeviceTrouble: a program is missing here.
    """
    missing = [name for name in ("adb", "ssh", "scp", "ssh-keygen") if shutil.which(name) is None]
    missing += [] if SSHD else ["sshd"]
    if missing:
        raise DeviceTrouble(f"not installed here: {', '.join(missing)} (Debian: adb, openssh-server)")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mnas-overhead.")))
        for name in ("phone", "board", "sshd"):
            (folder / name).mkdir()
        phone = Phone(stack.enter_context(EmulatedPhone()), folder / "phone")
        stack.callback(phone.close)
        board = Board(stack.enter_context(running_sshd(folder / "sshd")), folder / "board")
        stack.callback(board.close)
        yield [phone, board]


def show(arguments: Namespace, link: Link, loop: str, timed: Timed) -> None:
    """Print a line."""
    say(
        arguments,
        f"{link.name:6} {loop:6} {timed.models:7} {timed.wall_s:8.2f} {timed.least_s:8.2f} "
        f"{timed.inference_s:11.4f} {timed.wall_s / timed.inference_s:10.1f}",
    )


def judged(name: str, loops: Mapping[str, Sequence[Timed]]) -> dict[str, Any]:
    """Medians of one device and what one loop has less of than the other."""
    row: dict[str, Any] = {"device": name}
    for loop, times in loops.items():
        same = [one for each in loops.values() for one in each] if name == "phone" else times
        least_s = min(one.least_s / one.models for one in same)
        row[f"{loop}_overhead_ms"] = 1e3 * median(
            (one.wall_s - one.inference_s) / one.models for one in times
        )
        row[f"{loop}_beyond_program_ms"] = 1e3 * median(one.wall_s / one.models - least_s for one in times)
        row[f"{loop}_wall_over_inference"] = median(one.wall_s / one.inference_s for one in times)
        row[loop] = [asdict(one) for one in times]
    row["ratio"] = row["naive_overhead_ms"] / row["batch_overhead_ms"]
    row["ratio_beyond_program"] = row["naive_beyond_program_ms"] / row["batch_beyond_program_ms"]
    return row


def main() -> None:
    """Run both loops in turns on both devices, print a line for each, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", type=at_least(1), default=300, help="in a batch (default 300)")
    parser.add_argument(
        "--one-by-one",
        type=at_least(1),
        default=30,
        help="of them for the other loop each round (default 30)",
    )
    parser.add_argument("--rounds", type=at_least(1), default=3, help="of both loops (default 3)")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.models, arguments.one_by_one, arguments.rounds = 6, 2, 1
    plan = Plan(warmup_runs=3, min_runs=30)
    models = models_of(arguments.models)
    say(
        arguments,
        f"{'device':6} {'loop':6} {'models':>7} {'wall s':>8} {'least s':>8} {'inference s':>11} "
        f"{'wall/infer':>10}",
    )
    found: dict[str, dict[str, list[Timed]]] = {}
    with links() as devices:
        for number in range(arguments.rounds):
            some = models[number :: max(1, len(models) // arguments.one_by_one)][: arguments.one_by_one]
            for link in devices:
                for loop, timed in (("batch", link.batch(models, plan)), ("naive", link.naive(some, plan))):
                    found.setdefault(link.name, {}).setdefault(loop, []).append(timed)
                    show(arguments, link, loop, timed)
    rows = [judged(name, loops) for name, loops in found.items()]
    for row in rows:
        say(
            arguments,
            f"{row['device']}: {row['batch_overhead_ms']:.1f} ms of overhead per model in a batch, "
            f"{row['naive_overhead_ms']:.1f} ms one by one ({row['ratio']:.1f} times); without the program's "
            f"own time {row['batch_beyond_program_ms']:.1f} and {row['naive_beyond_program_ms']:.1f} ms "
            f"({row['ratio_beyond_program']:.1f} times); wall over inference "
            f"{row['batch_wall_over_inference']:.0f} and {row['naive_wall_over_inference']:.0f}",
        )
    verdict = Verdict(
        all(row["ratio"] >= LESS for row in rows),
        "a batch has "
        + " and ".join(f"{row['ratio']:.1f} times less overhead on the {row['device']}" for row in rows)
        + f" than the loop one would write first (goal: {LESS})",
    )
    finish(arguments, {"devices": rows, "models": arguments.models, "rounds": arguments.rounds}, verdict)


if __name__ == "__main__":
    start(main)
