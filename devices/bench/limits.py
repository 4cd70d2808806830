"""How hot a device may be, and how long it may keep a job waiting. Enforces nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.errors import BadSettings


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
        if self.temperature_c is not None and not 0 < self.temperature_c < 150:
            raise BadSettings(
                f"the temperature limit is {self.temperature_c} °C; it must lie between 0 and 150"
            )
        for name, value in (("cooldown_s", self.cooldown_s), ("reconnect_s", self.reconnect_s)):
            if not 0 <= value < math.inf:
                raise BadSettings(f"{name} is {value}; it must be a finite number, 0 or more")
