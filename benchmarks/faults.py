"""Break the bench while it measures, and count what that cost: it must be nothing.

Every job measures many models on an emulated phone, or on a real SSH server, with one fault of a seeded
random kind at a seeded random byte of its traffic; the last job has 20 faults. A job that ends early is
started again. Latencies are a known function of the model, so that a row of another model is found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from benches import Bench, BoardBench, PhoneBench, board_bench, injectable, phone_bench
from common import Verdict, at_least, finish, options, say

from devices.emulator import known_latency_ms
from devices.measurement import ModelFile
from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write

HOST_KILLED, SSHD_KILLED = "host_killed", "sshd_killed"
KINDS = (*injectable(), HOST_KILLED, SSHD_KILLED)
LEAST_OF_EACH = 3
MANY_FAULTS = 20
#: the rooms in which conditions must be back, and processes gone, once a job has ended
RESTORED_S = 60.0
#: how often a job is started, and how long a start may take
STARTS, START_S = 8, 600.0
#: passes of a job: so that a pass measured again into another one would show
PASSES = 2
#: how a start may end: done, device trouble, failures listed, killed by this program
ENDINGS = (0, 3, 4, -signal.SIGKILL)
SPEC = "conv_2d/float32/1x4x4x{channels}/1x4x4x{channels}/k1x1/s1x1/same"


@dataclass(frozen=True, slots=True)
class Job:
    """One job: its faults, each with the share (0 to 1) of a clean job's traffic at which it happens."""

    number: int
    kinds: tuple[str, ...]
    places: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to. All counts but `starts` and `fired` must be 0.

    Attributes:
        fired: faults that happened.
        lost: passes of models without a row.
        doubled: rows of a pass of a model beyond the first.
        wrong: rows whose latency is not their model's, and starts that ended as none may: in a traceback, or
            because the results did not fit each other.
        unrestored: settings that were not as before 60 s after an end of the job.
        running: processes still there then.
    """

    number: int
    kinds: tuple[str, ...]
    places: tuple[float, ...]
    starts: int
    fired: int
    seconds: float
    lost: int
    doubled: int
    wrong: int
    unrestored: int
    running: int

    @property
    def clean(self) -> bool:
        """Whether the faults cost nothing."""
        return not any((self.lost, self.doubled, self.wrong, self.unrestored, self.running))


def jobs(count: int, seed: int) -> list[Job]:
    """The campaign: every kind at least three times where there are enough jobs, then one with 20 faults."""
    generator = random.Random(seed)
    kinds = list(KINDS) * min(LEAST_OF_EACH, count // len(KINDS))
    kinds += [generator.choice(KINDS) for _ in range(count - len(kinds))]
    generator.shuffle(kinds)
    planned = [Job(number, (kind,), (_place(generator),)) for number, kind in enumerate(kinds)]
    many = tuple(generator.choice(injectable()) for _ in range(MANY_FAULTS))
    return [*planned, Job(count, many, tuple(sorted(_place(generator) for _ in many)))]


def _place(generator: random.Random) -> float:
    """Where in a clean job's traffic; not in its last bytes, which a job need not have."""
    return 0.95 * generator.random()


def models(count: int) -> list[ModelFile]:
    """Tiny models, all different."""
    specs = [OpSpec.parse(SPEC.format(channels=4 + number)) for number in range(count)]
    return [ModelFile(f"m{number:03}.tflite", write(single(spec))) for number, spec in enumerate(specs)]


