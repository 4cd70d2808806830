"""The values of a measurement as plain JSON values, and back. Knows no file and no database."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from devices.errors import BadSettings

Value = TypeVar("Value")


def to_plain(value: Any) -> dict[str, Any]:
    """A value of `devices.measurement` as JSON knows it: dictionaries, lists, figures, texts."""
    return {name: _plain(part) for name, part in asdict(value).items()}


def from_plain(kind: type[Value], plain: Mapping[str, Any]) -> Value:
    """The value that `to_plain` made plain. Absent fields get their defaults, unknown ones are refused.

    Raises:
        BadSettings: a field is missing, unknown, or holds what it cannot.
    """
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type] # only dataclasses come here
    if unknown := sorted(set(plain) - known):
        raise BadSettings(f"a record of {kind.__name__} has unknown fields: {', '.join(unknown)}")
    try:
        return kind(**{name: _typed(hints[name], part) for name, part in plain.items()})
    except TypeError as error:
        raise BadSettings(f"a record of {kind.__name__} cannot be read: {error}") from error


def _plain(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items()}
    if isinstance(part, tuple | list):
        return [_plain(value) for value in part]
    return part


def _typed(hint: Any, part: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        if part is None:
            return None
        hint = next(one for one in get_args(hint) if one is not types.NoneType)
    if get_origin(hint) is tuple:
        if not isinstance(part, list):
            raise TypeError(f"{part!r} is not a list")
        return tuple(_typed(get_args(hint)[0], value) for value in part)
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(part, Mapping):
            raise TypeError(f"{part!r} is not an object")
        return from_plain(hint, part)
    wanted = (int, float) if hint is float else hint
    if isinstance(hint, type) and (
        not isinstance(part, wanted) or (isinstance(part, bool) and hint is not bool)
    ):
        raise TypeError(f"{part!r} is no {hint.__name__}")
    return part
