"""What is right and wrong with how fast a device's processor is. Pure functions; asks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from devices.facts import DeviceState, MachineFacts, big_cores
from devices.inventory.entry import Entry

Level = Literal["ok", "warning", "fault"]
#: Android's thermal status from which it slows the processor down hard
SEVERE = 3
STEADY_GOVERNORS = ("performance", "userspace")
#: what the names of a Jetson's power modes without limits begin with
FULL_POWER = "MAXN"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at, in a word or two.
        level: `ok`; `warning`: figures may suffer; `fault`: nothing can be measured, or trusted.
        said: what was found.
        remedy: what to do about it; None where nothing is to be done.
    """

    name: str
    level: Level
    said: str
    remedy: str | None = None


def speed_checks(entry: Entry, machine: MachineFacts, state: DeviceState) -> tuple[Check, ...]:
    """Everything that facts and state tell of whether the processor is as fast as it always is."""
    found = [
        _throttling(state),
        _supply(state),
        _power_mode(state),
        _clocks(state),
        _governor(entry, machine, state),
        _cores(entry, machine, state),
    ]
    return tuple(check for check in found if check is not None)


def measuring_cores(entry: Entry, machine: MachineFacts) -> tuple[int, ...]:
    """The cores that an entry's models run on; empty where all are alike, and the runner takes some."""
    if entry.cpus is not None:
        return entry.cpus
    return (big_cores(machine.clusters, entry.threads) or ()) if len(machine.clusters) > 1 else ()


def _throttling(state: DeviceState) -> Check:
    status = state.thermal_status
    remedy = "let it cool down: shade, a fan, no case, less charging"
    if status is not None and status >= SEVERE:
        return Check("throttling", "fault", f"slowed down hard (Android's thermal status {status})", remedy)
    if state.throttled_now:
        return Check("throttling", "warning", "slowed down right now", remedy)
    if state.throttled_now is None:
        return Check("throttling", "ok", "the device does not tell")
    once = ", but it was since it was started" if state.throttled_since_boot else ""
    return Check("throttling", "ok", f"not slowed down{once}")


def _supply(state: DeviceState) -> Check | None:
    if state.undervoltage_now is None:
        return None
    if state.undervoltage_now:
        return Check(
            "power supply",
            "fault",
            "too weak right now, so the board slows down",
            "use the supply made for the board, and a short cable",
        )
    return Check("power supply", "ok", "strong enough")


def _power_mode(state: DeviceState) -> Check | None:
    """A Jetson's: which of its cores are on, and how fast they may be."""
    mode = state.power_mode
    if mode is None:
        return None
    if mode.upper().startswith(FULL_POWER):
        return Check("power mode", "ok", mode)
    return Check(
        "power mode",
        "warning",
        f"{mode}: it limits cores and clocks",
        "sudo nvpmodel -m 0, which is MAXN on most boards; /etc/nvpmodel.conf lists the modes",
    )


def _clocks(state: DeviceState) -> Check | None:
    """Whether a Jetson's clocks move."""
    if state.clocks_locked is None:
        untold = "the device does not tell; it may need sudo without a password"
        return None if state.power_mode is None else Check("clocks", "ok", untold)
    if state.clocks_locked:
        return Check("clocks", "ok", "locked by jetson_clocks")
    return Check("clocks", "warning", "not locked: they move while measuring", "sudo jetson_clocks")


def _governor(entry: Entry, machine: MachineFacts, state: DeviceState) -> Check:
    measured = measuring_cores(entry, machine)
    cores = measured or tuple(state.governors)
    policies = [one for one in state.policies if one.governor and set(one.cpus) & set(cores)]
    names = sorted({one.governor for one in policies if one.governor})
    if not policies:
        return Check("governor", "ok", "the device does not tell")
    said = " and ".join(names) + (f" on {cores_named(cores)}" if measured else "")
    offered = set.intersection(*(set(one.governors) for one in policies))
    wanted = entry.governor
    if wanted is not None and offered and wanted not in offered:
        return Check(
            "governor",
            "fault",
            f"{said}; {wanted}, which {entry.name} asks for, is not there",
            f"choose one of {', '.join(sorted(offered))}",
        )
    if wanted is not None and state.privilege is None:
        return Check(
            "governor",
            "warning",
            f"{said}; {wanted} cannot be set without root",
            "figures hold with the governor as it is, which is recorded with them",
        )
    if wanted is not None:
        return Check("governor", "ok", f"{said}; {wanted} is set while measuring")
    if set(names) <= set(STEADY_GOVERNORS):
        return Check("governor", "ok", said)
    if state.clocks_locked:
        return Check("governor", "ok", f"{said}; jetson_clocks holds the frequency")
    if entry.place.scheme == "local":
        return Check("governor", "ok", f"{said}; it stays, and is recorded")
    if state.privilege is None:
        return Check("governor", "ok", f"{said}; without root it stays, and is recorded")
    return Check(
        "governor",
        "warning",
        f"{said}: the clock moves while measuring",
        f'write governor = "performance" for {entry.name} into bench.toml',
    )


def _cores(entry: Entry, machine: MachineFacts, state: DeviceState) -> Check:
    cores = measuring_cores(entry, machine)
    total = machine.cores or len(state.online)
    if not state.online:
        return Check("cores", "ok", f"{total or 'an unknown number of'} cores")
    said = f"{len(state.online)} of {total} online" + (
        f", measuring on {cores_named(cores)}" if cores else ""
    )
    if entry.cpus and machine.cores and max(entry.cpus) >= machine.cores:
        return Check("cores", "fault", said, f"name cores from 0 to {machine.cores - 1} for {entry.name}")
    if missing := sorted(set(cores) - set(state.online)):
        return Check(
            "cores",
            "fault",
            f"{said}: {spans(missing)} switched off",
            "choose a power mode with all cores, or wait until it is cool",
        )
    if len(state.online) < total:
        return Check("cores", "warning", said, "choose a power mode with all cores")
    return Check("cores", "ok", said)


def spans(cores: Sequence[int]) -> str:
    """Core numbers as people write them: `0-3,7`."""
    found: list[list[int]] = []
    for core in sorted(cores):
        if found and core == found[-1][-1] + 1:
            found[-1].append(core)
        else:
            found.append([core])
    return ",".join(f"{one[0]}-{one[-1]}" if len(one) > 1 else f"{one[0]}" for one in found)


def cores_named(cores: Sequence[int]) -> str:
    """`core 7`, or `cores 4-7`."""
    return f"core{'s' if len(cores) > 1 else ''} {spans(cores)}"
