"""The processes that a test has begun. Knows that tests share servers, whose processes come and go."""

from __future__ import annotations

from contextlib import suppress

import psutil


def running() -> set[psutil.Process]:
    """All processes below this one, but for those of a database server that tests share."""
    found = set()
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if one.name() != "postgres":
                found.add(one)
    return found
