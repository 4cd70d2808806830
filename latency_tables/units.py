"""What a table has one figure for: an operator, or several that the device runs as one. Knows no latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from latency_tables.errors import BadOpSpec
from latency_tables.ops import OpSpec

#: operators in execution order: one, or a block that a delegate fused or that was only ever measured whole
Unit = tuple[OpSpec, ...]
#: between the operators of a block in its text form
JOINT = " & "

Value = TypeVar("Value")


def print_unit(unit: Unit) -> str:
    """The text form: the operators' own, joined by ` & `."""
    return JOINT.join(map(str, unit))


@lru_cache(maxsize=8192)  # a table's units are read again with every look at it
def parse_unit(text: str) -> Unit:
    """The unit of a text form.

    Raises:
        BadOpSpec: the text is none; the message quotes the offending part.
    """
    if not text:
        raise BadOpSpec("an empty text is no operator")
    return tuple(OpSpec.parse(part) for part in text.split(JOINT))


def is_block(text: str) -> bool:
    """Whether a unit's text form is of several operators."""
    return JOINT in text


def blocks_of(texts: Iterable[str]) -> list[int]:
    """How many operators each block among these units has, in rising order."""
    return sorted(text.count(JOINT) + 1 for text in texts if is_block(text))


def kind_of(text: str) -> str:
    """The kind of a unit by its text form: the operator's; a block's are joined by ` & `."""
    return JOINT.join(part.partition("/")[0] for part in text.split(JOINT))


def retyped(by_unit: Mapping[str, Value], dtype: str) -> dict[str, Value]:
    """Values by unit under the units of another element type: the same operators, as a space has them."""
    return {
        print_unit(tuple(replace(spec, dtype=dtype, weights=None) for spec in parse_unit(unit))): value
        for unit, value in by_unit.items()
    }


class Units:
    """The units of a table, to find in networks."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._single: dict[OpSpec, str] = {}
        #: by first operator, longest first
        self._joint: dict[OpSpec, list[tuple[Unit, str]]] = {}
        for text in sorted(texts):
            unit = parse_unit(text)
            if len(unit) == 1:
                self._single[unit[0]] = text
            else:
                self._joint.setdefault(unit[0], []).append((unit, text))
        for units in self._joint.values():
            units.sort(key=lambda one: -len(one[0]))

    @property
    def single(self) -> bool:
        """Whether each unit is one operator."""
        return not self._joint

    def split(self, specs: Sequence[OpSpec]) -> tuple[list[tuple[str, int]], list[OpSpec]]:
        """The units of a network: at each place the longest that fits.

        Args:
            specs: in execution order; where all units are single operators, the order counts for nothing.

        Returns:
            Text form and number of operators of each unit, in order; and the operators that are in none.
        """
        found: list[tuple[str, int]] = []
        missing: list[OpSpec] = []
        place = 0
        while place < len(specs):
            spec = specs[place]
            for unit, text in self._joint.get(spec, ()):
                if tuple(specs[place : place + len(unit)]) == unit:
                    found.append((text, len(unit)))
                    place += len(unit)
                    break
            else:
                if (one := self._single.get(spec)) is None:
                    missing.append(spec)
                else:
                    found.append((one, 1))
                place += 1
        return found, missing
