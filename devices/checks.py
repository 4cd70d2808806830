"""What is right and wrong with a device, judged by its facts and its state. Pure functions; asks nothing."""

from __future__ import annotations

from collections.abc import Sequence

from devices.facts import DeviceState, MachineFacts
from devices.inventory.entry import Entry
from devices.speed_checks import Check, Level, measuring_cores, speed_checks

__all__ = ["Check", "Level", "checks", "limit_c", "measuring_cores", "worst"]

#: free space on the device
LITTLE_SPACE_BYTES, NO_SPACE_BYTES = 500 * 2**20, 50 * 2**20
LOW_BATTERY_PERCENT, EMPTY_BATTERY_PERCENT = 30, 10
#: a battery that this hot is not charged any more, and slows the phone down
HOT_BATTERY_C = 42.0
CLOCK_SKEW_S = 60.0
#: what is measured below where an entry names no limit, degrees Celsius: idle, a device is far below it, and
#: most slow down from 80 on
PHONE_LIMIT_C, BOARD_LIMIT_C = 65.0, 70.0


def checks(entry: Entry, machine: MachineFacts, state: DeviceState, host_clock_s: float) -> tuple[Check, ...]:
    """Everything that facts and state tell of whether a device is fit to measure on.

    Args:
        host_clock_s: this host's clock when the device was asked, seconds since 1970.
    """
    found = [
        _abi(machine),
        _space(entry, state),
        _battery(state),
        _charging(state),
        _temperature(entry, machine, state),
        *speed_checks(entry, machine, state),
        _clock(state, host_clock_s),
        _screen(entry, machine, state),
        _root(entry, state),
    ]
    return tuple(check for check in found if check is not None)


def worst(found: Sequence[Check]) -> Level:
    """The worst level among findings."""
    levels = {check.level for check in found}
    return "fault" if "fault" in levels else "warning" if "warning" in levels else "ok"


def limit_c(entry: Entry, android: bool) -> float:
    """The temperature below which a device is measured, degrees Celsius."""
    if entry.temperature_limit_c is not None:
        return entry.temperature_limit_c
    return PHONE_LIMIT_C if android else BOARD_LIMIT_C


def _abi(machine: MachineFacts) -> Check:
    abi = machine.abi or machine.machine
    if machine.abi in ("armeabi-v7a", "armhf") or machine.machine in ("armv7l", "armv8l"):
        return Check(
            "ABI",
            "warning",
            f"{abi}: 32-bit programs, slower than the processor can be",
            "use a 64-bit system on it, if there is one",
        )
    if abi == "unknown":
        return Check("ABI", "warning", "the device does not tell", "update its system")
    return Check("ABI", "ok", abi)


def _space(entry: Entry, state: DeviceState) -> Check:
    free = state.free_bytes
    if free is None:
        remedy = f"see what df -k {entry.work_folder} says on the device: jobs may fill it up"
        return Check("free space", "warning", "the device does not tell", remedy)
    said = f"{_bytes(free)} free"
    remedy = "remove files from the device"
    if free < NO_SPACE_BYTES:
        return Check("free space", "fault", said, remedy)
    if free < LITTLE_SPACE_BYTES:
        return Check("free space", "warning", said, remedy)
    return Check("free space", "ok", said)


def _battery(state: DeviceState) -> Check | None:
    if state.battery_made_up:
        return Check(
            "battery",
            "warning",
            "somebody told the phone what to say of its battery",
            "adb shell dumpsys battery reset",
        )
    percent = state.battery_percent
    if percent is None:
        return None
    said = f"{percent:.0f} %" + ("" if state.battery_c is None else f", {state.battery_c:.0f} °C")
    if percent < EMPTY_BATTERY_PERCENT:
        return Check("battery", "fault", said, "charge it: a phone slows down when it saves its battery")
    if percent < LOW_BATTERY_PERCENT:
        return Check("battery", "warning", said, "charge it: a phone slows down when it saves its battery")
    if state.battery_c is not None and state.battery_c >= HOT_BATTERY_C:
        return Check("battery", "warning", said, "let it cool: at this heat a phone slows down")
    return Check("battery", "ok", said)


def _charging(state: DeviceState) -> Check | None:
    if state.plugged_in is None or state.battery_made_up:
        return None
    if not state.plugged_in:
        return Check("charging", "warning", "not plugged in", "plug it in, or long jobs empty its battery")
    return Check("charging", "ok", "charging" if state.charging else "plugged in, not charging")


def _temperature(entry: Entry, machine: MachineFacts, state: DeviceState) -> Check:
    parts = [
        f"{name} {value:.0f} °C"
        for name, value in (
            ("processor", state.processor_c),
            ("skin", state.skin_c),
            ("battery", state.battery_c),
        )
        if value is not None
    ]
    if state.hottest_c is None:
        return Check(
            "temperature",
            "ok" if entry.place.scheme == "local" else "warning",
            "the device tells none",
            None if entry.place.scheme == "local" else "keep it cool: jobs cannot wait until it is",
        )
    limit = limit_c(entry, machine.android)
    said = f"{', '.join(parts)}; limit {limit:g} °C"
    if state.hottest_c >= limit:
        return Check("temperature", "warning", said, "let it cool, or raise temperature_limit_c: jobs wait")
    return Check("temperature", "ok", said)


def _clock(state: DeviceState, host_clock_s: float) -> Check | None:
    if state.clock_s is None:
        return None
    skew_s = state.clock_s - host_clock_s
    if abs(skew_s) <= CLOCK_SKEW_S:
        return Check("clock", "ok", "agrees with this host's")
    way = "ahead of" if skew_s > 0 else "behind"
    return Check(
        "clock",
        "warning",
        f"{_duration(abs(skew_s))} {way} this host's",
        "let the device take its time from the network",
    )


def _screen(entry: Entry, machine: MachineFacts, state: DeviceState) -> Check | None:
    if not machine.android or state.screen_on is None:
        return None
    said = "on" if state.screen_on else "off"
    if entry.stay_awake:
        return Check("screen", "ok", f"{said}; kept awake while measuring")
    if not state.screen_on:
        return Check(
            "screen",
            "warning",
            "off, and left so: a sleeping phone slows down",
            f"remove stay_awake = false of {entry.name} from bench.toml",
        )
    return Check("screen", "ok", said)


def _root(entry: Entry, state: DeviceState) -> Check | None:
    if entry.place.scheme == "local":  # nothing is set here
        return None
    if state.privilege is not None:
        return Check("root", "ok", f"by {state.privilege}: governor and frequency can be set")
    if entry.frequency_khz is not None:
        return Check(
            "root",
            "warning",
            f"none, so {entry.frequency_khz} kHz cannot be set",
            "figures hold with the frequency as it is, which is recorded with them",
        )
    return Check("root", "ok", "none: governor and frequency stay as they are")


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