class Campaign:
    """Runs jobs one after another, each on a bench of its own."""

    def __init__(self, folder: Path, count: int, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._models = models(count)
        self._arguments = arguments
        self._files: list[Path] = []
        for model in self._models:
            file = folder / "models" / model.name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(model.content)
            self._files.append(file)
        self._traffic: dict[bool, int] = {}
        self._board = threading.Lock()

    def run(self, job: Job) -> Outcome:
        """Do one job to its end, and look what it left."""
        board = SSHD_KILLED in job.kinds
        make = board_bench if board else phone_bench
        turn = self._board if board else nullcontext()  # boards are this machine, with one lease
        with turn, self._fresh(f"job-{job.number}") as folder, make(folder) as bench:
            at = [round(place * self._traffic[board]) for place in job.places]
            before = bench.settings()
            self._plan(bench, job, at)
            began = time.monotonic()
            starts = unrestored = running = killed = odd = 0
            kill_at = at[0] + bench.carried() if HOST_KILLED in job.kinds else None
            for starts in range(1, STARTS + 1):  # noqa: B007 - told afterwards
                ended = self._start(bench, folder, kill_at)
                kill_at = None
                if ended == 0:
                    break
                odd += ended not in ENDINGS
                killed += ended == -signal.SIGKILL
                if ended != 3:  # out of reach, maybe for long: that is looked at when it is back
                    left = self._left_over(bench, before)
                    unrestored, running = unrestored + left[0], running + left[1]
            left = self._left_over(bench, before)
            odd += (folder / "log").read_text(errors="replace").count("Traceback")
            lost, doubled, wrong = self._rows(folder / "results" / f"{bench.name}.jsonl")
            return Outcome(
                job.number,
                job.kinds,
                job.places,
                starts,
                bench.fired() + killed,
                time.monotonic() - began,
                lost,
                doubled,
                wrong + odd,
                unrestored + left[0],
                running + left[1],
            )

    def _plan(self, bench: Bench, job: Job, at: Sequence[int]) -> None:
        for kind, place in zip(job.kinds, at, strict=True):
            if isinstance(bench, BoardBench):
                bench.cut_after(place)
            elif isinstance(bench, PhoneBench) and kind != HOST_KILLED:
                bench.inject(kind, place, self._arguments.seconds)

    def prepare(self, planned: Sequence[Job]) -> None:
        """Measure the bytes of a job without faults, once for each kind of bench."""
        for board in {SSHD_KILLED in job.kinds for job in planned}:
            make = board_bench if board else phone_bench
            with self._fresh("clean-board" if board else "clean-phone") as folder, make(folder) as bench:
                begin = bench.carried()
                if (code := self._start(bench, folder, None)) != 0:
                    raise SystemExit(
                        f"a job without faults ended with {code}:\n{(folder / 'log').read_text()}"
                    )
                self._traffic[board] = bench.carried() - begin

    def _start(self, bench: Bench, folder: Path, kill_at: int | None) -> int:
        """Start the job once; its exit code, negative for a signal."""
        command = [sys.executable, "-m", "mnas", "profile", *map(str, self._files), "-d", bench.name]
        command += ["--bench", str(folder / "bench.toml"), "-o", str(folder / "results")]
        command += [
            "--passes",
            str(PASSES),
            "--runs",
            "2",
            "--min-time",
            "0",
            "--deadline",
            "20",
            "--wait",
            "90",
        ]
        environment = {**os.environ, **bench.environment, "MNAS_STATE_DIR": str(folder / "state")}
        deadline = time.monotonic() + START_S
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                while process.poll() is None:
                    if time.monotonic() > deadline:
                        raise SystemExit(f"a job did not end:\n{(folder / 'log').read_text()[-3000:]}")
                    if kill_at is not None and bench.carried() >= kill_at:
                        process.kill()
                    time.sleep(0.01)
            finally:
                process.kill()
                process.wait()
        return process.returncode

    def _rows(self, journal: Path) -> tuple[int, int, int]:
        """Passes without a row, rows too many, rows that are wrong, read from the file itself."""
        found: Counter[tuple[str, int]] = Counter()
        wrong = 0
        for line in journal.read_text().splitlines()[1:]:
            row = json.loads(line).get("pass")
            if row is not None:
                found[row["sha256"], row["index"]] += 1
                latency_ms = row["summary"]["median_ms"]
                wrong += abs(latency_ms - known_latency_ms(row["sha256"])) > 1e-6
        known = {(model.sha256, index) for model in self._models for index in range(PASSES)}
        wrong += sum(count for key, count in found.items() if key not in known)
        return len(known - set(found)), sum(count - 1 for count in found.values()), wrong

    @staticmethod
    def _left_over(bench: Bench, before: dict[str, str]) -> tuple[int, int]:
        """Settings that differ, and processes that run, once their time is over."""
        deadline = time.monotonic() + RESTORED_S
        while True:
            changed, running = [], []
            with contextlib.suppress(OSError):  # a phone that is starting anew
                now = bench.settings()
                changed = [name for name, value in before.items() if now.get(name) != value]
                running = bench.running()
            if not changed and not running:
                return 0, 0
            if time.monotonic() > deadline:
                return len(changed), len(running)
            time.sleep(0.2)

    @contextmanager
    def _fresh(self, name: str) -> Iterator[Path]:
        folder = self._folder / name
        folder.mkdir()
        yield folder


def main() -> NoReturn:
    """Run the campaign."""
    parser = options(__doc__ or "")
    parser.add_argument("--jobs", type=at_least(1), default=50, help="with one fault each")
    parser.add_argument("--models", type=at_least(1), default=200, help="of each job")
    parser.add_argument("--seconds", type=float, default=3.0, help="that a fault lasts")
    parser.add_argument("--lanes", type=at_least(1), default=2, help="jobs at a time, each on its own bench")
    parser.add_argument("--seed", type=int, default=0, help="of kinds and places")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only jobs of these kinds, once each")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.models = min(arguments.models, 20)
        arguments.kind = arguments.kind or ["corrupt", SSHD_KILLED]
    planned = jobs(arguments.jobs, arguments.seed)
    if arguments.kind:
        generator = random.Random(arguments.seed)
        planned = [Job(i, (kind,), (_place(generator),)) for i, kind in enumerate(arguments.kind)]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="mnas-faults-") as folder:
        campaign = Campaign(Path(folder), arguments.models, arguments)
        campaign.prepare(planned)
        with ThreadPoolExecutor(arguments.lanes) as lanes:
            for outcome in lanes.map(campaign.run, planned):
                outcomes.append(outcome)
                say(arguments, _line(outcome))
    finish(arguments, _document(outcomes, arguments), _verdict(outcomes, arguments.seed))


