"""What it takes to reach a device: run a command, keep a process, copy files. Knows no way of doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    Attributes:
        exit_code: as a shell reports it: 127 when there is no such program, 128 + N when signal N ended it.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0


class Channel(Protocol):
    """A process on the device, talked to line by line. Its standard error is drained all the time."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send bytes to its standard input. One that has ended takes them silently: `read_line` tells.

        Raises:
            DeadlineExceeded: it did not take them in time.
        """

    def read_line(self, timeout_s: float) -> bytes:
        """The next line of its standard output without the line end; empty when the stream has ended.

        Raises:
            DeadlineExceeded: no whole line came in time.
        """

    def errors(self) -> bytes:
        """The last 64 KiB of its standard error so far."""

    def wait(self, timeout_s: float) -> int:
        """Its exit code, in the convention of `CommandResult`.

        Raises:
            DeadlineExceeded: it still runs.
        """

    def kill(self) -> None:
        """End it and everything it started, and let go of its streams. May be called twice."""


class Transport(Protocol):
    """A way to a device. Commands are argument lists; nothing is expanded by a shell.

    Every call has a deadline and raises `DeadlineExceeded` when it passes, or `TransientError` when the link
    breaks. A command that fails is a `CommandResult`, not an error.
    """

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        """Run a command to its end; whatever it left running is ended too."""

    def spawn(self, command: Sequence[str]) -> Channel:
        """Start a process and talk to it.

        Raises:
            DeviceTrouble: it cannot be started.
        """

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        """Write a file on the device, whole or not at all.

        Raises:
            DeviceTrouble: it cannot be written.
        """

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:
        """Read a file from the device.

        Raises:
            DeviceTrouble: it cannot be read.
        """

    def close(self) -> None:
        """Let go of the device: end every process still running there. May be called twice."""
