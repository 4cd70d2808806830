"""One command on a device over SSH: its streams, its end, its orderly death. Knows no file and no login."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from paramiko import Channel as Session
from paramiko.ssh_exception import SSHException

from devices.errors import DeadlineExceeded, DeviceTrouble, LinkLost
from devices.shell import Output
from devices.ssh.link import Link

STDERR_KEPT_BYTES = 64 * 1024
#: what a device may print before it is taken for mad
OUTPUT_LIMIT_BYTES = 1 << 30
#: what is held for a reader of lines before the device has to wait for it
UNREAD_LIMIT_BYTES = 16 << 20
#: how long the streams of an ended command may take to run dry
DRAIN_S = 2.0
CHUNK_BYTES = 1 << 16


class SshChannel:
    """A command on the device (see `devices.transport.Channel`)."""

    def __init__(
        self,
        link: Link,
        session: Session,
        mark: bytes,
        *,
        name: str,
        end: Callable[[int], None],
        by_line: bool = True,
    ) -> None:
        """Take over a session in which a wrapped command was started.

        Args:
            link: the session's connection.
            session: the session.
            mark: of the wrapped command.
            name: what to call the command in messages.
            end: ends a process group on the device; it may fail.
            by_line: whether a reader takes the output bit by bit, and the command waits for a slow one.
        """
        self._link = link
        self._session = session
        self._name = name
        self._end = end
        self._by_line = by_line
        self._output = Output(mark)
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._searched = 0
        self._open = 2
        self._trouble: DeviceTrouble | None = None
        self._killed = False
        self._left_open = False
        self._changed = threading.Condition()
        link.begin()
        for read, take in ((session.recv, self._take_stdout), (session.recv_stderr, self._take_stderr)):
            threading.Thread(target=self._pump, args=(read, take), daemon=True, name="mnas ssh").start()

    @property
    def running(self) -> bool:
        """Whether its end has not been seen."""
        return self._open > 0 and self._output.exit_code is None and not self._killed

    def started(self, timeout_s: float) -> None:
        """Wait until the device has started the command.

        Raises:
            LinkLost: the connection broke before.
            DeadlineExceeded: it did not start in time.
        """
        with self._changed:
            if not self._wait(lambda: self._output.group is not None, timeout_s):
                raise DeadlineExceeded(f"{self._name} was not started within {timeout_s:g} s")
            if self._output.group is None:
                raise self._broken()

    def feed(self, data: bytes) -> None:
        """Send all of its standard input and end it, in the background where there is much."""
        if len(data) <= CHUNK_BYTES:
            self._feed(data)
        else:
            threading.Thread(target=self._feed, args=(data,), daemon=True, name="mnas ssh input").start()

    def finish(self, timeout_s: float) -> tuple[int, bytes, bytes]:
        """Wait for its end: the exit code and all it said.

        Raises:
            DeadlineExceeded: it still runs; it was not stopped.
            LinkLost: the connection broke before its end was seen.
            DeviceTrouble: it printed without end.
        """
        with self._changed:
            if not self._wait(lambda: self._output.exit_code is not None, timeout_s):
                raise DeadlineExceeded(self._name)
            if not self._wait(lambda: False, DRAIN_S):
                self._left_open = True
            if self._trouble:
                raise self._trouble
            if self._output.exit_code is None:
                raise self._broken()
            return self._output.exit_code, bytes(self._stdout), bytes(self._stderr)

    def said(self) -> str:
        """The end of what it said so far, for a message."""
        with self._changed:
            return bytes((self._stderr or self._stdout)[-200:]).decode(errors="replace").strip()

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send bytes (see `Channel.write`)."""
        deadline = time.monotonic() + timeout_s
        at = 0
        while at < len(data) and self.running:
            try:
                sent = self._session.send(data[at : at + CHUNK_BYTES])
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise DeadlineExceeded(f"{self._name} took no input for {timeout_s:g} s") from None
                continue
            except (SSHException, OSError, EOFError):
                return
            self._link.heard()
            at += sent

    def read_line(self, timeout_s: float) -> bytes:
        """The next line (see `Channel.read_line`).

        Raises:
            LinkLost: the connection broke.
        """
        with self._changed:
            in_time = self._wait(self._has_line, timeout_s, until_code=True)
            at = self._stdout.find(b"\n")
            if at >= 0:
                return self._take(at, 1)
            if not in_time:
                raise DeadlineExceeded(f"{self._name} gave no answer within {timeout_s:g} s")
            if self._trouble:
                raise self._trouble
            if len(self._stdout) >= UNREAD_LIMIT_BYTES:
                raise DeviceTrouble(
                    f"{self._name} printed a line of more than {UNREAD_LIMIT_BYTES >> 20} MiB"
                )
            if self._output.exit_code is None and not self._killed:
                raise self._broken()
            return self._take(len(self._stdout), 0)

    def errors(self) -> bytes:
        """What it said on standard error (see `Channel.errors`)."""
        with self._changed:
            if not self.running:
                self._wait(lambda: False, DRAIN_S)
            return bytes(self._stderr[-STDERR_KEPT_BYTES:])

    def wait(self, timeout_s: float) -> int:
        """Its exit code (see `Channel.wait`).

        Raises:
            LinkLost: the connection broke.
        """
        with self._changed:
            if not self._wait(lambda: self._output.exit_code is not None or self._killed, timeout_s):
                raise DeadlineExceeded(f"{self._name} still runs after {timeout_s:g} s")
            if self._output.exit_code is not None:
                return self._output.exit_code
            if not self._killed:
                raise self._broken()
            return 137

    def kill(self) -> None:
        """End it and everything it started. A broken link leaves that to the next connection's sweep."""
        if self.running or self._left_open:
            self._killed, self._left_open = True, False
            if self._link.alive:
                with contextlib.suppress(DeviceTrouble):
                    self._end(self._output.group or 0)
        with contextlib.suppress(SSHException, OSError, EOFError):
            self._session.close()
        with self._changed:
            self._changed.notify_all()

    def _broken(self) -> LinkLost:
        if self._link.alive:
            return LinkLost(
                f"{self._name} ended without a word on how: its shell was ended by something else"
            )
        return self._link.lost()

    def _has_line(self) -> bool:
        at = self._stdout.find(b"\n", self._searched)
        self._searched = len(self._stdout) if at < 0 else at
        return at >= 0 or len(self._stdout) >= UNREAD_LIMIT_BYTES

    def _take(self, count: int, skipped: int) -> bytes:
        line = bytes(self._stdout[:count])
        del self._stdout[: count + skipped]
        self._searched = 0
        self._changed.notify_all()
        return line

    def _wait(self, reached: Callable[[], bool], timeout_s: float, until_code: bool = False) -> bool:
        """Wait under the lock until something is so or the streams have ended; False when time is up."""

        def settled() -> bool:
            return (
                reached()
                or self._open == 0
                or self._trouble is not None
                or (until_code and self._output.exit_code is not None)
            )

        return self._changed.wait_for(settled, max(0.0, timeout_s))

    def _feed(self, data: bytes) -> None:
        at = 0
        with contextlib.suppress(SSHException, OSError, EOFError):
            while at < len(data) and self._open:
                try:
                    sent = self._session.send(data[at : at + CHUNK_BYTES])
                except TimeoutError:
                    continue
                if sent == 0:
                    return
                self._link.heard()
                at += sent
            self._session.shutdown_write()

    def _pump(self, read: Callable[[int], bytes], take: Callable[[bytes], None]) -> None:
        """Read a stream to its end, so that its writer never waits for long."""
        with contextlib.suppress(SSHException, OSError, EOFError):
            while True:
                try:
                    data = read(CHUNK_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    break
                self._link.heard()
                with self._changed:
                    take(data)
                    self._changed.notify_all()
        with self._changed:
            self._open -= 1
            last = self._open == 0
            if last:
                self._stdout += self._output.rest()
            self._changed.notify_all()
        if last:
            self._link.end()
            with contextlib.suppress(SSHException, OSError, EOFError):
                self._session.close()

    def _take_stdout(self, data: bytes) -> None:
        self._stdout += self._output.feed(data)
        if self._by_line:
            while len(self._stdout) > UNREAD_LIMIT_BYTES and self.running and self._link.alive:
                self._changed.wait(1.0)
        else:
            self._bound()

    def _take_stderr(self, data: bytes) -> None:
        self._stderr += data
        if self._by_line:
            del self._stderr[:-STDERR_KEPT_BYTES]
        else:
            self._bound()

    def _bound(self) -> None:
        if len(self._stdout) + len(self._stderr) > OUTPUT_LIMIT_BYTES:
            self._stdout.clear()
            self._stderr.clear()
            self._trouble = DeviceTrouble(
                f"{self._name} printed more than {OUTPUT_LIMIT_BYTES >> 20} MiB and was given up"
            )
