"""Inside a process that evaluates architectures: what it is told, does and says. Knows no training."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from mnas.evaluations import Finished, failure, share

#: told steps done and steps in all, between two steps
OnStep = Callable[[int, int], None]
#: makes the evaluator, in the process where it is used; a function of a module, or `functools.partial` of one
Maker = Callable[[OnStep], Callable[[Any], float]]

#: `begun` of a worker that has begun nothing yet
NOTHING = -1


class Progress(ctypes.Structure):
    """How far a worker is, in memory that it shares with its parent.

    Attributes:
        begun: number of the evaluation that it has begun, or NOTHING.
        done: training steps done.
        total: training steps in all; 0 until the first is done.
        began_ns: when it began, by the system's monotonic clock.
    """

    _fields_ = (
        ("begun", ctypes.c_int64),
        ("done", ctypes.c_int64),
        ("total", ctypes.c_int64),
        ("began_ns", ctypes.c_int64),
    )
    begun: int
    done: int
    total: int
    began_ns: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Told to a worker: evaluate a pickled architecture."""

    number: int
    architecture: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Told to a worker: wait at the next step boundary, say so, and go on when told."""

    ordinal: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Told to a worker that waits: go on."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Said by a worker: it has its evaluator."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Said by a worker, as its last word: it has no evaluator."""

    error: str
    trace: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Said by a worker: it waits as told by the pause of this ordinal."""

    ordinal: int


Said = Ready | Unusable | Waiting | Finished


def serve(connection: Connection, progress: Progress, output: Connection, make: bytes) -> None:
    """Evaluate what comes until the parent process has gone. The main function of a worker.

    Args:
        connection: to the parent.
        progress: shared with it; it has set `begun` to NOTHING.
        output: carries the descriptor to which standard output and error go.
        make: a pickled `Maker`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    faulthandler.enable(2)
    _Worker(connection, progress).run(make)


def _end_with_parent() -> NoReturn:
    """Leave at once when the parent dies, however it dies, and whatever is being computed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


class _Worker:
    """One evaluation after the other, with a look at what the parent says between two steps."""

    def __init__(self, connection: Connection, progress: Progress) -> None:
        self._connection, self._progress = connection, progress
        self._waited_s = 0.0

    def run(self, make: bytes) -> None:
        try:
            evaluator = pickle.loads(make)(self.on_step)
        except Exception as error:  # noqa: BLE001 - the parent says it to people
            trace = "".join(traceback.format_exception(error)).rstrip()
            self._say(Unusable(f"{type(error).__name__}: {error}", trace))
            return
        self._say(Ready())
        while True:
            match self._told():
                case Evaluate(number, architecture):
                    self._say(self._evaluate(evaluator, number, architecture))
                case Pause(ordinal):
                    self._wait(ordinal)

    def on_step(self, done: int, total: int) -> None:
        """Note the progress, and wait here if told to."""
        self._progress.done, self._progress.total = done, total
        while self._connection.poll():
            match self._told():
                case Pause(ordinal):
                    self._wait(ordinal)

    def _evaluate(self, evaluator: Callable[[Any], float], number: int, architecture: bytes) -> Finished:
        self._progress.began_ns = time.monotonic_ns()
        self._progress.begun = number
        self._waited_s = 0.0
        started = time.perf_counter()
        try:
            accuracy = share(evaluator(pickle.loads(architecture)))
        except Exception as error:  # noqa: BLE001 - a search of hours outlives any one candidate
            return failure(number, error, self._since(started))
        return Finished(number, accuracy, None, self._since(started))

    def _since(self, started: float) -> float:
        return time.perf_counter() - started - self._waited_s

    def _wait(self, ordinal: int) -> None:
        started = time.perf_counter()
        self._say(Waiting(ordinal))
        while not isinstance(self._told(), Resume):
            pass
        self._waited_s += time.perf_counter() - started

    def _told(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)

    def _say(self, said: Said) -> None:
        try:
            self._connection.send(said)
        except OSError:
            os._exit(1)
