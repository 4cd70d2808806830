"""Files over adb's sync service, version 1. Knows one open stream; not where on the device files belong.

The format is that of `SYNC.TXT` in Android's adb sources: four letters, a length or number, and what follows.
"""

from __future__ import annotations

import stat
import struct
import time
from collections.abc import Iterator

from devices.adb.connection import AdbStream
from devices.errors import DeviceTrouble, LinkLost

#: the longest chunk of a file, by the protocol
CHUNK_BYTES = 64 * 1024
#: chunks sent in one go
_CHUNKS = 8
_WORD = struct.Struct("<4sI")
_STAT = struct.Struct("<3I")
#: the longest path and the longest message that the protocol's other end takes or gives
PATH_BYTES = 1024
_MESSAGE_BYTES = 64 * 1024


class SyncFailed(Exception):
    """The device said why it cannot do it. Never leaves this package."""


class SyncService:
    """One sync stream in use, until a deadline."""

    def __init__(self, stream: AdbStream, deadline: float) -> None:
        """Use a stream.

        Args:
            deadline: when everything has to be done, by `time.monotonic`.
        """
        self._stream = stream
        self._deadline = deadline
        self._pending = memoryview(b"")

    def is_directory(self, path: str) -> bool:
        """Whether there is such a directory."""
        self._request(b"STAT", path + "/.")
        if self._read(4) != b"STAT":
            raise DeviceTrouble("the device answered a question for a file with something else")
        mode, _, _ = _STAT.unpack(self._read(_STAT.size))
        return stat.S_ISDIR(mode)

    def send(self, path: str, content: bytes, mode: int) -> None:
        """Write a file.

        Raises:
            SyncFailed: the device cannot.
            DeadlineExceeded, LinkLost: of the stream.
        """
        self._request(b"SEND", f"{path},{mode | stat.S_IFREG}")
        for block in _blocks(content):
            self._stream.send(block, self._left)
        self._stream.send(_WORD.pack(b"DONE", int(time.time()) & 0xFFFF_FFFF), self._left)
        self._status(b"OKAY")

    def receive(self, path: str, most: int) -> bytes:
        """Read a file of at most so many bytes.

        Raises:
            SyncFailed: the device cannot, or the file is longer.
            DeadlineExceeded, LinkLost: of the stream.
        """
        self._request(b"RECV", path)
        chunks: list[bytes] = []
        total = 0
        while length := self._status(b"DONE", b"DATA"):
            total += length
            if total > most:
                raise SyncFailed(f"it is longer than {most} bytes")
            chunks.append(self._read(length))
        return b"".join(chunks)

    @property
    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _request(self, name: bytes, argument: str) -> None:
        encoded = argument.encode("utf-8", "surrogateescape")
        if len(encoded) > PATH_BYTES or b"\0" in encoded:
            raise SyncFailed("no path may be that long" if b"\0" not in encoded else "a path has no NUL byte")
        self._stream.send(_WORD.pack(name, len(encoded)) + encoded, self._left)

    def _status(self, done: bytes, data: bytes | None = None) -> int:
        """The length of the chunk that follows; 0 when it is done."""
        while True:
            name, number = _WORD.unpack(self._read(_WORD.size))
            if name == b"FAIL":
                reason = self._read(min(number, _MESSAGE_BYTES)).decode(errors="replace")
                raise SyncFailed(reason)
            if name == done:
                return 0
            if data is None or name != data or number > CHUNK_BYTES:
                raise DeviceTrouble("the device answered with something that the sync protocol does not know")
            if number:
                return int(number)

    def _read(self, count: int) -> bytes:
        parts: list[bytes | memoryview] = []
        while count:
            if not self._pending:
                self._pending = memoryview(self._stream.recv(self._left))
                if not self._pending:
                    raise LinkLost("the device ended the transfer in the middle")
            part = self._pending[:count]
            self._pending = self._pending[len(part) :]
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _blocks(content: bytes) -> Iterator[bytes]:
    """A file as chunks with their headers, several at once: each byte is copied once."""
    view = memoryview(content)
    for begin in range(0, len(view), CHUNK_BYTES * _CHUNKS):
        parts: list[bytes | memoryview] = []
        end = min(begin + CHUNK_BYTES * _CHUNKS, len(view))
        for start in range(begin, end, CHUNK_BYTES):
            chunk = view[start : min(start + CHUNK_BYTES, end)]
            parts += [_WORD.pack(b"DATA", len(chunk)), chunk]
        yield b"".join(parts)
