"""A process that evaluates architectures, as its parent has it: its life and its end. Knows no search."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import IO, Any

from mnas.errors import BadInput
from mnas.evaluations import Finished
from mnas.worker_process import (
    NOTHING,
    Evaluate,
    Pause,
    Progress,
    Ready,
    Resume,
    Unusable,
    Waiting,
    serve,
)

#: processes of one slot that die one after the other before they begin an evaluation
DEATHS_IN_A_ROW = 3
#: how much of what a process wrote before it died is kept
_KEPT_BYTES = 4000
#: seconds that a process has to end by itself before it is killed
_GRACE_S = 2.0
#: read by TensorFlow and by NumPy's libraries when they start
_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
#: so that the first TensorFlow of several does not take the whole memory of a GPU
_SHARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}


@dataclass(frozen=True, slots=True)
class Running:
    """An evaluation that is not finished.

    Attributes:
        number: that it was submitted with.
        done: training steps done.
        total: training steps in all; 0 until the first is done, as while its process starts.
    """

    number: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended.

    Attributes:
        exit_code: minus the signal's number, where a signal ended it.
        last_words: the end of what it wrote to its standard streams.
        silent: whether it was ended here, because it had closed its connection.
    """

    exit_code: int
    last_words: str
    silent: bool = False

    @property
    def by_signal(self) -> bool:
        """Whether a signal ended it, as where memory runs out or a library crashes."""
        return self.exit_code < 0

    @property
    def reason(self) -> str:
        """What follows the name of the process in a sentence."""
        if self.silent:
            return "closed its connection to the search"
        if not self.by_signal:
            return f"ended itself with exit code {self.exit_code}"
        number = -self.exit_code
        name = next((one.name for one in signal.Signals if one == number), f"signal {number}")
        if number == signal.SIGKILL:
            return f"was killed ({name}), most likely because memory ran out: fewer jobs need less"
        return f"died of {name} ({signal.strsignal(number)})"


