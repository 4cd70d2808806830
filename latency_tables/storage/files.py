"""How a latency table's SQLite file is reached, and told from others. Knows nothing of what is in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latency_tables.errors import BadTable

_MAGIC = b"SQLite format 3\x00"
#: what SQLite keeps beside a file while it is open: the log of what is not folded in yet, and its index
COMPANIONS = ("-wal", "-shm")

#: device and inode of a file: what it is, wherever its name leads to later
Identity = tuple[int, int]

#: files that this process keeps a connection to, by the path that was given and the one it led to
_held: list[tuple[Path, Path, Identity]] = []


def connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Open a file that is there; one that may not be written, or whose folder may not, for reading only.

    The file that a symbolic link leads to is meant: SQLite's log lies beside that.

    Args:
        timeout_s: how long a writer waits for another one.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    real = real_path(path)
    uri = f"{real.as_uri()}?mode=rw"
    if not (os.access(real.parent, os.W_OK) and os.access(real, os.W_OK)):
        uri = f"{real.as_uri()}?mode=ro"
        # what nobody writes now can be read without the log and its index, which could not be made
        if not any(Path(f"{real}{end}").exists() for end in COMPANIONS):
            uri += "&immutable=1"
    # SQLAlchemy's BEGIN takes in CREATE TABLE, which the driver's own transactions leave outside
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
    try:
        refuse_moved(path)  # between our look and the opening
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def real_path(path: Path | str) -> Path:
    """The absolute path that symbolic links lead to; a circle of them is left as it is."""
    return Path(os.path.realpath(path))


def make(path: Path) -> None:
    """Make an empty file if nothing is there; that it cannot be made shows when it is opened."""
    with suppress(OSError):
        os.close(os.open(real_path(path), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))


def refuse_others(path: Path) -> None:
    """Raise BadTable if a path leads to no SQLite file, or not to the one any more that is held there."""
    refuse_moved(path)
    # a file that is held was looked at then; and to close it would end SQLite's own locks
    if identity(path) in [known for *_, known in _held]:
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise BadTable(f"there is no latency table {path}: make one with `mnas table build`") from None
    except OSError as error:
        raise BadTable(f"cannot read the latency table {path}: {error.strerror}") from error
    if start != _MAGIC:
        what = "is empty" if not start else "is not an SQLite file"
        raise BadTable(f"{path} {what}, so it is no latency table: make one with `mnas table build`")


def refuse_moved(path: Path) -> None:
    """Raise BadTable if a file was held at a path, and another is there now, or none."""
    names, now = {path.absolute(), real_path(path)}, identity(path)
    if any(now != known and not names.isdisjoint(held_at) for *held_at, known in _held):
        what = "another file is in its place" if now else "it is not there any more"
        raise BadTable(
            f"the latency table {path} was removed or replaced while it was at work on: {what}. Nothing more "
            "is written to it; repeat the command once the right file is there"
        )


def identity(path: Path) -> Identity | None:
    """What file a path leads to; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def held(path: Path, connection: sqlite3.Connection) -> Iterator[None]:
    """Let `refuse_moved` know the file of an open connection while the block runs.

    If the file is not at its path any more at the end, its log is folded into it, wherever it is now, and
    emptied: so that it has all that was written, and the log does no harm to the file in its place.
    """
    known = identity(path)
    if known is None:
        raise BadTable(f"there is no latency table {path}: make one with `mnas table build`")
    real = real_path(path)
    entry = (path.absolute(), real, known)
    _held.append(entry)
    try:
        yield
    finally:
        _held.remove(entry)
        if identity(real) != known:
            _leave(real, connection)


def _leave(real: Path, connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy and not real.exists():
            for end in COMPANIONS:
                Path(f"{real}{end}").unlink(missing_ok=True)
