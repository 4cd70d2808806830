"""How hot a device may be, and how long it may keep a job waiting. Enforces nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.errors import BadSettings

#: between which a temperature limit lies, degrees Celsius; itself it is neither
TEMPERATURE_C = (0.0, 150.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job puts up with.

    Attributes:
        temperature_c: below which a batch begins, in degrees Celsius; None: it begins at any temperature.
        cooldown_s: longest wait for that.
        reconnect_s: longest wait for a device whose link broke; it may be starting anew.
    """

    temperature_c: float | None = None
    cooldown_s: float = 600.0
    reconnect_s: float = 180.0

    def __post_init__(self) -> None:
        if self.temperature_c is not None:
            check_temperature(self.temperature_c)
        for name, value in (("cooldown_s", self.cooldown_s), ("reconnect_s", self.reconnect_s)):
            if not 0 <= value < math.inf:
                raise BadSettings(f"{name} is {value}; it must be a finite number, 0 or more")


def check_temperature(limit_c: float) -> None:
    """See that a temperature limit is one.

    Raises:
        BadSettings: it is not.
    """
    low, high = TEMPERATURE_C
    if not low < limit_c < high:
        raise BadSettings(
            f"the temperature limit is {limit_c:g} °C; it must lie between {low:g} and {high:g}, "
            "and be neither of them"
        )
