"""Which line of a TOML text says what, and changes of single values that leave the rest of the text alone.

Knows TOML's statements. Knows nothing of what the values mean.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Value = str | int | float | bool | tuple[str, ...] | tuple[int, ...]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or an assignment.

    Attributes:
        first: index of its first line, from 0.
        end: index of the line after its last.
        paths: every path of keys to a value that it sets; of a header, the path of its table.
        header: whether it is a header.
    """

    first: int
    end: int
    paths: tuple[tuple[str, ...], ...]
    header: bool


def statements(lines: Sequence[str]) -> Iterator[Statement]:
    """The statements of a valid TOML text, in order; blank lines and comments belong to none."""
    prefix: tuple[str, ...] = ()
    at = 0
    while at < len(lines):
        first = at
        at += 1
        if not lines[first].strip() or lines[first].lstrip().startswith("#"):
            continue
        parsed = _parsed(lines[first])
        while parsed is None and at < len(lines):  # an array or a text over several lines
            at += 1
            parsed = _parsed("\n".join(lines[first:at]))
        header = lines[first].lstrip().startswith("[")
        if header:
            prefix = next(_paths(parsed or {}), ())
            yield Statement(first, at, (prefix,), True)
        else:
            yield Statement(first, at, tuple((*prefix, *path) for path in _paths(parsed or {})), False)


def line_of(text: str, path: Sequence[str]) -> int:
    """The number, from 1, of the line that sets a value or, failing that, opens the table it would be in."""
    best, longest = 1, 0
    for statement in statements(_lines(text)):
        for found in statement.paths:
            shared = next((i for i, (a, b) in enumerate(zip(found, path, strict=False)) if a != b), None)
            count = min(len(found), len(path)) if shared is None else shared
            if count > longest:
                best, longest = statement.first + 1, count
    return best


def with_table(text: str, path: Sequence[str], values: Mapping[str, Value]) -> str:
    """The text with a table that has these values, and no others; all comments stay.

    A table that is there must have a header of its own. A new one is put at the end.

    Raises:
        ValueError: the table is written without a header of its own.
    """
    path = tuple(path)
    lines = _lines(text)
    found = list(statements(lines))
    opening = next((i for i, one in enumerate(found) if one.header and one.paths == (path,)), None)
    if opening is None:
        if any(one[: len(path)] == path for statement in found for one in statement.paths):
            raise ValueError("the table has no header of its own")
        gap = [""] if lines and lines[-1].strip() else []
        header = ".".join(key if _BARE.fullmatch(key) else json.dumps(key) for key in path)
        added = [f"[{header}]", *(f"{key} = {written(value)}" for key, value in values.items())]
        return "\n".join([*lines, *gap, *added]) + "\n"
    owned: list[Statement] = []
    for one in found[opening + 1 :]:
        if one.header:
            break
        owned.append(one)
    return "\n".join(_changed(lines, found[opening], owned, len(path), values)) + "\n"


def written(value: Value) -> str:
    """A value as TOML has it, on one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _changed(
    lines: Sequence[str],
    opening: Statement,
    owned: Sequence[Statement],
    depth: int,
    values: Mapping[str, Value],
) -> list[str]:
    left = dict(values)
    replaced: dict[int, list[str]] = {}
    for one in owned:
        key = one.paths[0][depth]
        old = "\n".join(lines[one.first : one.end])
        replaced.update((index, []) for index in range(one.first, one.end))
        if key in left:
            value = left.pop(key)
            same = _parsed(old) == {key: list(value) if isinstance(value, tuple) else value}
            line = old if same else f"{key} = {written(value)}{_comment(old)}"
            replaced[one.first] = line.split("\n")
        elif comment := _comment(old).strip():
            replaced[one.first] = [comment]
    last = owned[-1].end if owned else opening.end
    new = [f"{key} = {written(value)}" for key, value in left.items()]
    changed: list[str] = []
    for index, line in enumerate(lines):
        changed += new if index == last else []
        changed += replaced.get(index, [line])
    return changed + (new if last == len(lines) else [])


def _comment(statement: str) -> str:
    """The comment behind a statement of one line, with the blanks before it."""
    for found in re.finditer(r"[ \t]*#", statement):
        if "\n" not in statement and _parsed(statement[: found.start()]) is not None:
            return statement[found.start() :]
    return ""


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _paths(value: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, part in value.items():
        if isinstance(part, Mapping) and part:
            yield from ((key, *path) for path in _paths(part))
        else:
            yield (key,)
