"""Lines and figures of a console: what the tool said, without what logs put before it. Knows no meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator

from devices.errors import UnreadableOutput
from devices.text import plain

#: characters of a console that are read; the real ones stay below a hundredth of it
MOST_CHARACTERS = 16 << 20
#: characters of a line that are read
MOST_OF_A_LINE = 8192
#: no figure that a console holds is larger (microseconds: 300 years)
LARGEST = 1e16
_DATE = r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}"
_PREFIX = re.compile(
    rf"{_DATE} +\d{{1,9}} +\d{{1,9}} [VDIWEF] [\w./-]{{1,64}} *: ?"  # logcat
    rf"|{_DATE} +\d{{1,9}}-\d{{1,9}} +\S{{1,64}} +\S{{1,64}} +[VDIWEF] +"  # Android Studio
    r"|[VDIWEF]/[\w.-]{1,64} *(?:\( *\d{1,9}\))?: ?"  # logcat, brief
    r"|[IWEF]\d{4} [\d:.]{1,32} +\d{1,9} [\w./-]{1,128}:\d{1,6}\] ?"  # absl
    r"|(?:VERBOSE|DEBUG|INFO|WARN|WARNING|ERROR): ?"
    r"|\[[\w./-]{1,128}\.(?:cc|cpp|h):\d{1,6}\] ?"
)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?")


def lines(text: str) -> Iterator[str]:
    """What is said on each line: without terminal escapes, dates, tags and severities.

    Raises:
        UnreadableOutput: the text is too long to be a console.
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableOutput(f"{len(text)} characters are no console (at most {MOST_CHARACTERS})")
    for line in text.replace("\r", "\n").split("\n"):
        said = plain(line[:MOST_OF_A_LINE])
        for _ in range(4):
            found = _PREFIX.match(said)
            if not found:
                break
            said = said[found.end() :].lstrip()
        yield said


def number(text: str) -> float | None:
    """A figure of 0 or more as C++ prints it; None for any other text."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if value <= LARGEST else None


def whole(text: str) -> int | None:
    """A whole number of 0 or more; None for any other text."""
    value = number(text)
    return int(value) if value is not None and value.is_integer() and text.isdecimal() else None


def figures(text: str) -> dict[str, float] | None:
    """Figures printed as `name=figure`, in any order; None where the text is anything else.

    `curr=7(all same)`, which stands for all other figures, is read as `curr=7`.
    """
    found: dict[str, float] = {}
    for token in text.replace("(all same)", "").split():
        name, equals, figure = token.partition("=")
        value = number(figure)
        if not equals or not name.isidentifier() or name in found or value is None:
            return None
        found[name] = value
    return found or None
