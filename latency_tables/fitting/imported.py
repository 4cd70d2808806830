"""The calibration of a table as plain values, for a table that is made from its figures. Fits nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from devices.errors import BadSettings
from devices.records import from_plain, to_plain
from latency_tables.fitting.calibration import Calibration, Shape
from latency_tables.fitting.context import Sizes

#: no table has a factor or a latency in milliseconds that is larger, nor a scale below its inverse
MOST = 1e9
#: likewise of relative errors, and of Student's t: beyond, arithmetic would overflow
MOST_ERROR = 10.0


def calibration_to_plain(calibration: Calibration, sizes: Sizes) -> dict[str, Any]:
    """Both as JSON knows them; sizes that figures do not depend on are null."""
    return {**to_plain(calibration), "sizes": None if sizes.typical_ms is None else to_plain(sizes)}


def calibration_from_plain(plain: Mapping[str, Any]) -> tuple[Calibration, Sizes]:
    """Both again.

    Raises:
        ValueError: a field is unknown, missing, of another kind, or says what no calibration could.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"the calibration is {plain!r}: it must be an object")  # noqa: TRY004 - as documented
    fields = dict(plain)
    sizes = fields.pop("sizes", None)
    try:
        found = from_plain(Calibration, fields), from_plain(Sizes, {} if sizes is None else sizes)
    except (BadSettings, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the calibration cannot be read: {error}") from error
    return _calibration(found[0]), found[1] if sizes is None else _sizes(found[1])


def _calibration(one: Calibration) -> Calibration:
    """The same, all figures floats.

    Raises:
        ValueError: a field says what no calibration could.
    """
    if one.shape not in get_args(Shape):
        raise ValueError(f"shape is {one.shape!r}; allowed: {', '.join(get_args(Shape))}")
    if not 0 <= one.anchors <= MOST:
        raise ValueError(f"anchors is {one.anchors:.6g}; it must lie between 0 and {MOST:g}")
    lack, left_out = one.lack_of_fit, one.left_out_percent
    return Calibration(
        one.shape,
        _within("scale", one.scale, 1 / MOST),
        _within("intercept_ms", one.intercept_ms, 0.0),
        anchors=one.anchors,
        lack_of_fit=None if lack is None else _within("lack_of_fit", lack, 0.0, MOST_ERROR),
        fit_error=_within("fit_error", one.fit_error, 0.0, MOST_ERROR),
        pass_error=_within("pass_error", one.pass_error, 0.0, MOST_ERROR),
        multiplier=_within("multiplier", one.multiplier, 0.0, MOST_ERROR),
        left_out_percent=None if left_out is None else _within("left_out_percent", left_out, 0.0),
    )


def _sizes(one: Sizes) -> Sizes:
    """Likewise."""
    if one.typical_ms is None:
        raise ValueError("typical_ms is null: sizes that figures do not depend on are null as a whole")
    least, typical, most = (
        _within(name, getattr(one, name), 1 / MOST) for name in ("least_ms", "typical_ms", "most_ms")
    )
    if not least <= typical <= most:
        raise ValueError(f"typical_ms is {typical:g}: it must lie between {least:g} and {most:g}")
    return Sizes(typical, least, most)


def _within(name: str, value: float, least: float, most: float = MOST) -> float:
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not least <= found <= most:
        raise ValueError(f"{name} is {found:g}; it must lie between {least:g} and {most:g}")
    return found
