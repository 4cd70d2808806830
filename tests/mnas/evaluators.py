"""Evaluators that do what their architecture says; as a script, a parent of workers that is to be killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mnas.accuracy import Evaluator, ProxyTraining
from mnas.data import open_dataset, split
from mnas.training_plan import TrainingPlan
from mnas.worker_process import OnStep
from mnas.workers import Workers

Order = tuple[object, ...]


class Obedient:
    """An architecture is an order: a word, and what it needs."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def __call__(self, order: Order) -> float:
        match order:
            case ("answer", float() as accuracy):
                return accuracy
            case ("process",):
                return os.getpid() / 1e8
            case ("threads",):
                return int(os.environ["TF_NUM_INTRAOP_THREADS"]) / 1e3
            case ("raise", Exception() as error):
                raise error
            case ("exit", int() as code):
                os._exit(code)
            case ("signal", int() as number):
                os.kill(os.getpid(), number)
                time.sleep(60)
            case ("crash",):
                ctypes.string_at(0)
            case ("print",):
                print("garbage", flush=True)  # noqa: T201 - it must not be seen
                os.system("echo garbage; echo garbage >&2")
                sys.stderr.write("garbage\n")
            case ("ignore",):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(60)
            case ("close",):
                os.closerange(3, 100)
                time.sleep(60)
            case ("steps", int() as steps, float() as seconds, *file):
                for step in range(1, steps + 1):
                    time.sleep(seconds)
                    for path in file:
                        with Path(str(path)).open("a") as log:
                            log.write("x")
                    self._on_step(step, steps)
        return 0.5


class FailsToUnpickle:
    """What can be sent to a process, but not received there."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return refuse, ("not here",)


def refuse(text: str) -> object:
    raise RuntimeError(text)


def broken(on_step: OnStep) -> Evaluator:
    raise ImportError("no module named so")


def killed_at_start(on_step: OnStep) -> Evaluator:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def once_killed_at_start(file: Path, on_step: OnStep) -> Obedient:
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Obedient(on_step)


def good_once(file: Path, on_step: OnStep) -> Obedient:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        raise ImportError("made twice") from None
    return Obedient(on_step)


def slow_to_start(seconds: float, on_step: OnStep) -> Obedient:
    time.sleep(seconds)
    return Obedient(on_step)


def digits(steps: int, on_step: OnStep) -> ProxyTraining:
    train, validation = split(open_dataset("digits").train(), validation_share=0.2, seed=0)
    return ProxyTraining(train, validation, TrainingPlan(steps=steps), 3, on_step)


def main() -> None:
    """Evaluate something endless in two workers; the ids of the processes are printed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the children of background jobs ignore it
    with closing(Workers(Obedient, 2)) as workers:
        for number in range(2):
            workers.submit(number, ("process",))
        ids = {round(workers.next().accuracy * 1e8) for _ in range(2)}
        for number in range(2):
            workers.submit(number, ("steps", 10**6, 0.01))
        print(*ids, flush=True)  # noqa: T201 - the test reads it
        workers.next()


if __name__ == "__main__":
    main()
