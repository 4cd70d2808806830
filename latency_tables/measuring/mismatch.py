"""Refuses to mix a table with what was measured under other conditions. Measures nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields

from devices.device import Device
from devices.measurement import DeviceFacts, Pass, Settings
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable


def refuse_other_device(table: LatencyTable, device: Device) -> None:
    """Raise BadTable, naming what differs, unless the device and its settings are those of the table."""
    refuse(table, table.origin.differences(device.facts, device.settings))


def refuse_other_governor(table: LatencyTable, burst: Pass) -> None:
    """Raise BadTable if a pass was measured under another governor, which only a pass tells."""
    refuse(table, governor_differences(table, burst.context.governor))


def governor_differences(table: LatencyTable, governor: str | None) -> list[str]:
    """How a governor differs from the table's; nothing where either is unknown."""
    origin = table.origin
    return origin.differences(origin.facts, origin.settings, governor)


def refuse_unknown_names(across: Iterable[str]) -> None:
    """Raise BadTable if something is named in which devices cannot differ."""
    names = [one.name for kind in (DeviceFacts, Settings) for one in fields(kind)] + ["governor"]
    if odd := [name for name in across if name not in names]:
        raise BadTable(f"{odd[0]!r} is nothing in which devices differ; those are {', '.join(names)}")


def name_of(difference: str) -> str:
    """What differs, by its name: the first word of a line of `Origin.differences`."""
    return difference.partition(" ")[0]


def beyond(differences: Iterable[str], across: Collection[str]) -> list[str]:
    """The differences that `across` does not allow by their names."""
    return [one for one in differences if name_of(one) not in across]


def options(differences: Iterable[str]) -> str:
    """The options that would allow them: `--across os_build --across governor`."""
    return " ".join(f"--across {name}" for name in dict.fromkeys(map(name_of, differences)))


def refuse(table: LatencyTable, differences: Sequence[str], instead: str = "or make another table") -> None:
    """Raise BadTable if there are differences; it names them.

    Args:
        instead: what there is to do but to measure as it was.
    """
    if differences:
        raise BadTable(
            f"the latency table {table.address} was measured under other conditions: "
            f"{'; '.join(differences)}. Measure as it was, {instead}"
        )
