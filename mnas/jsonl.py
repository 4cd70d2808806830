"""Append-only files of JSON lines that survive a kill at any moment. Knows nothing of what the lines mean."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mnas.errors import BadRun

T = TypeVar("T")


def append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record as one line, on the disk when this returns; a torn last line is cut off first.

    Raises:
        ValueError: the record holds a figure that is not finite; nothing is written.
        OSError: the disk is full, or the file cannot be written; it has the file's name. What a full disk
            took of the line counts as torn.
    """
    line = json.dumps(record, allow_nan=False, separators=(", ", ": ")) + "\n"
    new = not path.exists()
    if not new:
        mend(path)
    with naming(path), path.open("ab") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file in order, none if there is no file; a torn last line is left out.

    Raises:
        BadRun: a complete line is no JSON object; the message names the line.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise BadRun(
                    f"{path}, line {number}, is not a JSON object: {line[:60]!r}; restore or remove that line"
                )
            yield record


def read_records(path: Path, read: Callable[[dict[str, Any]], T]) -> list[T]:
    """What `read` makes of each record of a file, in order.

    Raises:
        BadRun: a complete line is no JSON object, or `read` raises BadRun; the message names file and line.
    """
    found = []
    for number, record in enumerate(read_jsonl(path), start=1):
        try:
            found.append(read(record))
        except BadRun as error:
            raise BadRun(f"{path}, line {number}: {error}") from error
    return found


def mend(path: Path) -> None:
    """Cut off a last line without its end, as a kill or a full disk in the middle of a write leaves it."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 4096)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there with all of its content, or not at all.

    Raises:
        OSError: it cannot be written, or the disk is full; it has the file's name.
    """
    draft = path.with_name(path.name + ".tmp")
    with naming(path), draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in the system's errors: those of writing, such as a full disk's, come without."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
