"""A process on a phone, talked to line by line. Knows no connection, only the execution it follows."""

from __future__ import annotations

import threading
from collections.abc import Callable

from devices.adb.execution import Execution
from devices.errors import DeadlineExceeded, DevicesError, DeviceTrouble, LinkLost

STDERR_KEPT_BYTES = 64 * 1024
#: output that may wait for its reader before the process has to wait
OUTPUT_BYTES = 4 << 20
#: the longest line
LINE_BYTES = 256 << 20
#: how long a thread waits for news at a time; news wake it at once
_LONG_S = 3600.0
KILLED = 137


class AdbChannel:
    """A process on a phone (see `Channel`). A thread reads it, so that its errors are always drained."""

    def __init__(
        self, execution: Execution, name: str, end: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Follow an execution.

        Args:
            name: the command, for messages.
            end: ends on the device all that belongs to the command; raises nothing.
            lost: told when the link broke; raises nothing.
        """
        self._execution = execution
        self._name = name
        self._end = end
        self._lost = lost
        self._changed = threading.Condition()
        self._wanted = False
        self._output = bytearray()
        self._looked = 0  # no line end before this
        self._errors = bytearray()
        self._exit_code: int | None = None
        self._failure: DevicesError | None = None
        self._over = False
        self._killed = False
        self._reader = threading.Thread(target=self._follow, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether the process may still run."""
        return not self._over

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send bytes (see `Channel.write`)."""
        if self._over:
            self._raise_failure()
            return
        try:
            self._execution.write(data, timeout_s)
        except DeadlineExceeded as error:
            raise DeadlineExceeded(f"{self._name} took no input for {timeout_s:g} s") from error

    def read_line(self, timeout_s: float) -> bytes:
        """The next line (see `Channel.read_line`)."""
        with self._changed:
            self._wanted = True  # a line may be longer than what else may wait for its reader
            self._changed.notify_all()
            try:
                come = self._changed.wait_for(self._line_has_come, max(0.0, timeout_s))
            finally:
                self._wanted = False
            if not come:
                raise DeadlineExceeded(f"{self._name} gave no answer within {timeout_s:g} s")
            end = self._output.find(b"\n", self._looked)
            self._looked = 0
            if end < 0 and not self._over:
                raise DeviceTrouble(f"{self._name} printed a line longer than {LINE_BYTES} bytes")
            if end < 0:
                self._raise_failure()  # what came of a line before the link broke is no line
            line = bytes(self._output[: end if end >= 0 else None])
            del self._output[: len(line) + 1]
            self._changed.notify_all()
            return line

    def errors(self) -> bytes:
        """What it said on standard error (see `Channel.errors`)."""
        with self._changed:
            return bytes(self._errors)

    def wait(self, timeout_s: float) -> int:
        """Its exit code (see `Channel.wait`)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._over, max(0.0, timeout_s)):
                raise DeadlineExceeded(f"{self._name} still runs after {timeout_s:g} s")
            if self._exit_code is None:
                self._raise_failure()
                return KILLED
            return self._exit_code

    def kill(self) -> None:
        """End it and everything it started."""
        with self._changed:
            if self._killed:
                return
            self._killed = True
            cut_off = not self._over
            self._changed.notify_all()
        self._execution.close()
        self._reader.join()
        if cut_off:
            self._end()

    def _follow(self) -> None:
        execution = self._execution
        try:
            while not execution.over:
                with self._changed:
                    self._changed.wait_for(self._may_follow)
                    if self._killed:
                        break
                try:
                    out, err = execution.read(_LONG_S)
                except DeadlineExceeded:
                    continue
                with self._changed:
                    self._output += out
                    self._errors += err
                    del self._errors[:-STDERR_KEPT_BYTES]
                    self._changed.notify_all()
            if execution.left_open:
                self._end()
        except DevicesError as error:
            self._failure = error
        finally:
            execution.close()
            with self._changed:
                self._exit_code = execution.exit_code
                cut_off = self._exit_code is None and not self._killed
                if cut_off and self._failure is None:
                    self._failure = LinkLost(f"the link broke while {self._name} ran")
                self._over = True
                self._changed.notify_all()
            if cut_off:
                self._lost()

    def _may_follow(self) -> bool:
        return self._killed or self._wanted or len(self._output) < OUTPUT_BYTES

    def _line_has_come(self) -> bool:
        if self._output.find(b"\n", self._looked) >= 0:
            return True
        self._looked = len(self._output)
        return self._over or self._looked > LINE_BYTES

    def _raise_failure(self) -> None:
        if self._failure is not None and not self._killed:
            raise LinkLost(str(self._failure)) from self._failure
