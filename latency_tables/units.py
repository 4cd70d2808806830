"""What a table has one figure for: an operator, or several that the device runs as one. Knows no latency."""

from __future__ import annotations

from latency_tables.errors import BadOpSpec
from latency_tables.ops import OpSpec

#: operators in execution order: one, or a block that a delegate fused or that was only ever measured whole
Unit = tuple[OpSpec, ...]
_JOINT = " & "


def print_unit(unit: Unit) -> str:
    """The text form: the operators' own, joined by ` & `."""
    return _JOINT.join(map(str, unit))


def parse_unit(text: str) -> Unit:
    """The unit of a text form.

    Raises:
        BadOpSpec: the text is none; the message quotes the offending part.
    """
    if not text:
        raise BadOpSpec("an empty text is no operator")
    return tuple(OpSpec.parse(part) for part in text.split(_JOINT))
