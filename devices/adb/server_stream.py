"""One stream through an adb server: a socket, deadlines, several threads. Knows no service and no request."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator

from devices.errors import DeadlineExceeded

#: the most that is received at once
RECEIVE_BYTES = 1 << 18


class ServerStream:
    """One service in use (see `AdbStream`). A broken link looks like its end here."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._socket = connection
        self._name = name
        self._lock = threading.Lock()
        self._users = 0  # threads inside the socket; the last one closes it
        self._torn = False  # a part was sent, the rest not
        self.closed = False
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes | memoryview, timeout_s: float) -> None:
        """Send bytes (see `AdbStream.send`)."""
        deadline = time.monotonic() + timeout_s
        view = memoryview(data)
        with self._in_use() as usable, contextlib.suppress(OSError):
            while usable and view and not self.closed:
                if self._torn:
                    raise DeadlineExceeded(f"{self._name} took no more data before")
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    try:
                        self._await(select.POLLOUT, deadline, f"took no more data within {timeout_s:.3g} s")
                    except DeadlineExceeded:
                        self._torn = len(view) < len(data)
                        raise

    def recv(self, timeout_s: float) -> bytes:
        """The next bytes (see `AdbStream.recv`)."""
        deadline = time.monotonic() + timeout_s
        with self._in_use() as usable, contextlib.suppress(OSError):
            while usable and not self.closed:
                try:
                    return self._socket.recv(RECEIVE_BYTES)
                except BlockingIOError:
                    self._await(select.POLLIN, deadline, f"sent nothing within {timeout_s:.3g} s")
        return b""

    def close(self) -> None:
        """End it (see `AdbStream.close`)."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits
            if not self._users:
                self._socket.close()

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[bool]:
        """Keep the socket from being closed, and its number from being given to another, while it is used."""
        with self._lock:
            usable = not self.closed
            self._users += usable
        try:
            yield usable
        finally:
            with self._lock:
                self._users -= usable
                if self.closed and not self._users:
                    self._socket.close()

    def _await(self, event: int, deadline: float, otherwise: str) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise DeadlineExceeded(f"{self._name} {otherwise}")
