"""An Android phone without a phone: the device side of ADB, canned facts, and faults."""

from devices.emulator.faults import Fault
from devices.emulator.phone import EmulatedPhone

__all__ = ["EmulatedPhone", "Fault"]
