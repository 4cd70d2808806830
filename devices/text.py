"""Texts from devices, made fit to be shown: no control characters. Knows nothing of their meaning."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def plain(text: str) -> str:
    """A text without terminal escapes and control characters, which a runtime may print."""
    return _ESCAPES.sub("", text).strip()


def one_line(text: str) -> str:
    """A plain text whose lines are joined."""
    return "; ".join(line for line in map(plain, text.splitlines()) if line)