def _line(one: Outcome) -> str:
    kinds = ", ".join(f"{kind} at {place:.1%}" for kind, place in zip(one.kinds, one.places, strict=True))
    text = kinds if len(one.kinds) == 1 else f"{len(one.kinds)} faults, {one.fired} of them in time"
    return (
        f"job {one.number:3}  {text:32} {one.starts} starts {one.seconds:6.1f} s  lost {one.lost} doubled "
        f"{one.doubled} wrong {one.wrong} unrestored {one.unrestored} still running {one.running}"
    )


def _document(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "seed": arguments.seed,
        "models": arguments.models,
        "fault_s": arguments.seconds,
        "jobs": [asdict(one) for one in outcomes],
        "kinds": dict(Counter(kind for one in outcomes for kind in one.kinds)),
    }


def _verdict(outcomes: Sequence[Outcome], seed: int) -> Verdict:
    names = ("lost", "doubled", "wrong", "unrestored", "running")
    totals = {name: sum(getattr(one, name) for one in outcomes) for name in names}
    faults = sum(len(one.kinds) for one in outcomes)
    said = ", ".join(f"{totals[name]} {'still running' if name == 'running' else name}" for name in names)
    quiet = sum(not one.fired for one in outcomes)
    if quiet:
        said += f", {quiet} jobs whose fault came too late to happen"
    return Verdict(
        not any(totals.values()) and not quiet,
        f"{len(outcomes)} jobs with {faults} faults (seed {seed}): {said}; the goal is 0",
    )


if __name__ == "__main__":
    main()
