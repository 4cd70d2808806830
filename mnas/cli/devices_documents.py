"""What `mnas devices` prints as JSON: the fields that docs/json.md lists. Prints nothing itself."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devices.doctor import Diagnosis, Glance
    from devices.facts import MachineFacts
    from devices.inventory.entry import Entry


def entry_document(entry: Entry) -> dict[str, Any]:
    """An entry of the inventory; tuples as lists. The name of a device that has no entry is null."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return plain | {"name": None if entry.name == entry.address != "local" else entry.name}


def machine_document(machine: MachineFacts | None) -> dict[str, Any] | None:
    """What a device is; None where it could not be asked."""
    if machine is None:
        return None
    names = (
        "model",
        "abi",
        "machine",
        "soc",
        "cpu_model",
        "cores",
        "memory_bytes",
        "operating_system",
        "os_build",
    )
    return {name: getattr(machine, name) for name in names}


def listed_document(entry: Entry, one: Glance) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas devices list`."""
    return {
        **entry_document(entry),
        "state": one.state,
        "message": one.said or None,
        "used_by": None
        if one.holder is None
        else {name: getattr(one.holder, name) for name in ("owner", "command", "since", "pid")},
        "machine": machine_document(one.machine),
    }


def diagnosis_document(one: Diagnosis) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas devices doctor`."""
    return {
        "name": None if one.entry.name == one.entry.address != "local" else one.entry.name,
        "address": one.entry.address,
        "level": one.level,
        "machine": machine_document(one.machine),
        "checks": [asdict(check) for check in one.checks],
    }


def described(machine: MachineFacts) -> str:
    """A machine in a few words: `Google Pixel 6, GS101, arm64-v8a, 8 cores, Android 14`."""
    parts = (
        machine.model,
        machine.soc,
        machine.abi or machine.machine,
        f"{machine.cores} cores" if machine.cores else None,
        machine.operating_system.partition(", Linux")[0],
    )
    return (
        ", ".join(dict.fromkeys(part for part in parts if part and part != "unknown"))
        or "tells nothing of itself"
    )
