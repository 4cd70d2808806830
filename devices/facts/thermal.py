"""Temperatures out of a device's texts, and whether heat slows it down now. Reads nothing itself.

Phones and boards print much that is no temperature among their temperatures: voltages, currents and
percentages of the battery's current limits, values that the system kept from the last alarm, placeholders of
sensors that are not there, constants. All that is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: a figure outside is a placeholder or not in degrees Celsius
COLDEST_C, HOTTEST_C = -30.0, 150.0
#: no die, and nothing else in a phone, lives at more
DIE_ENDS_C, OTHERS_END_C = 125, 80
#: kinds of sensors on the processor's die
ON_DIE = ("cpu", "gpu", "npu", "soc")
#: most sensors that are looked at
MOST = 256

#: `android.os.Temperature`'s types but 6 to 8, which are voltage, current and percentage, and -1, of any unit
_ANDROID_KINDS = {
    0: "cpu",
    1: "gpu",
    2: "battery",
    3: "skin",
    4: "usb",
    5: "modem",
    9: "npu",
    10: "npu",
    11: "other",
    12: "modem",
    13: "soc",
    14: "other",
    15: "other",
    16: "other",
    17: "other",
    18: "other",
    19: "other",
}
#: some phones count the types from 1, but then name the sensors by type
_ANDROID_NAMES = {
    "TYPE_CPU": "cpu",
    "TYPE_GPU": "gpu",
    "TYPE_BATTERY": "battery",
    "TYPE_SKIN": "skin",
    "TYPE_USB_PORT": "usb",
    "TYPE_POWER_AMPLIFIER": "modem",
    "TYPE_NPU": "npu",
    "TYPE_TPU": "npu",
    "TYPE_SOC": "soc",
}
#: names of what is no temperature though it stands among them
_NO_TEMPERATURE = re.compile(
    r"(^|[-_])(bcl|ibat|vbat|vph|iin|ocp|oilo|batoilo|smpl|uvlo|vdroop[0-9]*|socd|lvl[0-9]?)([-_.]|[0-9]*$)"
    r"|^soc$|_cycle$|flash_led|[-_]minus[-_]|critical-battery-cell",
    re.IGNORECASE,
)
_KINDS = (
    ("battery", re.compile(r"batt|^bat$|^bms$|^pm.*charger|^mtktsbat", re.IGNORECASE)),
    ("gpu", re.compile(r"gpu|g3d|kgsl", re.IGNORECASE)),
    ("npu", re.compile(r"npu|^apu|^mdla|^vpu|nsp[0-9]*|^tpu|cdsp|nspss|^cv[0-9]", re.IGNORECASE)),
    (
        "cpu",
        re.compile(
            r"cpu|^(big|mid|little|ap|apc[0-9]?|x86_pkg_temp|k10temp|coretemp)$|apss|^cluster", re.IGNORECASE
        ),
    ),
    (
        "soc",
        re.compile(
            r"^soc[0-9]*([-_]|$)|^tj([-_]|$)|^tsens|bigcore|littlecore|center[-_]thermal", re.IGNORECASE
        ),
    ),
    ("skin", re.compile(r"skin|quiet|^shell|^mb-therm", re.IGNORECASE)),
)
_TEMPERATURE = re.compile(
    r"Temperature\{mValue=([^,{}]{1,24}), mType=(-?[0-9]{1,3}), "
    r"mName=([^{}]{1,64}?)(?:, mStatus=-?[0-9]{1,3})?\}"
)
_ZONE = re.compile(r"zone([0-9]{1,4}) (\S+) (-?[0-9]{1,10})")
_COOLING = re.compile(r"cooling[0-9]{1,4} (\S+) ([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Temperature:
    """One sensor's temperature in degrees Celsius.

    Attributes:
        kind: `cpu`, `gpu`, `npu`, `soc` (somewhere on the die), `skin`, `battery`, `usb`, `modem` or `other`.
    """

    name: str
    kind: str
    celsius: float


@dataclass(frozen=True, slots=True)
class ThermalService:
    """What Android's thermal service says now.

    Attributes:
        status: 0 (none) to 6 (shutdown) of its throttling; None where it is not told or was set by hand.
        temperatures: current ones, never those it kept.
        held: whether it lowers the cores' frequency now; None where it is not told.
    """

    status: int | None = None
    temperatures: tuple[Temperature, ...] = ()
    held: bool | None = None


def thermal_service(text: str) -> ThermalService:
    """Read `dumpsys thermalservice`.

    Only what stands below `Current temperatures from HAL:` is current: the temperatures printed before it are
    from each sensor's last change of status, which may be hours ago, and those after it are thresholds. A
    service without connection to the sensors has no current ones, and says 0 of a status it does not know.
    """
    status = re.search(r"^[ \t]*Thermal Status: ([0-9])[ \t\r]*$", text, re.MULTILINE)
    unknown = re.search(
        r"^[ \t]*(IsStatusOverride: true|HAL Ready: false|.{1,60} connected: no)[ \t\r]*$", text, re.MULTILINE
    )
    found = []
    _, here, section = text.partition("Current temperatures from HAL:")
    for line in section.splitlines()[1:] if here else ():
        match = _TEMPERATURE.fullmatch(line.strip())
        if not match:
            if line.strip() and not line.strip().startswith("Temperature{"):
                break
            continue
        kind = _ANDROID_NAMES.get(match[3], _ANDROID_KINDS.get(int(match[2])))
        celsius = degrees(match[1])
        if kind and celsius is not None and (kind == "soc" or not _NO_TEMPERATURE.search(match[3])):
            found.append(Temperature(match[3], kind, celsius))
    return ThermalService(
        int(status[1]) if status and not unknown and int(status[1]) <= 6 else None,
        tuple(found[:MOST]),
        _held(section),
    )


def _held(section: str) -> bool | None:
    _, here, devices = section.partition("Current cooling devices from HAL:")
    states = re.findall(
        r"CoolingDevice\{mValue=([0-9]{1,6}), mType=2, mName=(?:TYPE_CPU|[^{}]{0,40}cpufreq[^{}]{0,40})\}",
        devices,
    )
    return any(int(state) for state in states) if here and states else None


def zones(text: str) -> tuple[Temperature, ...]:
    """The kernel's thermal zones: lines such as `zone0 cpu-thermal 48312`.

    The kernel counts thousandths of a degree; old kernels of phones have zones in whole degrees or in tenths.
    What would be too hot in degrees is in tenths.
    """
    found = []
    for line in text.splitlines():
        match = _ZONE.fullmatch(line.strip())
        if match and not _NO_TEMPERATURE.search(match[2]):
            value = int(match[3])
            kind = kind_of(match[2])
            most = DIE_ENDS_C if kind in ON_DIE else OTHERS_END_C
            celsius = plausible(value / (1000 if abs(value) >= 1000 else 10 if abs(value) > most else 1))
            if celsius is not None:
                found.append(Temperature(match[2], kind, celsius))
    return tuple(found[:MOST])


def held_by_cooling(text: str) -> bool | None:
    """Whether the kernel lowers the cores' frequency against heat now; None where it does not tell.

    Args:
        text: the kernel's cooling devices, lines such as `cooling0 cpufreq-cpu0 3`.
    """
    states = [
        int(match[2])
        for line in text.splitlines()
        if (match := _COOLING.fullmatch(line.strip())) and re.search(r"cpufreq|cpu-?freq", match[1])
    ]
    return any(states) if states else None


def kind_of(name: str) -> str:
    """What a sensor measures, by its name; `other` where that does not tell."""
    return next((kind for kind, pattern in _KINDS if pattern.search(name)), "other")


def merged(*sources: Sequence[Temperature]) -> tuple[Temperature, ...]:
    """Temperatures of several sources: a kind of sensor is taken from the first source that has it."""
    found: list[Temperature] = []
    for source in sources:
        kinds = {one.kind for one in found}
        found += [one for one in source if one.kind not in kinds]
    return tuple(found)


def hottest_c(temperatures: Iterable[Temperature], kinds: Sequence[str]) -> float | None:
    """The highest temperature of sensors of these kinds; None without one."""
    return max((one.celsius for one in temperatures if one.kind in kinds), default=None)


def degrees(text: str) -> float | None:
    """A figure in degrees Celsius as a device prints it; None where it is no temperature."""
    match = re.fullmatch(r"\s*(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*", text)
    return plausible(float(match[1])) if match else None


def plausible(celsius: float) -> float | None:
    """The temperature, None where it cannot be one. Exactly 0 is what sensors say that are not there."""
    return round(celsius, 3) if COLDEST_C <= celsius <= HOTTEST_C and celsius != 0.0 else None
