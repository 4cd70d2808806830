"""New tables get their name when they are whole. Knows nothing of what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latency_tables.errors import BadTable
from latency_tables.storage.database import Database
from latency_tables.store import LatencyTable

#: what a file is called until it is whole
PARTIAL = ".partial"


def refuse_taken(output: str) -> None:
    """Raise BadTable if something is at the address of a new table, or nothing can be."""
    if LatencyTable.exists(output):
        raise BadTable(f"{Database(output).address} exists already: choose another name")


@contextmanager
def whole(output: str) -> Iterator[str]:
    """Where to make a new table: a file gets its name at the end of the block, and leaves nothing on the way.

    What is at a URL has to be made in one transaction.
    """
    if Database(output).path is None:
        yield output
        return
    place = f"{output}{PARTIAL}"
    _remove(place)
    try:
        yield place
        Path(place).replace(output)
    finally:
        _remove(place)


def _remove(place: str) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{place}{end}").unlink(missing_ok=True)
