"""The machine this runs on, as a transport: processes and files. Knows nothing of measuring."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from devices.errors import DeadlineExceeded, DeviceTrouble
from devices.text import one_line
from devices.transport import Channel, CommandResult

STDERR_KEPT_BYTES = 64 * 1024
#: how long the streams of an ended process may take to run dry
DRAIN_S = 2.0


class LocalTransport:
    """Runs commands and processes here, each in a process group of its own that is ended as a whole."""

    def __init__(self) -> None:
        self._channels: list[LocalChannel] = []

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        """Run a command to its end (see `Transport.run`)."""
        deadline = time.monotonic() + timeout_s
        try:
            process = _start(command)
        except OSError as error:
            return CommandResult(
                127 if isinstance(error, FileNotFoundError) else 126, b"", _reason(error).encode()
            )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        streams = (_Drain(process.stdout), _Drain(process.stderr))
        feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
        feeder.start()
        try:
            ended = _has_ended(process, deadline)
        finally:
            _kill_group(process)
        for stream in streams:
            stream.join(DRAIN_S)
        stdout, stderr = (bytes(stream.content) for stream in streams)
        if not ended:
            said = one_line((stderr or stdout)[-200:].decode(errors="replace"))
            raise DeadlineExceeded(
                f"{command[0]} did not end within {timeout_s:g} s and was stopped"
                + (f"; it said: {said}" if said else "")
            )
        return CommandResult(_exit_code(process.returncode), stdout, stderr)

    def spawn(self, command: Sequence[str]) -> Channel:
        """Start a process and talk to it (see `Transport.spawn`)."""
        try:
            process = _start(command)
        except OSError as error:
            raise DeviceTrouble(f"cannot start {command[0]}: {_reason(error)}") from error
        channel = LocalChannel(process, str(command[0]))
        self._channels = [each for each in self._channels if each.running] + [channel]
        return channel

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:  # noqa: ARG002 - a disk has no deadline
        """Write a file, whole or not at all (see `Transport.push`)."""
        target = Path(path)
        try:
            with tempfile.NamedTemporaryFile(
                dir=target.parent, prefix=f".{target.name}.", delete=False
            ) as file:
                try:
                    file.write(content)
                    file.close()
                    Path(file.name).replace(target)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise DeviceTrouble(f"cannot write {path}: {_reason(error)}") from error

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:  # noqa: ARG002 - a disk has no deadline
        """Read a file (see `Transport.pull`)."""
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise DeviceTrouble(f"cannot read {path}: {_reason(error)}") from error

    def close(self) -> None:
        """End every process still running."""
        for channel in self._channels:
            channel.kill()
        self._channels = []


class LocalChannel:
    """A process on this machine (see `Channel`)."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._name = name
        self._stdin, self._stdout = process.stdin, process.stdout
        self._pending = b""
        self._stderr = _Drain(process.stderr, STDERR_KEPT_BYTES)
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def running(self) -> bool:
        """Whether the process has not been waited for yet."""
        return self._process.returncode is None

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send bytes (see `Channel.write`)."""
        deadline = time.monotonic() + timeout_s
        rest = memoryview(data)
        while rest and not self._stdin.closed:
            try:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not _ready(self._stdin, select.POLLOUT, left):
                    raise DeadlineExceeded(f"{self._name} took no input for {timeout_s:g} s") from None
            except BrokenPipeError:
                return

    def read_line(self, timeout_s: float) -> bytes:
        """The next line (see `Channel.read_line`)."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            if self._stdout.closed:
                return b""
            if not _ready(self._stdout, select.POLLIN, deadline - time.monotonic()):
                raise DeadlineExceeded(f"{self._name} gave no answer within {timeout_s:g} s")
            chunk = os.read(self._stdout.fileno(), 1 << 16)
            if not chunk:
                line, self._pending = self._pending, b""
                return line
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def errors(self) -> bytes:
        """What it said on standard error (see `Channel.errors`)."""
        if not self.running:
            self._stderr.join(DRAIN_S)
        return bytes(self._stderr.content)

    def wait(self, timeout_s: float) -> int:
        """Its exit code (see `Channel.wait`)."""
        if self.running and not _has_ended(self._process, time.monotonic() + timeout_s):
            raise DeadlineExceeded(f"{self._name} still runs after {timeout_s:g} s")
        _kill_group(self._process)
        return _exit_code(self._process.returncode)

    def kill(self) -> None:
        """End it and everything it started."""
        _kill_group(self._process)
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._stdout.close()
        self._stderr.join(DRAIN_S)


class _Drain(threading.Thread):
    """Reads a stream to its end, so that its writer never waits; keeps the last `limit` bytes."""

    def __init__(self, stream: IO[bytes], limit: int | None = None) -> None:
        super().__init__(daemon=True)
        self.content = bytearray()
        self._stream = stream
        self._limit = limit
        self.start()

    def run(self) -> None:
        with self._stream:
            while chunk := os.read(self._stream.fileno(), 1 << 16):
                self.content += chunk
                if self._limit is not None:
                    del self.content[: -self._limit]


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


def _ready(stream: IO[bytes], event: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), event)
    return bool(poll.poll(max(0.0, timeout_s) * 1000))


def _feed(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError), stream:
        rest = memoryview(data)
        while rest:
            rest = rest[stream.write(rest) :]


def _has_ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait for the end without reaping, so that the process group keeps its number until it is killed."""
    pause_s = 0.0005
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause_s, left))
        pause_s = min(2 * pause_s, 0.02)
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _exit_code(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
