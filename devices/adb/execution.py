"""One wrapped command on a phone, while it runs: its streams, its end. Knows nothing of other commands."""

from __future__ import annotations

import contextlib
import threading
import time

from devices.adb.connection import AdbConnection, AdbStream
from devices.adb.shell_v2 import CLOSE_STDIN, EXIT, STDERR, STDIN, STDOUT, Packets, packet
from devices.errors import DeadlineExceeded, DevicesError, DeviceTrouble, LinkLost
from devices.shell import Output, Wrapped
from devices.text import one_line
from devices.transport import CommandResult

#: how much of its input a command is sent at once
INPUT_BYTES = 64 * 1024
#: how long the streams of an ended command may take to run dry
DRAIN_S = 2.0
#: the most that a command may print
LIMIT_BYTES = 1 << 30
_SAID_BYTES = 200


class Execution:
    """A command as it runs. One thread may give it input while another takes its output.

    Attributes:
        over: nothing more will come.
        left_open: the command has ended, but something that it started holds its streams open.
    """

    def __init__(self, connection: AdbConnection, wrapped: Wrapped, timeout_s: float) -> None:
        """Start it (raises as `AdbConnection.open`)."""
        self._output = Output(wrapped.mark)
        self._packets = Packets()
        self._shell_exit_code: int | None = None
        self._ended_at: float | None = None
        self.over = False
        self.left_open = False
        self._stream: AdbStream = connection.open(f"shell,v2,raw:{wrapped.line}", timeout_s)

    @property
    def exit_code(self) -> int | None:
        """The command's, or the shell's if that was ended too; None when it is over: cut off.

        A shell that says all went well without the mark of the end has not run the command to it.
        """
        code = self._output.exit_code
        return (self._shell_exit_code or None) if code is None else code

    def write(self, data: bytes | memoryview, timeout_s: float) -> None:
        """Send bytes to its standard input (raises as `AdbStream.send`)."""
        deadline = time.monotonic() + timeout_s
        view = memoryview(data)
        for start in range(0, len(view), INPUT_BYTES):
            part = packet(STDIN, view[start : start + INPUT_BYTES])
            self._stream.send(part, deadline - time.monotonic())

    def end_input(self, timeout_s: float) -> None:
        """Let it read the end of its standard input (raises as `AdbStream.send`)."""
        self._stream.send(packet(CLOSE_STDIN), timeout_s)

    def read(self, timeout_s: float) -> tuple[bytes, bytes]:
        """The next of its output and errors, either of which may be empty.

        Raises:
            DeadlineExceeded: nothing came; an ended command whose streams stay open is over instead.
            LinkLost: the link broke.
        """
        if self._ended_at is not None:  # what it left running may hold the streams open
            timeout_s = min(timeout_s, self._ended_at + DRAIN_S - time.monotonic())
        try:
            data = self._stream.recv(timeout_s)
        except DeadlineExceeded:
            if self._ended_at is None or time.monotonic() < self._ended_at + DRAIN_S:
                raise
            self.left_open = True
            data = b""
        if not data:
            self.over = True
            return self._output.rest(), b""
        out, err = [], []
        for kind, piece in self._packets.feed(data):
            if kind == STDOUT:
                out.append(self._output.feed(piece))
            elif kind == STDERR:
                err.append(piece)
            elif kind == EXIT:
                self._shell_exit_code = piece[0]
                self.over = True
        if self._output.exit_code is not None and self._ended_at is None:
            self._ended_at = time.monotonic()
        if self.over:
            out.append(self._output.rest())
        return b"".join(out), b"".join(err)

    def close(self) -> None:
        """Hang up: the device ends it if it still runs. May be called twice."""
        self._stream.close()


def complete(
    execution: Execution, name: str, stdin: bytes, deadline: float, timeout_s: float
) -> CommandResult:
    """Give a command its input, and its output back once it has ended. The execution is closed in any case.

    Args:
        name: the command, for messages.
        deadline: when it has to have ended, by `time.monotonic`.
        timeout_s: how long that was from the beginning, for messages.

    Raises:
        DeadlineExceeded: it did not end in time; it may still run.
        LinkLost: the link broke.
        DeviceTrouble: it printed too much.
    """
    streams: tuple[list[bytes], list[bytes]] = [], []
    total = 0
    feeder = threading.Thread(target=_feed, args=(execution, stdin, deadline), daemon=True)
    try:
        if stdin:
            feeder.start()
        else:
            execution.end_input(deadline - time.monotonic())
        while not execution.over:
            for stream, piece in zip(streams, execution.read(deadline - time.monotonic()), strict=True):
                stream.append(piece)
                total += len(piece)
            if total > LIMIT_BYTES:
                raise DeviceTrouble(f"{name} printed more than {LIMIT_BYTES} bytes and was stopped")
    except DeadlineExceeded as error:
        if execution.exit_code is None:
            raise DeadlineExceeded(_late(name, timeout_s, *map(b"".join, streams))) from error
        execution.left_open = True
    finally:
        execution.close()
        if feeder.ident is not None:
            feeder.join()
    code = execution.exit_code
    if code is None:
        raise LinkLost(f"the link broke while {name} ran")
    return CommandResult(code, *map(b"".join, streams))


def _feed(execution: Execution, data: bytes, deadline: float) -> None:
    with contextlib.suppress(DevicesError):  # whoever reads its output learns of it
        execution.write(data, deadline - time.monotonic())
        execution.end_input(deadline - time.monotonic())


def _late(name: str, timeout_s: float, stdout: bytes, stderr: bytes) -> str:
    said = one_line((stderr or stdout)[-_SAID_BYTES:].decode(errors="replace"))
    return f"{name} did not end within {timeout_s:g} s and was stopped" + (
        f"; it said: {said}" if said else ""
    )
