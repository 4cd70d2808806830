"""What the texts of a Linux system say of its machine. Reads nothing itself."""

from __future__ import annotations

import re


def fields(text: str) -> dict[str, str]:
    """`key : value` lines of /proc/cpuinfo or /proc/meminfo; the first occurrence of a key counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            found.setdefault(key.strip(), value.strip())
    return found


def cpu_model(cpuinfo: str, machine: str) -> str:
    """What the processor is called. ARM kernels name the board or only the part, some neither.

    Args:
        cpuinfo: text of /proc/cpuinfo.
        machine: what `uname -m` says, for example `aarch64`.
    """
    known = fields(cpuinfo)
    for key in ("model name", "Model", "Hardware", "Processor", "cpu model"):
        if known.get(key):
            return known[key]
    if "CPU part" in known:
        return f"{machine} part {known['CPU part']} of implementer {known.get('CPU implementer', 'unknown')}"
    return machine


def cores(cpuinfo: str) -> int | None:
    """Number of logical cores, None where the text does not tell."""
    return len(re.findall(r"^processor\s*:\s*\d+", cpuinfo, flags=re.MULTILINE)) or None


def memory_bytes(meminfo: str) -> int | None:
    """Size of the main memory in bytes, None where /proc/meminfo's text does not tell."""
    match = re.fullmatch(r"(\d+)\s*kB", fields(meminfo).get("MemTotal", ""))
    return int(match[1]) * 1024 if match else None


def operating_system(os_release: str, kernel: str = "") -> str:
    """Name and version out of /etc/os-release's text, and the kernel's, as far as known; else `unknown`."""
    values = dict(re.findall(r"""^([A-Z_]+)=["']?(.*?)["']?$""", os_release, flags=re.MULTILINE))
    name = values.get("PRETTY_NAME") or " ".join(
        part for part in (values.get("NAME"), values.get("VERSION_ID")) if part
    )
    return ", ".join(part for part in (name, kernel.strip()) if part) or "unknown"


def records(cpuinfo: str) -> list[dict[str, str]]:
    """The records of /proc/cpuinfo: one for each core, and those lines that stand apart."""
    found: list[dict[str, str]] = [{}]
    for line in cpuinfo.splitlines():
        key, separator, value = line.partition(":")
        if not separator:
            found.append({})
            continue
        if key.strip() == "processor" and "processor" in found[-1]:
            found.append({})
        found[-1][key.strip()] = value.strip()
    return [record for record in found if record]
