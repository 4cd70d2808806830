"""The conditions to measure under, what to change to have them, and what of them holds. Reaches no device."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from devices.bench.restore import Before, FileValue
from devices.errors import BadSettings
from devices.facts import DeviceState, Policy

CPU = "/sys/devices/system/cpu"
NO_ROOT = "the device lets nobody be root"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The conditions to measure under. What a device does not allow stays as it is and is noted.

    Attributes:
        governor: who chooses the cores' frequency, such as `performance`; None leaves it.
        frequency_khz: the one frequency of the cores; where a kind of core has no such step, the next lower.
        stay_awake: Android: screen on, and awake while plugged in.
        cpus: the cores to set it for, with all whose frequency is set together with theirs; None: all.
    """

    governor: str | None = None
    frequency_khz: int | None = None
    stay_awake: bool = True
    cpus: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.governor is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", self.governor):
            raise BadSettings(f"{self.governor!r} is no governor; `performance` is one")
        if self.frequency_khz is not None and not 1_000 <= self.frequency_khz <= 100_000_000:
            raise BadSettings(
                f"frequency is {self.frequency_khz} kHz; it must lie between 1000 and 100000000"
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to a device.

    Attributes:
        writes: values for the kernel's files, in this order.
        awake: whether to tell Android to stay awake and to switch the screen on.
        before: how to put everything back.
        notes: what is not done, and why.
    """

    writes: tuple[FileValue, ...]
    awake: bool
    before: Before
    notes: tuple[str, ...]


def plan_for(now: DeviceState, wanted: Wanted, root: str = "") -> Plan:
    """What to change on a device that is in this state."""
    steps: list[_Step] = []
    notes: list[str] = []
    reasons: list[tuple[Policy, str]] = []
    policies = _chosen(now, wanted)
    for asked, make in ((wanted.governor, _set_governor), (wanted.frequency_khz, _set_frequency)):
        if asked is None:
            continue
        if not policies:
            notes.append(f"{asked} not set: the device does not tell how its cores' frequency is chosen")
        for policy in policies:
            try:
                steps.append(make(policy, wanted, now, f"{root}{CPU}/{policy.directory}"))
            except _NotSet as reason:
                reasons.append((policy, str(reason)))
    awake = wanted.stay_awake and now.screen_on is not None and now.stays_awake is not None
    awake = awake and not (now.screen_on and now.stays_awake)
    writes = tuple(one for step in steps for one in step.writes)
    return Plan(
        writes=writes,
        awake=awake,
        before=Before(
            privilege=now.privilege if writes else None,
            writes=tuple(one for step in steps for one in step.back),
            checks=tuple(one for step in steps for one in step.checks),
            stay_on=now.stay_on if awake and not now.stays_awake else None,
            screen_off=awake and now.screen_on is False,
            boot_id=now.boot_id,
        ),
        notes=(*notes, *_grouped(reasons)),
    )


def found(now: DeviceState, wanted: Wanted) -> tuple[str, ...]:
    """Which of the conditions hold on a device in this state, in words, and which do not."""
    policies = _chosen(now, wanted)
    notes: list[str] = []
    if wanted.governor:
        notes += _grouped((policy, f"governor {policy.governor or 'unknown'}") for policy in policies)
    if wanted.frequency_khz:
        notes += _grouped((policy, _limits(policy)) for policy in policies)
    if wanted.stay_awake and now.screen_on is not None:
        notes.append("screen on" if now.screen_on else "screen off")
        if now.stays_awake is not None and not (now.stays_awake and now.plugged_in is not False):
            reason = "not plugged in" if now.stays_awake else "the phone does not take it"
            notes.append(f"may fall asleep: {reason}")
    return tuple(notes)


@dataclass(frozen=True, slots=True)
class _Step:
    """Writes that set a policy up, those that put it back, and what then is to be read."""

    writes: tuple[FileValue, ...] = ()
    back: tuple[FileValue, ...] = ()
    checks: tuple[FileValue, ...] = ()


class _NotSet(Exception):
    """Why something is left as it is."""


def _set_governor(policy: Policy, wanted: Wanted, now: DeviceState, folder: str) -> _Step:
    governor = wanted.governor or ""
    if policy.governor == governor:
        return _Step()
    if policy.governors and governor not in policy.governors:
        raise _NotSet(f"there is no governor {governor}, but {', '.join(policy.governors)}")
    if policy.governor is None:
        raise _NotSet("the governor is not told, so that it could not be put back")
    if policy.governor == "userspace":
        raise _NotSet("governor userspace is left, as its frequency could not be put back")
    if now.privilege is None:
        raise _NotSet(f"governor {governor} not set: {NO_ROOT}")
    before = FileValue(f"{folder}/scaling_governor", policy.governor)
    return _Step((FileValue(before.path, governor),), (before,), (before,))


def _set_frequency(policy: Policy, wanted: Wanted, now: DeviceState, folder: str) -> _Step:
    asked = wanted.frequency_khz or 0
    low, high, lowest, highest = policy.min_khz, policy.max_khz, policy.lowest_khz, policy.highest_khz
    if low is None or high is None or lowest is None or highest is None:
        raise _NotSet("the limits of the frequency are not told, so that they could not be put back")
    steps = [
        step for step in policy.steps_khz or (min(asked, highest),) if lowest <= step <= min(asked, highest)
    ]
    if not steps:
        raise _NotSet(f"{asked} kHz not set: it is below the lowest frequency, {lowest} kHz")
    khz = max(steps)
    if low == high == khz:
        return _Step()
    if now.privilege is None:
        raise _NotSet(f"{asked} kHz not set: {NO_ROOT}")
    if now.throttled_now and high < highest:
        raise _NotSet(
            f"{asked} kHz not set while heat holds the frequency down, as what was before is not known"
        )
    files = (f"{folder}/scaling_min_freq", f"{folder}/scaling_max_freq")
    limits = (FileValue(files[0], str(low)), FileValue(files[1], str(high)))
    free = FileValue(files[0], str(lowest))  # the lower limit may never lie above the upper one
    return _Step(
        (free, FileValue(files[1], str(khz)), FileValue(files[0], str(khz))),
        (free, limits[1], limits[0]),
        limits,
    )


def _chosen(now: DeviceState, wanted: Wanted) -> list[Policy]:
    return [
        policy
        for policy in now.policies
        if wanted.cpus is None or not set(wanted.cpus).isdisjoint(policy.cpus)
    ]


def _limits(policy: Policy) -> str:
    low, high = policy.min_khz, policy.max_khz
    return f"{low} kHz" if low and low == high else f"{low or 'unknown'} to {high or 'unknown'} kHz"


def _grouped(said: Iterable[tuple[Policy, str]]) -> list[str]:
    """Sentences on policies, once for all cores of which the same is said."""
    cpus: dict[str, list[int]] = {}
    for policy, text in said:
        cpus.setdefault(text, []).extend(policy.cpus)
    return [f"{_cores(sorted(each))}: {text}" for text, each in cpus.items()]


def _cores(cpus: list[int]) -> str:
    first, last = cpus[0], cpus[-1]
    if first == last:
        return f"core {first}"
    if cpus == list(range(first, last + 1)):
        return f"cores {first}-{last}"
    return "cores " + ",".join(map(str, cpus))
