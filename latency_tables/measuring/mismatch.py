"""Refuses to mix a table with what was measured under other conditions. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

from devices.device import Device
from devices.measurement import Pass
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable


def refuse_other_device(table: LatencyTable, device: Device) -> None:
    """Raise BadTable, naming what differs, unless the device and its settings are those of the table."""
    _refuse(table, table.origin.differences(device.facts, device.settings))


def refuse_other_governor(table: LatencyTable, burst: Pass) -> None:
    """Raise BadTable if a pass was measured under another governor, which only a pass tells."""
    origin = table.origin
    _refuse(table, origin.differences(origin.facts, origin.settings, burst.context.governor))


def _refuse(table: LatencyTable, differences: Sequence[str]) -> None:
    if differences:
        raise BadTable(
            f"the latency table {table.address} was measured under other conditions: "
            f"{'; '.join(differences)}. Measure as it was, or make another table"
        )
