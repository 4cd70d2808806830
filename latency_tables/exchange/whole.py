"""New tables get their name when they are whole. Knows nothing of what is in them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latency_tables.errors import BadTable, TablesError
from latency_tables.storage import lock
from latency_tables.storage.copying import copy
from latency_tables.storage.database import Database, is_url
from latency_tables.storage.files import COMPANIONS, real_path
from latency_tables.store import LatencyTable

#: what a file is called until it is whole
PARTIAL = ".partial"
#: of file systems that have no second names for a file
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def refuse_taken(output: str) -> None:
    """Raise BadTable if something is at the address of a new table, or nothing can be."""
    if LatencyTable.exists(output):
        raise BadTable(f"{Database(output).address} exists already: choose another name")


@contextmanager
def whole(output: str) -> Iterator[str]:
    """Where to make a new table: a file gets its name at the end of the block, and leaves nothing on the way.

    Nobody else builds a table there meanwhile. What is at a URL has to be made in one transaction.

    Raises:
        BadTable: somebody is at work there, or something has got the name in the meantime: it stays.
    """
    if is_url(output):
        yield output
        return
    with lock.builder(output), named_at_the_end(output) as place:
        yield place


@contextmanager
def named_at_the_end(output: str) -> Iterator[str]:
    """The same for one who holds the right to build a table at the path `output`."""
    place = f"{real_path(output)}{PARTIAL}"
    with _naming(place, output):
        remove(place)
        try:
            yield place
            if Path(f"{place}-wal").exists():  # somebody looks at it: what is in the log would stay behind
                copy(place, Path(f"{place}.copy"))
                _give_name(f"{place}.copy", output)
            else:
                _give_name(place, output)
        finally:
            remove(place)
            remove(f"{place}.copy")


def remove(place: str) -> None:
    """Remove a table's file, with the log that SQLite may have left beside it."""
    for end in ("", *COMPANIONS):
        Path(f"{place}{end}").unlink(missing_ok=True)


def _give_name(place: str, output: str) -> None:
    real = real_path(output)
    try:
        os.link(place, real)
    except FileExistsError:
        # an empty file is no table: nobody loses anything
        if not real.is_file() or real.stat().st_size:
            raise BadTable(f"{output} was made by somebody else meanwhile: choose another name") from None
        Path(place).replace(real)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        refuse_taken(output)
        Path(place).replace(real)


@contextmanager
def _naming(place: str, output: str) -> Iterator[None]:
    """Errors in the block name what the user asked for, not its draft."""
    try:
        yield
    except TablesError as error:
        error.args = tuple(str(each).replace(place, output) for each in error.args)
        raise
    except OSError as error:
        raise BadTable(f"cannot write {output}: {error.strerror or error}") from error
