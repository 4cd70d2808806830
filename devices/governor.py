"""Who chooses the frequency of a device's cores, where it tells that before it measures. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from devices.device import Device


@runtime_checkable
class TellsGovernor(Protocol):
    """A device that can be asked before it measures."""

    def governor_now(self) -> str | None:
        """As `Context.governor` of a pass begun now; None if unknown."""


def governor_now(device: Device) -> str | None:
    """The governor of a device's measuring cores as it is now; None where only measuring would tell.

    Raises:
        DevicesError: it cannot be reached.
    """
    return device.governor_now() if isinstance(device, TellsGovernor) else None


def joined(names: Iterable[str | None]) -> str | None:
    """The governors of several cores as one text, as `Context.governor` has them."""
    return ", ".join(sorted({name for name in names if name})) or None
