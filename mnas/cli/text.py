"""Texts from elsewhere, such as names of files, made fit for a terminal. Prints nothing."""

from __future__ import annotations

from rich import markup

from devices.text import plain


def shown(text: str) -> str:
    """A text without terminal escapes, and with bytes of a file's name that are no text as `\\xff`."""
    return plain(text).encode("utf-8", "backslashreplace").decode()


def escape(text: str) -> str:
    """The same where rich's markup counts: brackets stay brackets."""
    return markup.escape(shown(text))
