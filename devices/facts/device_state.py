"""How a device is right now, out of a survey of it. Reads nothing itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.facts import android, boards, thermal
from devices.facts.processor import Policy, cpu_list, policies
from devices.facts.thermal import Temperature
from devices.survey import Survey

#: how a device lets a job become root
PRIVILEGES = ("root", "su", "su 0", "sudo")

#: Android's thermal status from which slowing down is felt. Status 1 may last for days; whether the cores are
#: held then is what the cooling devices tell
MODERATE = 2


@dataclass(frozen=True, slots=True)
class DeviceState:
    """How a device is right now, as far as it tells. Unknown figures are None.

    Attributes:
        temperatures: all sensors' in degrees Celsius, each kind of sensor from the source that knows it best.
        processor_c: the hottest spot of the processor's die.
        skin_c: the device's surface.
        thermal_status: Android's, 0 (none) to 6 (shutdown).
        throttled_now: whether heat or a weak supply slows the cores down now.
        throttled_since_boot: whether it did once since the start, on boards that tell.
        undervoltage_now: whether the supply is too weak now, on boards that tell.
        policies: the cores' frequencies and who chooses them.
        online: cores that are switched on.
        battery_made_up: somebody told the system what to say of its battery, so that nothing of it is known.
        stay_on: Android's `stay_on_while_plugged_in`: its bits, `0` being never; `null` where it is not set.
        power_mode: a Jetson's, such as `MAXN`.
        clocks_locked: whether `jetson_clocks` holds a Jetson's cores at one frequency.
        free_bytes: for new files in the work folder.
        clock_s: the device's clock, seconds since 1970.
        uptime_s: seconds since it was started.
        boot_id: another one after every start.
        privilege: how a job can become root there: one of `PRIVILEGES`; None: not at all.
    """

    temperatures: tuple[Temperature, ...] = ()
    processor_c: float | None = None
    skin_c: float | None = None
    thermal_status: int | None = None
    throttled_now: bool | None = None
    throttled_since_boot: bool | None = None
    undervoltage_now: bool | None = None
    policies: tuple[Policy, ...] = ()
    online: tuple[int, ...] = ()
    battery_percent: float | None = None
    charging: bool | None = None
    plugged_in: bool | None = None
    battery_c: float | None = None
    battery_made_up: bool = False
    screen_on: bool | None = None
    stay_on: str | None = None
    power_mode: str | None = None
    clocks_locked: bool | None = None
    free_bytes: int | None = None
    clock_s: int | None = None
    uptime_s: float | None = None
    boot_id: str | None = None
    privilege: str | None = None

    @property
    def hottest_c(self) -> float | None:
        """The hotter of processor and skin; the battery's temperature where neither is known."""
        known = [one for one in (self.processor_c, self.skin_c) if one is not None]
        return max(known) if known else self.battery_c

    @property
    def stays_awake(self) -> bool | None:
        """Whether Android is told to stay awake while plugged in."""
        return None if self.stay_on is None else self.stay_on not in ("0", "null")

    @property
    def governors(self) -> dict[int, str]:
        """The governor of each core whose governor is known."""
        return {cpu: one.governor for one in self.policies if one.governor for cpu in one.cpus}

    @property
    def frequencies_khz(self) -> dict[int, int]:
        """The current frequency of each core whose frequency is known."""
        return {cpu: one.current_khz for one in self.policies if one.current_khz for cpu in one.cpus}


def state(survey: Survey) -> DeviceState:
    """How a device was when surveyed. A glance tells nothing of free space and privilege."""
    service = thermal.thermal_service(survey["dumpsys_thermalservice"])
    temperatures = thermal.merged(
        service.temperatures,
        thermal.zones(survey["zones"]),
        boards.measure_temp(survey["measure_temp"]),
        boards.tegrastats(survey["tegrastats"]),
    )
    battery = android.battery(survey["dumpsys_battery"])
    throttled = boards.get_throttled(survey["get_throttled"])
    signs = [
        None if service.status is None else service.status >= MODERATE,
        service.held,
        thermal.held_by_cooling(survey["cooling"]),
        throttled.now if throttled else None,
    ]
    known = [sign for sign in signs if sign is not None]
    battery_c = battery.celsius
    if battery_c is None:
        battery_c = thermal.hottest_c(temperatures, ("battery",))
    return DeviceState(
        temperatures=temperatures,
        processor_c=thermal.hottest_c(temperatures, thermal.ON_DIE),
        skin_c=thermal.hottest_c(temperatures, ("skin",)),
        thermal_status=service.status,
        throttled_now=any(known) if known else None,
        throttled_since_boot=throttled.since_boot if throttled else None,
        undervoltage_now=throttled.undervoltage if throttled else None,
        policies=policies(survey["cpufreq"]),
        online=cpu_list(survey["online"]),
        battery_percent=battery.percent,
        charging=battery.charging,
        plugged_in=battery.plugged_in,
        battery_c=battery_c,
        battery_made_up=battery.made_up,
        screen_on=android.screen_on(survey["dumpsys_power"]),
        stay_on=android.stay_on(survey["stay_on"]),
        power_mode=boards.power_mode(survey["nvpmodel"]),
        clocks_locked=boards.clocks_locked(survey["jetson_clocks"]),
        free_bytes=_free_bytes(survey["df"]),
        clock_s=_clock_s(survey["clock"]),
        uptime_s=_uptime_s(survey["uptime"]),
        boot_id=_boot_id(survey["boot_id"]),
        privilege=survey["privilege"].strip() if survey["privilege"].strip() in PRIVILEGES else None,
    )


def _free_bytes(df: str) -> int | None:
    """The free space in what `df -k` prints. A long name of a device stands on a line of its own."""
    rows = re.findall(r"\s([0-9]{1,15})\s+([0-9]{1,15})\s+(-?[0-9]{1,15})\s+[0-9]{1,3}%", df)
    return max(0, int(rows[-1][2])) * 1024 if rows else None


def _clock_s(text: str) -> int | None:
    match = re.fullmatch(r"\s*([0-9]{1,11})\s*", text)
    return int(match[1]) if match else None


def _uptime_s(text: str) -> float | None:
    match = re.match(r"\s*([0-9]{1,11}(?:\.[0-9]{1,6})?)(?:\s|$)", text)
    return float(match[1]) if match else None


def _boot_id(text: str) -> str | None:
    match = re.fullmatch(r"\s*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\s*", text)
    return match[1] if match else None
