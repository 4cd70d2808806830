"""Waits until a device is fit to measure on: cool, and not slowed down. Knows no plan; measures nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from devices.bench.limits import check_temperature
from devices.errors import TooHot
from devices.facts import DeviceState, state
from devices.survey import survey
from devices.transport import Transport

#: how often a temperature is read, and how often waiting is told
POLL_S, TELL_S = 5.0, 30.0
#: what a device says that is slowed down
SLOWED = "heat or a weak supply slows it down"


@dataclass(frozen=True, slots=True)
class Waited:
    """How long was waited, and the temperature in degrees Celsius before and after; None where not told."""

    seconds: float
    before_c: float | None
    after_c: float | None


def hottest_c(transport: Transport, work: str, *, root: str = "") -> float | None:
    """The temperature of the hotter of a device's processor and skin; None where it tells none.

    Raises:
        DeviceTrouble: the device cannot be reached, or does not answer.
    """
    return state(survey(transport, work, glance=True, root=root)).hottest_c


def wait_until_cool(
    read: Callable[[], float | None],
    limit_c: float,
    budget_s: float,
    on_wait: Callable[[str], None] | None = None,
    *,
    poll_s: float = POLL_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Wait until a device is below a temperature. Whoever waited has to warm it up again before measuring.

    Args:
        read: the device's temperature now in degrees Celsius; None where it does not tell. A device that does
            not tell at first is not waited for.
        limit_c: the temperature to get below.
        budget_s: how long to wait at most.
        on_wait: told in a sentence what is waited for, at first and every half minute.

    Raises:
        TooHot: it did not get below the limit in time.
        BadSettings: the limit is no temperature.
    """
    check_temperature(limit_c)
    begin = clock()
    first = latest = _finite(read())
    told: float | None = None
    while latest is None or latest >= limit_c:
        if first is None:
            return Waited(0.0, None, None)
        waited = clock() - begin
        said = f"at {latest:.1f} °C" if latest is not None else "at a temperature it no longer tells"
        if waited >= budget_s:
            raise TooHot(
                f"the device is {said}, not below {limit_c:g} °C, after {waited:.0f} s; let it cool down, "
                "take it out of its case and off other work, or raise its temperature limit"
            )
        if on_wait and (told is None or waited - told >= TELL_S):
            told = waited
            on_wait(f"waiting until the device is below {limit_c:g} °C: it is {said}")
        sleep(min(poll_s, max(0.0, budget_s - waited)))
        latest = _finite(read())
    return Waited(clock() - begin if first is not None and first >= limit_c else 0.0, first, latest)


def wait_until_at_full_speed(
    look: Callable[[], DeviceState],
    budget_s: float,
    on_wait: Callable[[str], None] | None = None,
    *,
    poll_s: float = POLL_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> DeviceState:
    """Wait until a device says of itself no longer that heat or a weak supply slows it down.

    Args:
        look: how the device is.
        budget_s: how long to wait at most.
        on_wait: told in a sentence what is waited for, at first and every half minute.

    Returns:
        How it was last: slowed down even so where the time did not suffice.
    """
    begin = clock()
    told: float | None = None
    while (seen := look()).throttled_now and (waited := clock() - begin) < budget_s:
        if on_wait and (told is None or waited - told >= TELL_S):
            told = waited
            on_wait(f"waiting until the device is at full speed: {SLOWED}")
        sleep(min(poll_s, budget_s - waited))
    return seen


def is_held(seen: DeviceState, khz: int | None, cpus: tuple[int, ...] | None) -> bool:
    """Whether cores are held at the frequency that a job asked for, or at the next lower step.

    Args:
        khz: the frequency that the job asked for; None: none.
        cpus: the cores that it asked it for; None: all.
    """
    return khz is not None and any(
        one.max_khz is not None
        and one.min_khz == one.max_khz <= khz
        and (cpus is None or not set(cpus).isdisjoint(one.cpus))
        for one in seen.policies
    )


def _finite(celsius: float | None) -> float | None:
    return celsius if celsius is not None and math.isfinite(celsius) else None
