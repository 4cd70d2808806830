"""The calibration of a table as plain values, for a table that is made from its figures. Fits nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.errors import BadSettings
from devices.records import from_plain, to_plain
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes


def calibration_to_plain(calibration: Calibration, sizes: Sizes) -> dict[str, Any]:
    """Both as JSON knows them; sizes that figures do not depend on are null."""
    return {**to_plain(calibration), "sizes": None if sizes.typical_ms is None else to_plain(sizes)}


def calibration_from_plain(plain: Mapping[str, Any]) -> tuple[Calibration, Sizes]:
    """Both again.

    Raises:
        ValueError: a field is unknown, missing or of another kind.
    """
    fields = dict(plain)
    sizes = fields.pop("sizes", None)
    try:
        return from_plain(Calibration, fields), from_plain(Sizes, sizes or {})
    except BadSettings as error:
        raise ValueError(str(error)) from error
