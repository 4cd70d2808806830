"""What runs in a process namespace besides those that belong there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Set
from pathlib import Path

END_S = 5.0
#: name of a process of the phone's own that is not there from the beginning
OWN_NAME = "phone's own"
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def mark_own(own: bool) -> None:
    """Count this process among those that belong to the phone, or no longer."""
    _libc.prctl(_PR_SET_NAME, (OWN_NAME if own else "benchmark_model").encode(), 0, 0, 0)


def running(own: Set[int]) -> list[tuple[int, str]]:
    """Number and command line of everything that runs and is not among these."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        with contextlib.suppress(OSError):
            state = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            words = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if state not in "ZX" and entry.joinpath("comm").read_text().strip() != OWN_NAME:
                found.append((int(entry.name), words.strip()))
    return sorted(found)


def end_all(own: Set[int]) -> None:
    """Kill everything that runs and is not among these, and what it starts meanwhile."""
    deadline = time.monotonic() + END_S
    while (left := running(own)) and time.monotonic() < deadline:
        for pid, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
