"""The service that copies files, `sync:`, in its first version. Knows no messages.

The protocol is described in AOSP, packages/modules/adb/SYNC.TXT.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from devices.emulator.connection import Closed, Stream
from devices.emulator.shell import write_all

CHUNK_BYTES = 64 * 1024
_LONGEST_PATH_BYTES = 1024
_REQUEST = struct.Struct("<4sI")


def serve(stream: Stream, transferred: Callable[[bytes], bytes]) -> None:
    """Answer requests until the host says QUIT or something goes wrong.

    Args:
        stream: to the host.
        transferred: may change the content of a file on its way.

    Raises:
        Closed, OSError: the host is gone.
    """
    while True:
        name, length = _REQUEST.unpack(stream.read(_REQUEST.size))
        if length > _LONGEST_PATH_BYTES:
            return _fail(stream, "invalid path length")
        argument = os.fsdecode(stream.read(length))
        if name == b"QUIT":
            return None
        if name == b"STAT":
            stream.write(b"STAT" + struct.pack("<3I", *_status(argument)))
        elif name == b"LIST":
            stream.write(_entries(argument))
        elif name == b"RECV":
            _send_file(stream, argument, transferred)
        elif name == b"SEND":
            _receive_file(stream, argument, transferred)
        else:
            return _fail(stream, f"unknown command {name.decode(errors='replace')}")


def _fail(stream: Stream, message: str) -> None:
    said = message.encode()
    stream.write(b"FAIL" + struct.pack("<I", len(said)) + said)


def _status(path: str) -> tuple[int, int, int]:
    try:
        found = Path(path).lstat()
    except OSError:
        return 0, 0, 0
    return found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)


def _entries(path: str) -> bytes:
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 - names may be bytes that are no text
    except OSError:
        names = []
    listed = b"".join(
        b"DENT" + struct.pack("<4I", *_status(os.path.join(path, name)), len(raw)) + raw  # noqa: PTH118 - as above
        for name in (".", "..", *names)
        if (raw := os.fsencode(name))
    )
    return (listed if names else b"") + b"DONE" + bytes(16)


def _send_file(stream: Stream, path: str, transferred: Callable[[bytes], bytes]) -> None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - Path would lose a trailing slash
            while data := file.read(CHUNK_BYTES):
                stream.write(b"DATA" + struct.pack("<I", len(data)) + transferred(data))
    except OSError as error:
        what = "open" if isinstance(error, FileNotFoundError | PermissionError) else "read"
        return _fail(stream, f"{what} failed: {error.strerror}")
    return stream.write(b"DONE" + bytes(4))


def _receive_file(stream: Stream, argument: str, transferred: Callable[[bytes], bytes]) -> None:
    name, comma, mode = argument.rpartition(",")
    path = Path(name)
    if not comma or not mode.isdigit():
        _fail(stream, "missing , in ID_SEND")
        return _drain(stream)
    try:
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            path.unlink(missing_ok=True)
        file = path.open("xb", buffering=0)
    except OSError as error:
        _fail(stream, f"couldn't create file: {error.strerror}")
        return _drain(stream)
    try:
        with file:
            while (chunk := _chunk(stream)) is not None:
                data, modified = chunk
                if modified is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(int(mode)))
                    break
                if not write_all(file.fileno(), transferred(data)):
                    path.unlink(missing_ok=True)
                    # adbd first says that it failed, then throws away what still comes
                    _fail(stream, "write failed: No space left on device")
                    return _drain(stream)
    except (Closed, OSError):
        path.unlink(missing_ok=True)
        raise
    if chunk is None:
        path.unlink(missing_ok=True)
        return _fail(stream, "invalid data message")
    os.utime(path, (modified or 0, modified or 0))
    return stream.write(b"OKAY" + bytes(4))


def _chunk(stream: Stream) -> tuple[bytes, int | None] | None:
    """The next part of a file, or the time of its last change at its end; None for what is neither."""
    kind, length = _REQUEST.unpack(stream.read(_REQUEST.size))
    if kind == b"DONE":
        return b"", length
    if kind != b"DATA" or length > CHUNK_BYTES:
        return None
    return stream.read(length), None


def _drain(stream: Stream) -> None:
    while (chunk := _chunk(stream)) is not None and chunk[1] is None:
        pass
