"""A search of the toy space with workers, as a script that can be killed.

Every evaluation that begins is written beside the run's directory. It ends as its architecture says: with an
accuracy, with an error, or with the death of its process. What workers need not import is imported in `main`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from mnas.architecture import Architecture
from mnas.errors import TrainingFailed
from mnas.worker_process import OnStep
from mnas.workers import Workers

STEPS = 5
#: accuracies above which an evaluation fails, and above which its process dies where processes may
FAILING, DEADLY = 0.6, 0.8


def accuracy(architecture: Architecture) -> float:
    """As tests.mnas.toy has it."""
    return int(hashlib.sha256(str(architecture).encode()).hexdigest()[:8], 16) / 16**8


class Toy:
    """Takes its time, and may fail."""

    def __init__(self, log: Path, step_s: float, deadly: bool, on_step: OnStep) -> None:
        self._log, self._step_s, self._deadly, self._on_step = log, step_s, deadly, on_step

    def __call__(self, architecture: Architecture) -> float:
        with self._log.open("a") as log:
            log.write(f"{architecture}\n")
        for step in range(STEPS):
            time.sleep(self._step_s)
            self._on_step(step + 1, STEPS)
        answer = accuracy(architecture)
        if answer > DEADLY and self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if answer > FAILING:
            raise TrainingFailed("as told")
        return answer


def main() -> None:
    from mnas.run import RunDirectory, make_run
    from mnas.search import search
    from mnas.study import RunStudy
    from tests.mnas.toy import MacsLatency, ToySpace, config

    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--controller", default="random")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--deadly", action="store_true")
    parser.add_argument("--stop", help="record:N, tell:N or next:N: killed before the N-th time of it")
    parser.add_argument("--step-s", type=float, default=0.01)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the children of background jobs ignore it
    point, _, ordinal = (options.stop or "never:0").partition(":")
    seen = 0

    def before(owner: type, method: str) -> None:
        original = getattr(owner, method)

        def wrapped(*arguments: object) -> object:
            nonlocal seen
            seen += method == point
            if method == point and seen == int(ordinal):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        setattr(owner, method, wrapped)

    before(RunDirectory, "record")
    before(RunStudy, "tell")
    before(Workers, "next")
    maker = partial(Toy, Path(f"{options.path}.evaluations"), options.step_s, options.deadly)
    wanted = config(controller=options.controller, trials=options.trials, cap_ms=2.2)
    with make_run(options.path, wanted) as run, closing(Workers(maker, options.jobs)) as workers:
        search(ToySpace(), options.controller, latency=MacsLatency(), run=run, evaluations=workers)


if __name__ == "__main__":
    main()
