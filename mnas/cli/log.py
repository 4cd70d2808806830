"""A job's log file: what happens, each line with its time and the number of its process. Knows no job."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from devices.errors import DevicesError
from latency_tables.errors import TablesError
from mnas.cli.app import Exit, Interrupted, exit_code
from mnas.cli.output import warn
from mnas.cli.text import shown
from mnas.errors import BadInput, MnasError


class Log:
    """Appends lines to a file, whole ones, so that several jobs may share it; without a file it does nothing.

    A new file may be read by nobody but its owner; one that is there keeps its rights.
    A log that cannot be written any more ends no job: it is told once, on standard error.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._handle: int | None = None
        if path is not None:
            try:
                self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise BadInput(f"cannot write the log {path}: {error.strerror}") from error

    def __call__(self, text: str) -> None:
        """Append a text, on one line."""
        if self._handle is None:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = f"{now} [{os.getpid()}] {' '.join(shown(text).split())}\n"
        with self._lock:
            try:
                os.write(self._handle, line.encode())
            except OSError as error:
                os.close(self._handle)
                self._handle = None
                warn(f"the log {self._path} cannot be written any more: {error.strerror}")

    @property
    def or_none(self) -> Log | None:
        """The log, or None if it has no file."""
        return None if self._path is None else self

    def warn(self, text: str) -> None:
        """Append a warning, and print it on standard error."""
        warn(text)
        self(f"warning: {text}")

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@contextmanager
def logged(path: Path | None) -> Iterator[Log]:
    """A command's log: its first line is the command, its last one the error that ended it, if one did.

    Raises:
        BadInput: the file cannot be written.
    """
    log = Log(path)
    try:
        log(f"begins: {shlex.join(['mnas', *map(_without_password, sys.argv[1:])])}")
        yield log
    except (KeyboardInterrupt, Interrupted) as error:
        log(f"ends with exit code {exit_code(error):d}: interrupted")
        raise
    except (MnasError, DevicesError, TablesError, OSError) as error:
        log(f"ends with exit code {exit_code(error):d}: {error}")
        raise
    except Exception as error:
        log(f"ends unexpectedly: {error!r}")
        raise
    finally:
        log.close()


def _without_password(argument: str) -> str:
    """An argument of the command line; of a URL, also one after `--option=`, what may be shown."""
    if "://" not in argument:
        return argument
    from latency_tables.storage.database import shown as shown_address

    option, equals, url = argument.partition("=")
    if argument.startswith("-") and equals and "://" not in option:
        return f"{option}={shown_address(url)}"
    return shown_address(argument)


def ends(log: Log, code: Exit) -> Exit:
    """Note the exit code of a command that ends by itself, and pass it on."""
    log(f"ends with exit code {code:d}")
    return code
