"""What machine a device is, out of a survey of it. Reads nothing itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from devices.facts import android, linux
from devices.facts.processor import clusters, describe
from devices.measurement import Cluster
from devices.survey import Survey
from devices.text import one_line

#: how much of a name that a device gives itself is kept
NAME_LENGTH = 120
#: hexadecimal digits of an identity
IDENTITY_LENGTH = 16
#: what stands in the place of a serial number that there is not
NO_SERIALS = frozenset({"", "unknown", "uninitialized", "null", "none", "0123456789abcdef"})


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a machine is, as far as it tells. Unknown figures are None.

    Attributes:
        machine: the instruction set, as `uname -m` names it, for example `aarch64`.
        abi: Android's, for example `arm64-v8a`; on a board only where its programs are of another kind than
            the kernel: `armhf` for 32-bit programs on a 64-bit kernel.
        soc: the system on chip.
        model: of the device, with its maker.
        cpu_model: the kinds of its cores, or what the kernel calls the processor.
        clusters: kinds of cores, the slowest first.
        os_build: the build of the operating system: Android's fingerprint, a Jetson's release.
        android: whether it is an Android device.
        identity: tells this very device from another of its kind: a digest of its serial number.
    """

    machine: str
    abi: str | None
    soc: str | None
    model: str | None
    cpu_model: str
    cores: int | None
    clusters: tuple[Cluster, ...]
    memory_bytes: int | None
    operating_system: str
    os_build: str | None
    android: bool
    identity: str | None = None


def machine(survey: Survey) -> MachineFacts:
    """What machine a survey, that was not a glance, is of."""
    values = android.properties(survey["getprop"])
    names = survey["uname"].split()
    arch = (name(names[0]) if names else None) or "unknown"
    kernel = f"Linux {names[1]}" if len(names) > 1 else ""
    kinds = clusters(survey["cpuinfo"], survey["cpufreq"], survey["capacity"], survey["topology"])
    if values:
        own = android.system(values)
        system = ", ".join(part for part in (own, kernel) if part) or "unknown"
    else:
        system = linux.operating_system(survey["os_release"], kernel)
    return MachineFacts(
        machine=arch,
        abi=name(android.abi(values)) if values else _board_abi(arch, survey["bits"]),
        soc=name(android.soc(values) if values else _board_soc(survey["compatible"])),
        model=name(android.model(values) if values else survey["model"].replace("\0", "")),
        cpu_model=name(_cpu_model(survey, arch, kinds)) or arch,
        cores=sum(len(kind.cpus) for kind in kinds) or linux.cores(survey["cpuinfo"]),
        clusters=kinds,
        memory_bytes=linux.memory_bytes(survey["meminfo"]),
        operating_system=name(system) or "unknown",
        os_build=name(values.get("ro.build.fingerprint") or _jetson_release(survey["nv_tegra_release"])),
        android=bool(values),
        identity=_identity(values, survey),
    )


def name(text: str | None) -> str | None:
    """A name that a device gives itself, fit to be printed: one line, no control characters, not endless."""
    return one_line(text)[:NAME_LENGTH].strip() or None if text else None


def _identity(values: Mapping[str, str], survey: Survey) -> str | None:
    """The serial number, digested: it is the owner's. A board without one is told by its installed system."""
    if values:
        told = (values.get("ro.serialno"), values.get("ro.boot.serialno"))
    else:
        told = (survey["serial"], survey["machine_id"])
    for text in told:
        serial = (text or "").replace("\0", "").strip()
        if serial.lower() not in NO_SERIALS and serial.strip("0"):
            return hashlib.sha256(serial.encode()).hexdigest()[:IDENTITY_LENGTH]
    return None


def _cpu_model(survey: Survey, arch: str, kinds: tuple[Cluster, ...]) -> str:
    known = linux.fields(survey["cpuinfo"])
    if known.get("model name") and not known["model name"].startswith("ARM"):
        return known["model name"]
    return describe(kinds) or linux.cpu_model(survey["cpuinfo"], arch)


def _board_soc(compatible: str) -> str | None:
    """The last and most general name its maker gives the board; /proc/cpuinfo says BCM2835 on every Pi."""
    names = [one for one in re.split(r"[\0\n]", compatible) if one]
    return names[-1].rpartition(",")[2] if names else None


def _board_abi(arch: str, bits: str) -> str | None:
    return "armhf" if arch == "aarch64" and bits.strip() == "32" else None


def _jetson_release(text: str) -> str | None:
    match = re.search(r"^# (R[0-9]+) \(release\), REVISION: ([0-9.]+)", text)
    return f"L4T {match[1]}.{match[2]}" if match else None
