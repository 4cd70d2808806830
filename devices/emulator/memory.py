"""How much memory this process has and may have."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def _pages() -> list[int]:
    return [int(each) for each in Path("/proc/self/statm").read_text().split()]


def resident_kb() -> int:
    """What it holds now, in KiB."""
    return _pages()[1] * (os.sysconf("SC_PAGE_SIZE") // 1024)


def peak_mb() -> float:
    """The most that it has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def allow(further_bytes: int) -> None:
    """Let it allocate so much more, and then fail."""
    limit = _pages()[0] * os.sysconf("SC_PAGE_SIZE") + further_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
