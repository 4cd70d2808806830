"""An Android phone without a phone: the device side of ADB, canned facts, and faults."""

from devices.emulator.faults import Fault
from devices.emulator.phone import BENCHMARK_MODEL, EmulatedPhone
from devices.emulator.stand_in import known_latency_ms

__all__ = ["BENCHMARK_MODEL", "EmulatedPhone", "Fault", "known_latency_ms"]
