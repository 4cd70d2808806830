"""The messages of the adb protocol, and the link that carries them. Knows nothing of their order.

The format is that of `protocol.txt` in Android's adb sources: six little-endian words (command, two
arguments, length and checksum of the payload, the command inverted), then the payload.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

CNXN, AUTH, STLS, OPEN, OKAY, WRTE, CLSE, SYNC = (
    int.from_bytes(name, "little")
    for name in (b"CNXN", b"AUTH", b"STLS", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"SYNC")
)
#: since this version neither side sums payloads
WITHOUT_CHECKSUMS = 0x0100_0001
#: the longest payload taken here
PAYLOAD_BYTES = 1 << 20
_HEADER = struct.Struct("<6I")


class BrokenProtocol(Exception):
    """The other end does not speak adb, or broke its rules. Never leaves this package."""


class Link(Protocol):
    """A cable or a socket. One thread may read while another writes. Every failure is an `OSError`."""

    @property
    def may_hold_old(self) -> bool:
        """Whether what a phone said to an earlier user of the link may still come out of it."""

    def read(self, count: int, timeout_s: float | None) -> bytes:
        """Exactly so many bytes; `TimeoutError` when they did not come in time, `EOFError` at the end."""

    def write(self, header: bytes, payload: bytes | memoryview) -> None:
        """Write a message, all of it."""

    def interrupt(self) -> None:
        """Make reading and writing fail from now on, in other threads as well."""

    def close(self) -> None:
        """Let go of it, once nothing reads or writes any more."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came; what `first` and `second` are depends on the command."""

    command: int
    first: int
    second: int
    payload: bytes = b""


def header(command: int, first: int, second: int, payload: bytes | memoryview, checksums: bool) -> bytes:
    """The header of a message."""
    total = sum(payload) & 0xFFFF_FFFF if checksums else 0
    return _HEADER.pack(command, first, second, len(payload), total, command ^ 0xFFFF_FFFF)


def read_message(link: Link, timeout_s: float | None, checksums: bool = False) -> Message:
    """The next message of a link.

    Args:
        timeout_s: how long the header may take, None for ever; the payload has to follow soon.
        checksums: whether the payload's sum must be right.

    Raises:
        BrokenProtocol: what came is not a message.
        TimeoutError, EOFError, OSError: of the link.
    """
    command, first, second, length, total, magic = _HEADER.unpack(link.read(_HEADER.size, timeout_s))
    if magic != command ^ 0xFFFF_FFFF:
        raise BrokenProtocol("it does not speak the adb protocol")
    if length > PAYLOAD_BYTES:
        raise BrokenProtocol(f"it announced {length} bytes in one message")
    payload = link.read(length, timeout_s) if length else b""
    if checksums and total and sum(payload) & 0xFFFF_FFFF != total:
        raise BrokenProtocol("the bytes of a message do not add up to its checksum")
    return Message(command, first, second, payload)
