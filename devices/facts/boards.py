"""What the vendors' programs on a Raspberry Pi and a Jetson print, as values. Reads nothing itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.facts.processor import governor
from devices.facts.thermal import Temperature, degrees, kind_of

_NAMES = {"AO": "other", "AUX": "other", "thermal": "soc", "PLL": "soc", "PMIC": "other", "iwlwifi": "other"}


@dataclass(frozen=True, slots=True)
class Throttled:
    """The bits of `vcgencmd get_throttled`: what is now, and what was once since the board started.

    Attributes:
        undervoltage: the supply is too weak now.
        capped: the frequency is capped now.
        throttled: the cores are slowed down now.
        soft_limit: the soft temperature limit is active now.
        since_boot: whether any of them was once; says nothing of now.
    """

    undervoltage: bool
    capped: bool
    throttled: bool
    soft_limit: bool
    since_boot: bool

    @property
    def now(self) -> bool:
        """Whether the cores run below what they could, now."""
        return self.capped or self.throttled or self.soft_limit


def get_throttled(text: str) -> Throttled | None:
    """Read `vcgencmd get_throttled`, such as `throttled=0x50005`; None where it says something else."""
    match = re.search(r"^throttled=0x([0-9a-fA-F]{1,8})[ \t\r]*$", text, re.MULTILINE)
    if not match:
        return None
    bits = int(match[1], 16)
    return Throttled(
        undervoltage=bool(bits & 1),
        capped=bool(bits & 2),
        throttled=bool(bits & 4),
        soft_limit=bool(bits & 8),
        since_boot=bool(bits & 0xF0000),
    )


def measure_temp(text: str) -> tuple[Temperature, ...]:
    """Read `vcgencmd measure_temp`, such as `temp=48.3'C`; empty where it says something else."""
    match = re.search(r"^temp=(-?[0-9]{1,3}(?:\.[0-9]{1,3})?)'C[ \t\r]*$", text, re.MULTILINE)
    celsius = degrees(match[1]) if match else None
    return () if celsius is None else (Temperature("vcgencmd", "soc", celsius),)


def tegrastats(text: str) -> tuple[Temperature, ...]:
    """The temperatures in the last whole line of `tegrastats`, of any release.

    The power chip's is left out: it is a constant on several boards.
    """
    line = next(
        (line for line in reversed(text.splitlines()) if re.search(r"\bRAM [0-9]+/[0-9]+MB", line)), ""
    )
    found = []
    for name, figure in re.findall(
        r"(?<!\S)([A-Za-z][A-Za-z0-9_-]{0,31})@(-?[0-9]{1,4}(?:\.[0-9]{1,4})?)C(?!\S)", line
    ):
        celsius = degrees(figure)
        if celsius is not None and not name.upper().startswith("PMIC"):
            found.append(Temperature(name, _NAMES.get(name) or kind_of(name), celsius))
    return tuple(found)


def power_mode(text: str) -> str | None:
    """The name of the power mode in what `nvpmodel -q` prints, such as `MAXN`; None where it names none."""
    match = re.search(r"NV Power Mode\s*:\s*([A-Za-z0-9_.+-]{1,40})[ \t\r]*$", text, re.MULTILINE)
    return match[1] if match else None


@dataclass(frozen=True, slots=True)
class Clock:
    """One core as `jetson_clocks --show` has it; unknown figures are None."""

    cpu: int
    online: bool
    governor: str | None
    min_khz: int | None
    max_khz: int | None
    current_khz: int | None


def jetson_clocks(text: str) -> tuple[Clock, ...]:
    """The cores in what `jetson_clocks --show` prints, by number."""
    found = []
    for number, rest in re.findall(r"^cpu([0-9]{1,3}):\s*(.{1,300})$", text, re.MULTILINE):
        values = dict(re.findall(r"(\w{1,20})=(\S{1,32})", rest))
        found.append(
            Clock(
                cpu=int(number),
                online=values.get("Online", "1") == "1",
                governor=governor(values.get("Governor", "")),
                min_khz=_figure(values.get("MinFreq")),
                max_khz=_figure(values.get("MaxFreq")),
                current_khz=_figure(values.get("CurrentFreq")),
            )
        )
    return tuple(sorted(found, key=lambda clock: clock.cpu))


def clocks_locked(text: str) -> bool | None:
    """Whether `jetson_clocks` holds the cores at one frequency; None where its text does not tell."""
    online = [clock for clock in jetson_clocks(text) if clock.online and clock.min_khz and clock.max_khz]
    return all(clock.min_khz == clock.max_khz for clock in online) if online else None


def _figure(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else None
