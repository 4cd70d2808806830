"""The packets of adb's shell protocol, version 2. Knows no stream that they go over."""

from __future__ import annotations

import struct

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
_HEADER = struct.Struct("<BI")


def packet(kind: int, data: bytes | memoryview = b"") -> bytes:
    """One packet."""
    return b"".join((_HEADER.pack(kind, len(data)), data))


class Packets:
    """Takes received bytes apart, as they arrive. Nothing is kept but the beginning of a header."""

    def __init__(self) -> None:
        self._header = b""
        self._kind = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The pieces of packets in these bytes, each with its kind; a long packet comes in many pieces."""
        pieces: list[tuple[int, bytes]] = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                pieces.append((self._kind, piece))
                continue
            more = data[at : at + _HEADER.size - len(self._header)]
            at += len(more)
            self._header += more
            if len(self._header) == _HEADER.size:
                self._kind, self._left = _HEADER.unpack(self._header)
                self._header = b""
        return pieces
