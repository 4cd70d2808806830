"""Keeps libraries that write to the process's standard streams from doing so. Knows no library."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_KEPT_CHARACTERS = 2000


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what the block writes to file descriptors 1 and 2, also from C++, and its warnings.

    The end of it is added as a note to an exception that leaves the block. Concerns the whole process: what
    other threads write meanwhile, such as a frame of a progress display, is discarded too.
    """
    _flush()
    saved = [os.dup(1), os.dup(2)]
    try:
        with tempfile.TemporaryFile() as log, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                yield
            except Exception as error:
                _flush()
                log.seek(0)
                text = log.read().decode(errors="replace").strip()
                if text:
                    error.add_note(text[-_KEPT_CHARACTERS:])
                raise
            finally:
                _flush()
                os.dup2(saved[0], 1)
                os.dup2(saved[1], 2)
    finally:
        for descriptor in saved:
            os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
