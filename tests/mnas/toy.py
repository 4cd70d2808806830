"""A small real space with a latency and an accuracy that cost nothing, and a search over it as a script.

Run as a script it searches into a directory and writes every evaluation that it begins beside it. `--stop`
makes it kill itself with SIGKILL when it comes to a named point for the n-th time.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from optuna.study import Study

from controllers.registry import create
from mnas.architecture import Architecture
from mnas.errors import TrainingFailed
from mnas.evaluations import Evaluations, Finished, Inline
from mnas.latency import Latency
from mnas.lower import lower
from mnas.run import RunConfig, RunDirectory, make_run
from mnas.search import Status, search
from mnas.spaces.base import Choice, check_indices
from mnas.study import RunStudy

#: where the script can kill itself: while evaluating, before the result is written, before an attribute is,
#: before the study is told, before a cut-off proposal is queued again, and before the study closes a trial
POINTS = ("evaluate", "record", "note", "tell", "queue", "close")
KERNELS, EXPANSIONS, CHANNELS = (3, 5), (1, 3, 6), (8, 16, 24)


class ToySpace:
    """Stages of inverted bottlenecks with three choices each."""

    def __init__(self, stages: int = 4) -> None:
        self.name, self.resolution = "toy", 16
        self.choices = tuple(
            Choice(f"stage{stage}_{name}", options)
            for stage in range(stages)
            for name, options in (("kernel", KERNELS), ("expansion", EXPANSIONS), ("channels", CHANNELS))
        )

    def decode(self, indices: Sequence[int]) -> Architecture:
        check_indices(self.choices, indices)
        values = [choice.options[index] for choice, index in zip(self.choices, indices, strict=True)]
        blocks = [
            f"ir_r1_k{values[at]}_s1_e{values[at + 1]}_c{values[at + 2]}" for at in range(0, len(values), 3)
        ]
        return Architecture.parse(f"in_16x16x3,{','.join(blocks)},fc_10")


class Threads:
    """Evaluations in threads of this process; those that finish together come in any order."""

    def __init__(self, evaluator: Callable[[Architecture], float], slots: int) -> None:
        self.slots = slots
        self.busy: list[int] = []
        self.most = 0
        self._evaluator = evaluator
        self._pool = ThreadPoolExecutor(slots)
        self._finished: SimpleQueue[Finished] = SimpleQueue()

    def submit(self, number: int, architecture: Architecture) -> None:
        assert len(self.busy) < self.slots
        self.busy.append(number)
        self.most = max(self.most, len(self.busy))
        self._pool.submit(self._evaluate, number, architecture)

    def next(self) -> Finished:
        finished = self._finished.get(timeout=30)
        self.busy.remove(finished.number)
        return finished

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        self._pool.shutdown()

    def _evaluate(self, number: int, architecture: Architecture) -> None:
        inline = Inline(self._evaluator)
        inline.submit(number, architecture)
        self._finished.put(inline.next())


class MacsLatency:
    """A millisecond per million multiply-accumulates."""

    name = "a millisecond per million multiply-accumulates"
    quick = True

    def predict(self, architecture: Architecture) -> Latency:
        return Latency(self.predict_ms(architecture))

    def predict_ms(self, architecture: Architecture) -> float:
        return lower(architecture).macs / 1e6


def accuracy(architecture: Architecture) -> float:
    """Different for every architecture, and always the same."""
    return int(hashlib.sha256(str(architecture).encode()).hexdigest()[:8], 16) / 16**8


def config(**changes: object) -> RunConfig:
    values = {
        "space": "toy",
        "resolution": 16,
        "dataset": "none",
        "channels": 3,
        "classes": 10,
        "latency": "device",
        "target_ms": 1.5,
        "controller": "random",
        "trials": 12,
    }
    return RunConfig(**(values | changes))  # type: ignore[arg-type]  # values of a test


def run_search(
    run: RunDirectory,
    evaluator: Callable[[Architecture], float] = accuracy,
    stages: int = 4,
    evaluations: Evaluations | None = None,
) -> Status:
    few = (
        {"population": 4} if run.config.controller == "nsga2" else {}
    )  # several generations in a short search
    sampler = create(run.config.controller, run.config.seed, settings=few)
    return search(
        ToySpace(stages),
        sampler,
        accuracy=evaluator,
        latency=MacsLatency(),
        run=run,
        evaluations=evaluations,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--controller", default="random")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--cap", type=float)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--stop", help="POINT:N, where POINT is one of POINTS")
    options = parser.parse_args()
    point, _, ordinal = (options.stop or "never:0").partition(":")
    seen = dict.fromkeys(POINTS, 0)

    lock = Lock()

    def pass_by(name: str) -> None:
        with lock:
            seen[name] += 1
        if name == point and seen[name] == int(ordinal):
            os.kill(os.getpid(), signal.SIGKILL)

    def evaluate(architecture: Architecture) -> float:
        with Path(f"{options.path}.evaluations").open("a") as log:
            log.write(f"{architecture}\n")
        time.sleep(options.sleep)
        pass_by("evaluate")
        if accuracy(architecture) > 0.8:
            raise TrainingFailed("as told")
        return accuracy(architecture)

    def before(owner: type, method: str, name: str) -> None:
        original = getattr(owner, method)

        def wrapped(*arguments: object, **named: object) -> object:
            pass_by(name)
            return original(*arguments, **named)

        setattr(owner, method, wrapped)

    before(RunDirectory, "record", "record")
    before(RunStudy, "note", "note")
    before(RunStudy, "tell", "tell")
    before(Study, "add_trial", "queue")
    before(Study, "tell", "close")
    wanted = config(controller=options.controller, trials=options.trials, cap_ms=options.cap)
    with make_run(options.path, wanted) as run:
        print("open", flush=True)  # noqa: T201 - the test waits for it
        with closing(
            Inline(evaluate) if options.slots == 1 else Threads(evaluate, options.slots)
        ) as evaluations:
            run_search(run, evaluate, evaluations=evaluations)


if __name__ == "__main__":
    main()