class Slot:
    """A place for one process at a time, and for the evaluation that it has.

    A process that dies fails the evaluation that it had begun. One that it had not begun goes to the next
    process, which starts when the slot is provided again.

    Args:
        name: for people.
        maker: a pickled `Maker`.
        threads: of a process.

    Attributes:
        evaluation: that is not finished.
        ready: whether the process has its evaluator.
    """

    def __init__(self, name: str, maker: bytes, threads: int) -> None:
        self.name = name
        self.evaluation: Evaluate | None = None
        self.ready = False
        self._maker, self._threads = maker, threads
        self._context = get_context("spawn")
        self._progress = self._context.RawValue(Progress, NOTHING)
        self._process: SpawnProcess | None = None
        self._connection: Connection
        self._output: IO[bytes]
        self._sent = False
        self._pause = self._deaths = 0

    def assign(self, evaluation: Evaluate) -> None:
        """Take an evaluation; `provide` gives it to the process."""
        self._reset()
        self.evaluation, self._sent = evaluation, False

    def provide(self) -> None:
        """See to it that there is a process, and that it has the evaluation."""
        if self._process is None:
            self._start()
        if self.evaluation is not None and not self._sent:
            self._sent = True
            self.say(self.evaluation)

    def say(self, message: Evaluate | Pause | Resume) -> None:
        """Tell the process something; that it is dead shows when it is listened to."""
        if self._process is not None:
            with suppress(OSError):
                self._connection.send(message)

    def signs(self) -> list[Connection | int]:
        """What to wait on for a word, or the end, of the process."""
        return [] if self._process is None else [self._connection, self._process.sentinel]

    def hear(self) -> Finished | None:
        """Take in what the process has said, and whether it has died.

        Raises:
            BadInput: no process of this slot can evaluate anything.
        """
        if self._process is None:
            return None
        dead = self._process.exitcode is not None  # first: what the dead said is all there by now
        finished = None
        try:
            while self._connection.poll():
                finished = self._heed(self._connection.recv()) or finished
        except (EOFError, OSError):
            dead = True
        return (finished or self._bury()) if dead else finished

    def rests(self, pause: int) -> bool:
        """Whether nothing is computed here, for the pause of this ordinal or for lack of a process."""
        return self._process is None or self._pause == pause

    def running(self) -> Running | None:
        """The evaluation and how far it is."""
        evaluation = self.evaluation
        if evaluation is None:
            return None
        progress = self._progress
        begun = progress.begun == evaluation.number
        return Running(evaluation.number, progress.done if begun else 0, progress.total if begun else 0)

    def end(self) -> None:
        """Ask the process to end; `close` waits for that."""
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """End the process and forget it."""
        if self._process is not None:
            self._process.terminate()
            self._forget()

    def _heed(self, said: Any) -> Finished | None:
        match said:
            case Ready():
                self.ready = True
            case Waiting(pause):
                self._pause = pause
            case Unusable(error, trace):
                raise _refusal(f"{self.name} cannot evaluate anything: {error}", trace)
            case Finished():
                self.evaluation, self._deaths = None, 0
                return said
        return None

    def _bury(self) -> Finished | None:
        evaluation, was_ready = self.evaluation, self.ready
        death = self._forget()
        if evaluation is not None and self._progress.begun == evaluation.number:
            self.evaluation, self._deaths = None, 0
            seconds = (time.monotonic_ns() - self._progress.began_ns) / 1e9
            error = f"WorkerDied: the process that trained it {death.reason}"
            return Finished(evaluation.number, None, error, seconds, death.last_words)
        self._deaths += 1
        if self._deaths == DEATHS_IN_A_ROW or not (was_ready or death.by_signal):
            advice = (
                ""
                if death.by_signal or death.last_words
                else ('; a script that searches needs `if __name__ == "__main__":` around what it does')
            )
            raise _refusal(
                f"{self.name} {death.reason} before it evaluated anything{advice}", death.last_words
            )
        return None

    def _start(self) -> None:
        """Start a process; returns long before it is ready."""
        self._reset()
        self.ready, self._sent = False, False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open while the process lives
        self._connection, theirs = self._context.Pipe()
        carrier = Connection(os.dup(self._output.fileno()), readable=False)
        environment = dict.fromkeys(_THREADS, str(self._threads)) | _SHARING
        with theirs, carrier, _deaf_to_ctrl_c(), _environment_of_children(environment):
            process = self._context.Process(
                target=serve,
                args=(theirs, self._progress, carrier, self._maker),
                name=self.name,
                daemon=True,
            )
            process.start()
            self._process = process

    def _reset(self) -> None:
        """No process writes meanwhile: there is none, or it waits for an evaluation."""
        self._progress.begun, self._progress.done, self._progress.total = NOTHING, 0, 0

    def _forget(self) -> Death:
        """Wait for the end of the process, which is near, and let go of it."""
        process, self._process = self._process, None
        assert process is not None
        deadline = time.monotonic() + _GRACE_S
        while process.exitcode is None and time.monotonic() < deadline:
            time.sleep(
                0.01
            )  # `join` with a time waits for ever where the process has closed what it was given
        silent = process.exitcode is None
        if silent:
            process.kill()
            process.join()
        size = os.fstat(self._output.fileno()).st_size
        words = os.pread(self._output.fileno(), _KEPT_BYTES, max(0, size - _KEPT_BYTES))
        death = Death(process.exitcode or 0, words.decode(errors="replace").strip(), silent)
        process.close()
        self._connection.close()
        self._output.close()
        return death


def _refusal(text: str, trace: str) -> BadInput:
    refusal = BadInput(text)
    refusal.add_note(trace)
    return refusal


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start meanwhile have SIGINT blocked; this one gets it when that is done."""
    resource_tracker.ensure_running()  # starting it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment_of_children(values: Mapping[str, str]) -> Iterator[None]:
    """Processes that start meanwhile have these variables, before they import anything."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
