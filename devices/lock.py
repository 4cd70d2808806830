"""A lock file that one process holds and the system frees when it dies. Knows nothing of what it guards."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEXT_BYTES = 4096
#: how often a lock that another process holds is tried, and the pause between: a look at it takes a moment
TRIES, PAUSE_S = 3, 0.02


@contextmanager
def held(path: Path, text: str, *, keep: bool = True) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; no process ever waits for a dead one.

    Args:
        path: made if absent.
        text: what others read of the holder meanwhile.
        keep: whether the file stays afterwards.

    Raises:
        BlockingIOError: somebody else holds it; `strerror` is the text that they left.
        OSError: it cannot be written.
    """
    handle = _take(path)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{text}\n".encode(), 0)
        yield
    finally:
        if not keep:
            path.unlink(missing_ok=True)
        os.close(handle)


def holder(path: Path) -> str | None:
    """What the present holder of a lock file wrote, or None where nobody holds it.

    Raises:
        OSError: it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _text(handle)
    finally:
        os.close(handle)
    return None


def _take(path: Path) -> int:
    tries = 0
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        tries += 1
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = _text(handle)
            os.close(handle)
            if tries == TRIES:
                raise BlockingIOError(errno.EWOULDBLOCK, text, str(path)) from None
            time.sleep(PAUSE_S)
            continue
        if _is_current(handle, path):
            return handle
        os.close(handle)  # its last holder removed the file between our two calls
        tries = 0


def _text(handle: int) -> str:
    return os.pread(handle, TEXT_BYTES, 0).decode(errors="replace").strip() or "unknown"


def _is_current(handle: int, path: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
