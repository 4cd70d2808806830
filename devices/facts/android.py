"""What Android's own tools print, as values: properties, battery, screen. Reads nothing itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.facts.thermal import plausible


def properties(text: str) -> dict[str, str]:
    """Read `getprop`: lines such as `[ro.soc.model]: [SM8350]`; of values over several lines, the first."""
    return dict(re.findall(r"^\[([A-Za-z0-9_.:@/-]{1,128})\]: \[(.{0,512}?)\]?$", text, re.MULTILINE))


def abi(values: dict[str, str]) -> str | None:
    """The ABI that the phone prefers. `ro.product.cpu.abi` alone is a 32-bit one on some 64-bit phones."""
    for key in ("ro.product.cpu.abilist", "ro.product.cpu.abi"):
        first = values.get(key, "").split(",")[0].strip()
        if re.fullmatch(r"[A-Za-z0-9_-]{2,24}", first):
            return first
    return None


def soc(values: dict[str, str]) -> str | None:
    """The system on chip. Told since Android 12; before, the platform's name has to do."""
    for key in ("ro.soc.model", "ro.hardware.chipname", "ro.chipname", "ro.board.platform"):
        name = values.get(key, "").strip()
        if name and name.lower() not in ("unknown", "default"):
            return name
    return None


def model(values: dict[str, str]) -> str | None:
    """Maker and model, such as `Google Pixel 8 Pro`."""
    maker = values.get("ro.product.manufacturer", "").strip()
    name = values.get("ro.product.model", "").strip()
    if name.lower().startswith(maker.lower()):
        return name or None
    return f"{maker[:1].upper()}{maker[1:]} {name}".strip()


def system(values: dict[str, str]) -> str | None:
    """Release and API level, such as `Android 13 (API 33)`."""
    release, level = values.get("ro.build.version.release", ""), values.get("ro.build.version.sdk", "")
    if not release:
        return None
    return f"Android {release}" + (f" (API {level})" if level else "")


@dataclass(frozen=True, slots=True)
class Battery:
    """The battery; unknown figures are None.

    Attributes:
        percent: charge, 0 to 100.
        charging: whether it is being charged, or full and plugged in.
        plugged_in: whether power is supplied from outside.
        celsius: its temperature in degrees Celsius.
        made_up: somebody told the system what to say (`dumpsys battery unplug`): nothing of it is known.
    """

    percent: float | None = None
    charging: bool | None = None
    plugged_in: bool | None = None
    celsius: float | None = None
    made_up: bool = False


def battery(text: str) -> Battery:
    """Read `dumpsys battery`. Its temperature is in tenths of a degree."""
    if re.search(r"^[ \t]*\(UPDATES STOPPED", text, re.MULTILINE):
        return Battery(made_up=True)
    figures: dict[str, int] = {}
    for key, value in re.findall(r"^[ \t]+([a-z]+): (-?[0-9]{1,10})[ \t\r]*$", text, re.MULTILINE):
        figures.setdefault(key, int(value))
    powered = re.findall(
        r"^[ \t]+(?:AC|USB|Wireless|Dock) powered: (true|false)[ \t\r]*$", text, re.MULTILINE
    )
    plugged_in = "true" in powered if powered else None
    level, scale = figures.get("level", -1), figures.get("scale", 100)
    there = (
        not re.search(r"^[ \t]+present: false[ \t\r]*$", text, re.MULTILINE)
        and 0 <= level <= scale
        and scale > 0
    )
    tenths = figures.get("temperature")
    charging = plugged_in
    if (status := figures.get("status")) in (2, 3, 4, 5):
        charging = status == 2 or (status == 5 and plugged_in is not False)
    return Battery(
        percent=100 * level / scale if there else None,
        charging=charging,
        plugged_in=plugged_in,
        celsius=plausible(tenths / 10) if tenths is not None else None,
    )


def screen_on(text: str) -> bool | None:
    """Whether the screen shows something, by `dumpsys power`; None where it does not tell.

    `mHoldingDisplaySuspendBlocker` is not asked: some devices say true with the screen off.
    """
    if display := re.search(r"^[ \t]*Display Power: state=([A-Z_]+)", text, re.MULTILINE):
        return display[1] in ("ON", "VR", "BRIGHT", "DIM")
    if awake := re.search(r"^[ \t]*mWakefulness=(Awake|Asleep|Dozing|Dreaming)[ \t\r]*$", text, re.MULTILINE):
        return awake[1] in ("Awake", "Dreaming")
    if screen := re.search(r"^[ \t]*mScreenOn=(true|false)[ \t\r]*$", text, re.MULTILINE):
        return screen[1] == "true"
    return None


def stay_on(text: str) -> str | None:
    """`stay_on_while_plugged_in` as `settings get global` prints it: its bits; `null` where it is not set."""
    match = re.fullmatch(r"\s*([0-9]{1,3}|null)\s*", text)
    return match[1] if match else None
