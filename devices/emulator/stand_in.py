"""Stands for Google's `benchmark_model` on the emulated phone: runs the model with LiteRT, talks as it does.

Runs in a fork of the phone's fork server, which has loaded the runtime, with the streams of the program on
the phone that asked for it.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from devices.emulator import console, costs, delegates, flags, graph, memory, profiles
from devices.emulator.console import Figures, Node, Stat
from devices.emulator.delegates import Asked
from devices.emulator.flags import Given
from devices.emulator.profiles import Delegated
from devices.emulator.resident import Caller

#: what one run may allocate
MEMORY_BYTES = 3 << 30
#: how far runs of one model differ where every operator has a time of its own, as a standard deviation
NOISE = 0.003
_OWN = "/.emulator"
_KNOWN_LEAST_US, _KNOWN_RANGE_US = 1000, 99_000
_GARBAGE = (
    b"\x1b[2J\x1b]0;gone\x07count=\xff\xfe avg=nan \x00 \xc3\x28 Inference timings in us: Init: -1,\n" * 40
)


def known_latency_ms(content_sha256: str) -> float:
    """The latency that the stand-in reports for a model when its latency is "known": 1 to 100 ms.

    Args:
        content_sha256: of the model file, hexadecimal.
    """
    return (_KNOWN_LEAST_US + int(content_sha256[:12], 16) % _KNOWN_RANGE_US) / 1000


def load() -> None:
    """Load what every run needs."""
    import ai_edge_litert.interpreter  # noqa: F401 - loaded before the fork
    import numpy as np

    np.random.default_rng(0).random(1)


class _Failed(Exception):
    """The run ends; its arguments are the complaints that it ends with."""


def run(caller: Caller, config: dict[str, Any]) -> int:
    """Run once, with no more memory than a phone has; gives the exit code."""
    memory.allow(MEMORY_BYTES)
    return _Run(caller, config["console"], config["latency"], config["gpu"], config["profile"]).run()


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of the tool.

    Attributes:
        caller: the program on the phone.
        age: the console's age, "2.x" or "2019".
        latency: what it reports: "real", "known" or "operators" (see `EmulatedPhone`).
        gpu: what becomes of `--use_gpu`.
        profile: which rows its profile of operators has (see `profiles`), or "none".
    """

    caller: Caller
    age: str
    latency: str
    gpu: str
    profile: str

    def run(self) -> int:
        try:
            self._say("STARTING!")
            self._run()
        except _Failed as failure:
            for complaint in filter(None, failure.args):
                self._complain(complaint)
            self._complain("Benchmarking failed.")
            return 1
        except MemoryError:
            self._end(
                "terminating with uncaught exception of type std::bad_alloc: std::bad_alloc", signal.SIGABRT
            )
        return 0

    def _run(self) -> None:
        program = f"./{Path(self.caller.program).name}"
        try:
            given = flags.parse(self.caller.arguments, self.age, self._lacks)
        except flags.BadFlag as error:
            self._complain(f"Failed to parse flag '{error}' against argument")
            raise _Failed(flags.usage(program, self.age, self._lacks)) from error
        if given.wants_help:
            raise _Failed(flags.usage(program, self.age, self._lacks))
        if given.unknown:
            self._say(f"Unconsumed cmdline flags: {' '.join(given.unknown)}", "WARN")
        if not given.text("graph"):
            raise _Failed("Please specify the name of your TF Lite input file with --graph")
        self._log_parameters(given)
        begun_kb = memory.resident_kb()
        begun = time.perf_counter_ns()
        content = self._read_model(given)
        interpreter = self._interpreter(given, content)
        init_us = (time.perf_counter_ns() - begun) // 1000
        init_kb = max(0, memory.resident_kb() - begun_kb)
        if self.age == "2.x":
            self._say(f"The input model file size (MB): {console.number(len(content) / 1e6)}")
        self._say(f"Initialized session in {console.number(init_us / 1e3)}ms{'.' * (self.age == '2.x')}")
        if self.latency == "operators":
            times_us = profiles.times_us(self.profile, interpreter, self._run_by(given, interpreter))
            known_us = round(costs.OVERHEAD_US + sum(times_us.values()))
        else:
            times_us = {}
            known_us = round(1000 * known_latency_ms(hashlib.sha256(content).hexdigest()))
        warmup, regular = self._measure(given, interpreter, known_us)
        peak_mb = memory.peak_mb() if given.switch("report_peak_memory_footprint") else None
        overall_kb = max(0, memory.resident_kb() - begun_kb)
        figures = Figures(init_us, warmup, regular, len(content), init_kb, overall_kb, peak_mb)
        for line in console.end(figures, self.age):
            self._say(line)
        if given.switch("enable_op_profiling"):
            self._profile(given, interpreter, figures, times_us)
        if given.text("result_file_path"):
            self._write(given.text("result_file_path"), console.result_file(figures))

    def _say(self, line: str, level: str = "INFO") -> None:
        """A line of its log. Those of LiteRT come on standard error, with their level before them."""
        if self.age == "2.x":
            print(f"{level}: {line}", file=sys.stderr, flush=True)  # noqa: T201 - it is the program's output
        else:
            print(line, flush=True)  # noqa: T201 - it is the program's output

    def _complain(self, line: str) -> None:
        prefix = "ERROR: " if self.age == "2.x" else ""
        print(f"{prefix}{line}", file=sys.stderr, flush=True)  # noqa: T201 - it is the program's output

    def _end(self, said: str, number: signal.Signals) -> NoReturn:
        """End as a program that crashes."""
        os.write(2, f"{said}\n".encode() if said else b"")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        os._exit(1)

    def _log_parameters(self, given: Given) -> None:
        if self.age == "2.x":
            self._say(f"Log parameter values verbosely: [{int(given.switch('verbose'))}]")
        for flag in flags.offered(self.age, self._lacks):
            told = flag.name in given.values or given.switch("verbose") or self.age == "2019"
            if flag.label and (told or flag.name == "signature_to_run_for"):
                value = given.text(flag.name)
                shown = int(given.switch(flag.name)) if flag.kind == "bool" else value
                self._say(f"{flag.label}: [{shown}]")
        if given.number("num_threads") > 0 and self.age == "2.x":
            self._say(f"#threads used for CPU inference: [{int(given.number('num_threads'))}]")

    def _read_model(self, given: Given) -> bytes:
        name = given.text("graph")
        try:
            content = self.caller.path(name).read_bytes()
        except OSError as error:
            raise _Failed(f"Could not open '{name}'.", f"Failed to mmap model {name}") from error
        if not content:
            raise _Failed("Mmap of '3' at offset '0' failed with error '22'.", f"Failed to mmap model {name}")
        return content

    def _write(self, name: str, content: bytes) -> None:
        try:
            self.caller.path(name).write_bytes(content)
        except OSError:
            self._complain(f"Failed to open {name}")

    # --- the model

    def _interpreter(self, given: Given, content: bytes) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        default = "false" if self.age == "2019" else "true"
        plain = given.values.get("use_xnnpack", default) in ("false", "0")
        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
        threads = int(given.number("num_threads"))
        external = given.text("external_delegate_path")
        if external and not self.caller.path(external).exists():
            raise _Failed(
                f'Unable to load external delegate from : dlopen failed: library "{external}" not found',
                "Failed to create the EXTERNAL delegate.",
                "Failed to apply EXTERNAL delegate.",
            )
        try:
            interpreter = Interpreter(
                model_content=content,
                num_threads=threads if threads > 0 else None,
                experimental_op_resolver_type=kind,
            )
        except ValueError as error:
            if "atbuffer" in str(error) or "identifier" in str(error):
                raise _Failed(str(error), f"Failed to mmap model {given.text('graph')}") from error
            self._say(f"Loaded model {given.text('graph')}")
            raise _Failed(str(error), "Failed to initialize the interpreter") from error
        self._say(f"Loaded model {given.text('graph')}")
        if self.age == "2019":
            self._say("resolved reporter")
        try:
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise _Failed(str(error), "Failed to allocate tensors!") from error
        if self.age == "2.x":
            self._say("Initialized TensorFlow Lite runtime.")
            asked = Asked(
                gpu=self.gpu if given.switch("use_gpu") else None,
                opengl=given.text("gpu_backend") == "gl",
                nnapi=given.switch("use_nnapi"),
                external=bool(external),
                xnnpack=given.switch("use_xnnpack") if "use_xnnpack" in given.values else None,
            )
            nodes, taken = len(graph.operators(interpreter)), len(graph.delegated(interpreter))
            for line in delegates.told(asked, nodes, taken):
                self._say(*line)
        return interpreter

    # --- the runs

    def _measure(self, given: Given, interpreter: Any, known_us: int) -> tuple[Stat, Stat]:
        try:
            graph.fill_inputs(interpreter)
        except (RuntimeError, ValueError) as error:
            raise _Failed(str(error), "Failed to prepare the inputs.") from error
        dry = given.switch("dry_run")
        most_s = given.number("max_secs") if self.age == "2.x" else 1e9
        phases: list[Stat] = []
        for runs, seconds in (("warmup_runs", "warmup_min_secs"), ("num_runs", "min_secs")):
            least = 0 if dry else int(given.number(runs))
            least_s = -1.0 if dry else given.number(seconds)
            self._say(console.running(least, least_s, most_s, self.age))
            if not phases:
                self._fault()
            if self.latency != "real":
                phases.append(self._known_runs(interpreter, least, least_s, most_s, known_us))
            else:
                phases.append(self._runs(interpreter, least, least_s, most_s))
            self._say(f"{console.stat(phases[-1], self.age)}\n")
        return phases[0], phases[1]

    def _known_runs(self, interpreter: Any, least: int, least_s: float, most_s: float, known_us: int) -> Stat:
        """As many runs as the tool would do were this the latency. One really happens."""
        count = max(least, math.ceil(max(0.0, least_s) * 1e6 / known_us))
        count = min(count, int(most_s * 1e6 / known_us) + 1)
        if count:
            self._invoke(interpreter)
        if self.latency == "known":
            return Stat((int(known_us * self._slower()),) * count)
        slower, chance = self._slower(), random.Random()
        return Stat(tuple(max(1, int(known_us * slower * chance.gauss(1.0, NOISE))) for _ in range(count)))

    def _runs(self, interpreter: Any, least: int, least_s: float, most_s: float) -> Stat:
        slower = self._slower()
        runs_us: list[int] = []
        begun = time.perf_counter()
        while (len(runs_us) < least or time.perf_counter() < begun + least_s) and (
            time.perf_counter() <= begun + most_s
        ):
            runs_us.append(int(self._invoke(interpreter) * slower))
        return Stat(tuple(runs_us))

    def _invoke(self, interpreter: Any) -> float:
        """Microseconds of one run."""
        begun = time.perf_counter_ns()
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise _Failed(str(error), "Failed to invoke!") from error
        return (time.perf_counter_ns() - begun) / 1000

    def _slower(self) -> float:
        try:
            return float(self.caller.path(f"{_OWN}/slower").read_text())
        except OSError:
            return 1.0

    def _fault(self) -> None:
        """Let the fault happen that waits for this run."""
        for name in ("runner_crash", "runner_garbage"):
            try:
                self.caller.path(f"{_OWN}/{name}").unlink()
            except FileNotFoundError:
                continue
            if name == "runner_crash":
                self._end("", signal.SIGSEGV)
            os.write(1, _GARBAGE)
            os._exit(0)

    @property
    def _lacks(self) -> frozenset[str]:
        """The flags that this build of the tool does not have."""
        return frozenset({"enable_op_profiling"} if self.profile == "none" else ())

    def _run_by(self, given: Given, interpreter: Any) -> Delegated:
        """Who took operators, and which."""
        return profiles.delegated(interpreter, on_gpu=given.switch("use_gpu") and self.gpu == "works")

    def _profile(self, given: Given, interpreter: Any, figures: Figures, times_us: dict[int, float]) -> None:
        once = Stat((figures.init_us,))
        init_ms = figures.init_us / 1000
        first = [
            Node("ModifyGraphWithDelegate", "ModifyGraphWithDelegate/0", init_ms * 0.7, init_ms * 0.7),
            Node("AllocateTensors", "AllocateTensors/0", init_ms * 0.3, init_ms * 0.3),
        ]
        self._say("Profiling Info for Benchmark Initialization:")
        self._say_table(console.profile(first, once, self.age))
        self._say("Operator-wise Profiling Info for Regular Benchmark Runs:")
        shares = times_us or costs.shares(interpreter)
        whole_us = figures.regular.average - (costs.OVERHEAD_US if times_us else 0.0)
        total = sum(shares.values()) or 1.0
        times_ms = {index: whole_us / 1000 * share / total for index, share in shares.items()}
        nodes = profiles.rows(self.profile, interpreter, self._run_by(given, interpreter), times_ms)
        self._say_table(console.profile(nodes, figures.regular, self.age))

    def _say_table(self, table: str) -> None:
        target = sys.stderr if self.age == "2.x" else sys.stdout
        print(table, file=target, flush=True)
