"""Messages of the ADB protocol and the check of a host's key. Knows no sockets and no services.

The protocol is described in AOSP, packages/modules/adb/protocol.txt.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
#: arguments of AUTH
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
VERSION, VERSION_WITH_CHECKSUMS = 0x01000001, 0x01000000
MAX_PAYLOAD_BYTES = 1 << 20
HEADER = struct.Struct("<6I")
TOKEN_BYTES = 20
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")


class ProtocolError(Exception):
    """The host sent what is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its command, two arguments and payload."""

    command: int
    first: int
    second: int
    payload: bytes = b""

    def packed(self, checked: bool) -> bytes:
        """As sent, with the payload's checksum or with 0 in its place."""
        return (
            HEADER.pack(
                self.command,
                self.first,
                self.second,
                len(self.payload),
                checksum(self.payload) if checked else 0,
                self.command ^ 0xFFFFFFFF,
            )
            + self.payload
        )


def checksum(payload: bytes) -> int:
    """The sum of a payload's bytes, which the protocol calls its CRC."""
    return sum(payload) & 0xFFFFFFFF


def parse_header(header: bytes) -> tuple[Message, int, int]:
    """A message yet without its payload, the payload's length and its checksum.

    Raises:
        ProtocolError: these bytes are no header.
    """
    command, first, second, length, check, magic = HEADER.unpack(header)
    if magic != command ^ 0xFFFFFFFF:
        raise ProtocolError("bad magic")
    if length > MAX_PAYLOAD_BYTES:
        raise ProtocolError("payload too long")
    return Message(command, first, second), length, check


def key_of(text: str) -> bytes:
    """The key in the text of a `.pub` file, without the name behind it.

    Raises:
        ValueError: there is none.
    """
    words = text.split()
    try:
        key = base64.b64decode(words[0], validate=True)
        (length,) = struct.unpack_from("<I", key)
    except (IndexError, binascii.Error, struct.error) as error:
        raise ValueError("no ADB key") from error
    if len(key) != 12 + 8 * length:
        raise ValueError("an ADB key of another length")
    return key


def signed_by(key: bytes, token: bytes, signature: bytes) -> bool:
    """Whether the owner of this key signed the token: PKCS #1 version 1.5, the token in place of a SHA-1."""
    size = 4 * int.from_bytes(key[:4], "little")
    modulus: int = int.from_bytes(key[8 : 8 + size], "little")
    exponent = int.from_bytes(key[8 + 2 * size : 12 + 2 * size], "little")
    tail = b"\0" + _SHA1_PREFIX + token
    expected = b"\0\1" + b"\xff" * (size - 2 - len(tail)) + tail
    if len(signature) != size:
        return False
    decrypted = pow(int.from_bytes(signature, "big"), exponent, modulus)
    return decrypted.to_bytes(size, "big") == expected
