"""What kind of value each field of a kept record may hold. Knows neither the records nor their files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from mnas.errors import BadRun


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field may hold: in words, and as a check."""

    words: str
    holds: Callable[[Any], bool]

    def __or__(self, other: Kind) -> Kind:
        """Either of two."""
        return Kind(f"{self.words} or {other.words}", lambda value: self.holds(value) or other.holds(value))


def check(record: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """See that a record's fields hold what they may; fields that are missing are not looked for.

    Raises:
        BadRun: one does not, or there is no such field; the message says what was found and what is allowed.
    """
    for name, value in record.items():
        if name not in kinds:
            raise BadRun(f"there is no field {name!r}; allowed: {', '.join(kinds)}")
        if not kinds[name].holds(value):
            raise BadRun(f"{name} is {_brief(value)}; it must be {kinds[name].words}")


def require_fields(record: Mapping[str, Any], of: Any) -> None:
    """See that a record has every field of a dataclass but those with a default.

    Raises:
        BadRun: it does not; the message names them.
    """
    needed = [one.name for one in fields(of) if one.default is one.default_factory is MISSING]
    if missing := [name for name in needed if name not in record]:
        raise BadRun(f"missing field(s): {', '.join(missing)}")


def number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a finite number in an interval; integers that are no float are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value) and low <= value <= high
    except OverflowError:
        return False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and number(value, 0)


def _is_costs(value: Any) -> bool:
    return isinstance(value, dict) and all(map(ABOVE_0.holds, value.values()))


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


NOTHING = Kind("null", lambda value: value is None)
TEXT = Kind("a text", lambda value: isinstance(value, str))
COUNT = Kind("a whole number, 0 or more", _is_count)
COUNTS = Kind(
    "a list of whole numbers, 0 or more", lambda value: isinstance(value, list) and all(map(_is_count, value))
)
NUMBER = Kind("a finite number", number)
ABOVE_0 = Kind("a number above 0", lambda value: number(value) and value > 0)
FROM_0 = Kind("a number, 0 or more", lambda value: number(value, 0))
SHARE = Kind("a number from 0 to 1", lambda value: number(value, 0, 1))
COSTS = Kind("numbers above 0 by name", _is_costs)
