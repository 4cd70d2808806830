"""Many streams over one adb link: who gets which message, who may send next. Knows nothing of services.

One thread reads the link and never waits for anything else; one thread writes it. So neither end can make
the other wait for itself. A stream may have one unanswered WRTE in each direction, which the other end
answers with OKAY. An OKAY is held back while more than a window of received bytes waits for its reader: a
stream that nobody reads fills its window, and no more. All state is under one lock; when the link ends,
everybody who waits wakes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable

from devices.adb.messages import (
    AUTH,
    CLSE,
    CNXN,
    OKAY,
    OPEN,
    STLS,
    WRTE,
    BrokenProtocol,
    Link,
    Message,
    header,
    read_message,
)
from devices.errors import DeadlineExceeded, DeviceTrouble, LinkLost

#: received bytes that may wait for the reader of a stream before its sender has to wait
WINDOW_BYTES = 1 << 20
#: messages that may wait for the link; a phone that provokes more is not an adb daemon
QUEUE_LIMIT = 100_000
#: how long the threads of a closed connection may take to end
JOIN_S = 5.0


class Multiplexer:
    """A phone behind a link whose handshake is done (see `AdbConnection`). Owns the link."""

    def __init__(
        self, link: Link, name: str, features: frozenset[str], max_payload: int, checksums: bool
    ) -> None:
        """Begin to read and write.

        Args:
            name: the phone, for messages of errors.
            max_payload: the longest payload that the phone takes, in bytes.
            checksums: whether the phone sums payloads and wants them summed.
        """
        self.features = features
        self.name = name
        self.max_payload = max_payload
        self.lock = threading.Lock()
        self.broken: str | None = None
        self._link = link
        self._link_is_open = True
        self._checksums = checksums
        self._streams: dict[int, Stream] = {}
        self._last_id = 0
        self._outgoing: deque[tuple[int, int, int, bytes | memoryview]] = deque()
        self._to_write = threading.Condition(self.lock)
        self._threads = [
            threading.Thread(target=work, name=f"{name} {what}", daemon=True)
            for what, work in (("reader", self._read), ("writer", self._write))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the link has not broken yet."""
        return self.broken is None

    def open(self, service: str, timeout_s: float) -> Stream:
        """Start a service (see `AdbConnection.open`)."""
        payload = service.encode("utf-8", "surrogateescape") + b"\0"
        if len(payload) > self.max_payload:
            raise DeviceTrouble(
                f"{self.name} takes commands of at most {self.max_payload - 1} bytes, not "
                f"{len(payload) - 1}: pass the long part on standard input"
            )
        with self.lock:
            self._last_id += 1
            stream = Stream(self, self._last_id)
            self._streams[stream.local] = stream
            self.post(OPEN, stream.local, 0, payload)
            try:
                stream.wait_for(lambda: bool(stream.remote) or stream.ended, timeout_s, "did not answer")
            except BaseException:
                self.forget(stream)  # an OKAY that comes late is answered with CLSE
                raise
            if not stream.remote:
                raise DeviceTrouble(f"{self.name} does not offer {service.partition(':')[0]}")
            return stream

    def close(self) -> None:
        """End every stream and both threads, and let go of the link."""
        self._break("it was closed here")
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        with self.lock:
            link_is_open, self._link_is_open = self._link_is_open, False
        if link_is_open:
            self._link.close()

    def post(self, command: int, first: int, second: int, payload: bytes | memoryview = b"") -> None:
        """Put a message behind those that wait for the link. The lock is held."""
        if self.broken is None:
            self._outgoing.append((command, first, second, payload))
            self._to_write.notify()

    def forget(self, stream: Stream) -> None:
        """Take no more messages for a stream. The lock is held."""
        self._streams.pop(stream.local, None)

    def _read(self) -> None:
        try:
            while True:
                message = read_message(self._link, None, self._checksums)
                with self.lock:
                    if self.broken is not None:
                        return
                    self._take(message)
                    if len(self._outgoing) > QUEUE_LIMIT:
                        raise BrokenProtocol("it sends and takes nothing")
        except EOFError:
            self._break("the phone closed it")
        except (OSError, BrokenProtocol) as error:
            self._break(_reason(error))

    def _write(self) -> None:
        try:
            while True:
                with self.lock:
                    while not self._outgoing and self.broken is None:
                        self._to_write.wait()
                    if self.broken is not None:
                        return
                    command, first, second, payload = self._outgoing.popleft()
                self._link.write(header(command, first, second, payload, self._checksums), payload)
        except OSError as error:
            self._break(_reason(error))

    def _break(self, reason: str) -> None:
        with self.lock:
            if self.broken is not None:
                return
            self.broken = reason
            streams = list(self._streams.values())
            self._streams.clear()
            self._outgoing.clear()
            self._to_write.notify_all()
            for stream in streams:
                stream.wake()
        with contextlib.suppress(OSError):
            self._link.interrupt()

    def _take(self, message: Message) -> None:
        """Hand a message to its stream. The lock is held."""
        theirs, ours = message.first, message.second
        if message.command in (CNXN, AUTH, STLS):
            raise BrokenProtocol("the phone's adb daemon began anew")
        if message.command == OPEN:  # nothing here can be opened from there
            self.post(CLSE, 0, theirs)
            return
        stream = self._streams.get(ours)
        if message.command == CLSE:
            # those for unknown streams are answers to ours: answering them would never end
            if stream is not None and (not theirs or stream.remote in (0, theirs)):
                self.forget(stream)
                if stream.remote:
                    self.post(CLSE, ours, stream.remote)
                stream.ended = True
                stream.wake()
        elif message.command in (OKAY, WRTE):
            if stream is None:  # closed here, but the phone did not know yet
                self.post(CLSE, ours, theirs)
            elif message.command == OKAY:
                stream.take_okay(theirs)
            else:
                stream.take_data(theirs, message.payload)


