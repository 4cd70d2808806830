"""One builder per table: a lock that system or server release when its holder dies. Knows no table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devices.lock import held
from latency_tables.errors import BadTable
from latency_tables.storage.database import Database, is_url
from latency_tables.storage.files import real_path


@contextmanager
def builder(address: str) -> Iterator[None]:
    """Hold the right to build the table at `address`, a file or a URL, while the block runs.

    A file is the same by whatever symbolic link: its lock lies beside the file that the links lead to.

    Raises:
        BadTable: another process holds it; says which.
    """
    if not is_url(address):
        with exclusive(Path(f"{real_path(address)}.lock"), address):
            yield
        return
    database = Database(address)
    try:
        with database.builder_lock():
            yield
    finally:
        database.close()


@contextmanager
def exclusive(path: Path, what: str | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; it is removed afterwards.

    Args:
        what: what it guards, as the user named it; None: the path without `.lock`.

    Raises:
        BadTable: another process holds it (named by its number), or its folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(path, str(os.getpid()), keep=False))
        except BlockingIOError as error:
            raise BadTable(
                f"process {error.strerror} is at work on {what or path.with_suffix('')}: wait for it"
            ) from None
        except OSError as error:
            whose = f" of {what}" if what else ""
            raise BadTable(f"cannot write {path}{whose}: {error.strerror}") from error
        yield
