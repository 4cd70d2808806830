"""What fields of kept records may hold, and which have to be there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from mnas.errors import BadRun
from mnas.records import (
    ABOVE_0,
    COSTS,
    COUNT,
    COUNTS,
    NOTHING,
    NUMBER,
    SHARE,
    TEXT,
    Kind,
    check,
    require_fields,
)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (COUNT, [0, 7], [-1, 1.0, True, "1", None, 10**400]),
        (COUNTS, [[], [0, 1]], [(0,), [0.0], [-1], [True], None, {}, "01"]),
        (NUMBER, [0, -1.5], [math.nan, math.inf, True, "1", None, 10**400]),
        (ABOVE_0, [1e-9, 3], [0, -1, math.nan]),
        (SHARE, [0, 0.5, 1], [1.01, -0.1, math.nan, "x"]),
        (SHARE | NOTHING, [None, 0.5], ["x", 2]),
        (COSTS, [{}, {"a": 1.0}], [None, [], {"a": "x"}, {"a": 0}, {"a": math.nan}, {"a": None}]),
        (TEXT, [""], [None, 1, []]),
    ],
)
def test_what_a_field_may_hold(kind: Kind, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not kind.holds(value)] == []
    assert [value for value in bad if kind.holds(value)] == []


def test_messages_say_what_was_found_and_what_is_allowed() -> None:
    kinds = {"share": SHARE | NOTHING}
    check({}, kinds)
    check({"share": 1}, kinds)
    with pytest.raises(BadRun, match=r"^share is 'x'; it must be a number from 0 to 1 or null$"):
        check({"share": "x"}, kinds)
    with pytest.raises(BadRun, match="no field 'shares'; allowed: share"):
        check({"shares": 1}, kinds)
    with pytest.raises(BadRun, match=r"share is 'x{59}\.\.\.; it"):
        check({"share": "x" * 1000}, kinds)


def test_a_field_without_a_default_has_to_be_there() -> None:
    @dataclass
    class Record:
        one: int
        two: str
        three: list[int] = field(default_factory=list)
        four: int = 4

    require_fields({"one": 1, "two": ""}, Record)
    with pytest.raises(BadRun, match=r"^missing field\(s\): one, two$"):
        require_fields({"three": []}, Record)