class Stream:
    """One service in use (see `AdbStream`)."""

    def __init__(self, connection: Multiplexer, local: int) -> None:
        self.local = local
        self.remote = 0  # 0: not opened yet
        self.ended = False  # the phone closed it
        self._closed = False  # closed here
        self._connection = connection
        self._changed = threading.Condition(connection.lock)
        self._may_send = False
        self._received: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._owes_okay = False

    def send(self, data: bytes | memoryview, timeout_s: float) -> None:
        """Send bytes (see `AdbStream.send`)."""
        view = memoryview(data)
        for start in range(0, len(view), self._connection.max_payload):
            with self._connection.lock:
                self.wait_for(lambda: self._may_send or self._over, timeout_s, "took no more data")
                if self._over:
                    return
                self._may_send = False
                part = view[start : start + self._connection.max_payload]
                self._connection.post(WRTE, self.local, self.remote, part)

    def recv(self, timeout_s: float) -> bytes:
        """The next bytes (see `AdbStream.recv`)."""
        with self._connection.lock:
            self.wait_for(lambda: bool(self._received) or self._over, timeout_s, "sent nothing")
            if not self._received:
                return b""
            data = self._received.popleft()
            self._waiting_bytes -= len(data)
            if self._owes_okay and self._waiting_bytes <= WINDOW_BYTES and not self._over:
                self._owes_okay = False
                self._connection.post(OKAY, self.local, self.remote)
            return data

    def close(self) -> None:
        """End it (see `AdbStream.close`)."""
        with self._connection.lock:
            if not self._over:
                self._connection.forget(self)
                self._connection.post(CLSE, self.local, self.remote)
            self._closed = True
            self._received.clear()
            self.wake()

    @property
    def _over(self) -> bool:
        return self.ended or self._closed

    def wait_for(self, ready: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        """Wait until something holds or the link breaks. The lock is held, and let go while waiting."""
        connection = self._connection
        self._changed.wait_for(lambda: ready() or connection.broken is not None, max(0.0, timeout_s))
        if ready():
            return
        if connection.broken is not None:
            raise LinkLost(f"the link to {connection.name} broke: {connection.broken}")
        raise DeadlineExceeded(f"{connection.name} {otherwise} within {timeout_s:.3g} s")

    def wake(self) -> None:
        """Let those who wait look again. The lock is held."""
        self._changed.notify_all()

    def take_okay(self, remote: int) -> None:
        """The phone opened the stream, or took what was sent. The lock is held."""
        if not remote or self.remote not in (0, remote):
            raise BrokenProtocol("it answered for a stream that it does not have")
        self.remote = remote
        self._may_send = True
        self.wake()

    def take_data(self, remote: int, payload: bytes) -> None:
        """The phone sent data. The lock is held."""
        if not remote or remote != self.remote or self._owes_okay:
            raise BrokenProtocol("it sent data out of turn")
        if payload:
            self._received.append(payload)
            self._waiting_bytes += len(payload)
            self.wake()
        if self._waiting_bytes <= WINDOW_BYTES:
            self._connection.post(OKAY, self.local, self.remote)
        else:
            self._owes_okay = True


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
