"""A host's side of the ADB protocol in a few lines: the old version with checksums, many streams at once."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

from devices.emulator import EmulatedPhone, protocol
from devices.emulator.protocol import HEADER, Message

VERSION = protocol.VERSION_WITH_CHECKSUMS


def wait_until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


class Stream:
    """A stream seen from the host; its output gathers by itself."""

    def __init__(self, host: Host, local: int) -> None:
        self.host, self.local, self.remote = host, local, 0
        self.output = bytearray()
        self.ended = threading.Event()
        self.opened = threading.Event()
        self.may_send = threading.Semaphore(0)

    def send(self, data: bytes) -> None:
        assert self.opened.wait(10)
        assert self.may_send.acquire(timeout=10)
        self.host.send(Message(protocol.WRTE, self.local, self.remote, data))

    def close(self) -> None:
        assert self.opened.wait(10)
        self.host.send(Message(protocol.CLSE, self.local, self.remote))
        assert self.ended.wait(10), "no CLSE in answer"

    def wait(self, timeout_s: float = 10.0) -> bytes:
        assert self.ended.wait(timeout_s), "the stream does not end"
        return bytes(self.output)


class Host:
    """A connection without keys."""

    def __init__(self, phone: EmulatedPhone, max_payload_bytes: int = 1 << 18) -> None:
        self._sock = socket.create_connection((phone.host, phone.port), 10)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._ended = False
        self._max = max_payload_bytes
        self.send(Message(protocol.CNXN, VERSION, max_payload_bytes, b"host::\0"))
        try:
            self.greeting = self._receive()
        except OSError:
            self._sock.close()
            raise
        self._sock.settimeout(None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @staticmethod
    def answer_of(phone: EmulatedPhone) -> int | None:
        """The command with which the phone answers a host without keys."""
        try:
            with Host(phone) as host:
                return host.greeting.command
        except OSError:
            return None

    @staticmethod
    def reaches(phone: EmulatedPhone) -> bool:
        return Host.answer_of(phone) == protocol.CNXN

    def send(self, message: Message) -> None:
        with self._sending:
            self._sock.sendall(message.packed(checked=True))

    def open(self, service: str) -> Stream:
        stream = Stream(self, len(self._streams) + 1)
        self._streams[stream.local] = stream
        if self._ended:
            stream.ended.set()
            return stream
        self.send(Message(protocol.OPEN, stream.local, 0, service.encode() + b"\0"))
        return stream

    def shell(self, command: str) -> str:
        """Standard output of a command."""
        return self.shell_v2(command)[0].decode()

    def shell_v2(self, command: str) -> tuple[bytes, bytes, int | None]:
        """Output, errors and exit code of a command."""
        return unframe(self.open(f"shell,v2,raw:{command}").wait())

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._sock.close()

    def _receive(self) -> Message:
        message, length, check = protocol.parse_header(self._exactly(HEADER.size))
        payload = self._exactly(length)
        assert length <= self._max
        assert protocol.checksum(payload) == check
        return Message(message.command, message.first, message.second, payload)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._sock.recv(count - len(data))
            if not part:
                raise ConnectionError("the phone hung up")
            data += part
        return bytes(data)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._take(self._receive())
        self._ended = True
        for stream in self._streams.values():
            stream.ended.set()

    def _take(self, message: Message) -> None:
        stream = self._streams[message.second]
        if message.command == protocol.OKAY:
            stream.remote = message.first
            stream.may_send.release()
            stream.opened.set()
        elif message.command == protocol.WRTE:
            stream.output += message.payload
            self.send(Message(protocol.OKAY, stream.local, message.first))
        elif message.command == protocol.CLSE:
            if not stream.ended.is_set() and message.first:
                with contextlib.suppress(OSError):
                    self.send(Message(protocol.CLSE, stream.local, message.first))
            stream.ended.set()


def unframe(data: bytes) -> tuple[bytes, bytes, int | None]:
    """Standard output, standard error and exit code in the frames of shell v2."""
    parts: dict[int, bytes] = {}
    while data:
        kind, length = struct.unpack_from("<BI", data)
        parts[kind] = parts.get(kind, b"") + data[5 : 5 + length]
        data = data[5 + length :]
    code = parts.get(3)
    return parts.get(1, b""), parts.get(2, b""), code[0] if code else None


def frame(kind: int, data: bytes) -> bytes:
    """One frame of shell v2."""
    return struct.pack("<BI", kind, len(data)) + data
