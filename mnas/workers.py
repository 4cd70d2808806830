"""Several evaluations at once, each in a process of its own; one that dies costs one. Knows no search."""

from __future__ import annotations

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any

from devices.errors import DeadlineExceeded
from mnas.errors import BadInput
from mnas.evaluations import Finished
from mnas.worker_process import Evaluate, Maker, OnStep, Pause, Resume
from mnas.worker_slot import Running, Slot

__all__ = ["Maker", "OnStep", "Running", "Workers", "usable_cores"]

#: seconds between two looks at what no message tells: whether processes live, and how far they are
LOOK_EVERY_S = 0.25
#: seconds until every worker has to be at a step boundary: starting, tracing and validating count as steps
PAUSE_S = 600.0


class Workers:
    """`Evaluations` in persistent processes, each with its own TensorFlow, evaluator and data.

    The evaluator is made in the worker. A worker computes with the usable cores divided by the number of
    workers as threads; so the same architecture gets the same accuracy from every worker, but not always the
    one that it gets in a process with more threads (mnas.nn.training says why).

    A process that dies fails the evaluation that it had begun and is replaced. Workers do not hear Ctrl-C,
    print nothing, and end with this process, however that ends. They are daemons in the sense of
    `multiprocessing`: they can start no such processes of their own. A script that makes them at its top
    level needs `if __name__ == "__main__":` around that, as all scripts that use `multiprocessing` do.

    Args:
        make: makes the evaluator of a worker; it is given the function that the evaluator has to call
            between two training steps. It is pickled: a function of a module, or `functools.partial` of one.
        jobs: workers, 1 or more.
        on_running: told what is running, about four times a second while `next` or `paused` waits.
        pause_s: how long `paused` waits.

    Raises:
        BadInput: `jobs` or `make` cannot be used.
    """

    def __init__(
        self,
        make: Maker,
        jobs: int,
        *,
        on_running: Callable[[list[Running]], None] | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        if jobs < 1:
            raise BadInput(f"jobs is {jobs}; it must be 1 or more")
        maker = _pickled(make, "what makes the evaluator")
        threads = max(1, usable_cores() // jobs)
        self._slots = [Slot(f"worker {number + 1} of {jobs}", maker, threads) for number in range(jobs)]
        self._finished: deque[Finished] = deque()
        self._on_running = on_running or (lambda _: None)
        self._pause_s = pause_s
        self._pauses = 0
        self._paused = False
        self._refusal: BadInput | None = None
        try:
            for slot in self._slots:
                slot.provide()
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """The number of workers."""
        return len(self._slots)

    def submit(self, number: int, architecture: Any) -> None:
        """Give an evaluation to a worker that has none.

        Raises:
            BadInput: the architecture cannot be pickled.
            RuntimeError: every worker has one.
        """
        free = [slot for slot in self._slots if slot.evaluation is None]
        if not free:
            raise RuntimeError(f"each of the {self.slots} workers has an evaluation; wait for one first")
        slot = max(free, key=lambda one: one.ready)
        slot.assign(Evaluate(number, _pickled(architecture, "an architecture")))
        if not self._paused:
            slot.provide()

    def next(self) -> Finished:
        """Wait for any of the unfinished evaluations.

        Raises:
            BadInput: a worker cannot start.
            RuntimeError: there is none, or all are paused.
        """
        while not self._finished:
            if self._refusal is not None:
                raise self._refusal
            if self._paused or not self.running():
                raise RuntimeError("no evaluation is running, so none will finish")
            self._listen(LOOK_EVERY_S)
        return self._finished.popleft()

    def running(self) -> list[Running]:
        """The unfinished evaluations, and how far each is. May be called from any thread."""
        return [one for slot in self._slots if (one := slot.running()) is not None]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep all workers at a step boundary for the time of the `with`; entered once they all are.

        A worker that starts is waited for until it has started, one whose evaluator tells no steps until its
        evaluation is finished. Not to be nested.

        Raises:
            DeadlineExceeded: a worker has not come to a boundary within `pause_s`; all go on.
            BadInput: a worker cannot start.
        """
        self._paused = True
        self._pauses += 1
        deadline = time.monotonic() + self._pause_s
        try:
            for slot in self._slots:
                slot.say(Pause(self._pauses))
            while late := [slot.name for slot in self._slots if not slot.rests(self._pauses)]:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise DeadlineExceeded(
                        f"{', '.join(late)} has not come to the end of a training step within "
                        f"{self._pause_s:g} s, so this machine cannot measure; it can after the search"
                    )
                self._listen(min(left_s, LOOK_EVERY_S))
                if self._refusal is not None:
                    raise self._refusal
            yield
        finally:
            self._paused = False
            for slot in self._slots:
                slot.say(Resume())

    def close(self) -> None:
        """End all workers at once, whatever they do; what they had is lost. May be called again."""
        for slot in self._slots:
            slot.end()
        for slot in self._slots:
            slot.close()

    def _listen(self, seconds: float) -> None:
        """Take in what the workers say, waiting for so long at most; replace those that died.

        That one cannot start is kept, so that what the others have finished is handed out first.
        """
        if not self._paused and self._refusal is None:
            for slot in self._slots:
                slot.provide()
        connection.wait([sign for slot in self._slots for sign in slot.signs()], seconds)
        for slot in self._slots:
            try:
                finished = slot.hear()
            except BadInput as error:
                self._refusal = error
            else:
                self._finished.extend([] if finished is None else [finished])
        self._on_running(self.running())


def usable_cores() -> int:
    """Cores that this process may compute on, at least 1: its affinity, and its control group's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _pickled(item: Any, what: str) -> bytes:
    try:
        return pickle.dumps(item)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BadInput(
            f"{what} cannot be sent to another process: {error}; it takes functions and classes of a module"
        ) from error
