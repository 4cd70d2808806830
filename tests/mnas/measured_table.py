"""Small latency tables with made-up figures, by the real writer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from devices.measurement import Context, DeviceFacts, Pass, Settings
from latency_tables.fitting.footprint import parameter_bytes
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from mnas.tables import TableRequest, networks_of
from tests.mnas.finished import FACTS

WIDTH = 0.05


def request(dtype: str = "float32") -> TableRequest:
    return TableRequest.for_space(
        "mnasnet-small-images", resolution=28, width=WIDTH, channels=1, classes=10, dtype=dtype, anchors=1
    )


def make(
    path: Path | str,
    dtype: str = "float32",
    facts: DeviceFacts = FACTS,
    roles: Iterable[str] = ("cover", "anchor"),
    governor: str | None = None,
    *,
    resources: bool = False,
) -> Path | str:
    """A table in which an operator takes a microsecond and one more per million multiplications.

    Only networks of the `roles` are measured. With `resources` the device tells memory, a megabyte and twice
    the parameters, and energy, two watts.
    """
    wanted = request(dtype)
    context = Context(facts, Settings(), "2026-01-02T03:04:05+00:00", "xnnpack", 2, 2, 0.0, governor=governor)
    with LatencyTable.create(path, Origin(asdict(wanted), facts, Settings()), networks_of(wanted)) as table:
        for network in table.networks():
            if network.role in roles:
                times = [1e-3 + spec.macs / 1e6 for spec in network.graph.specs]
                burst = Pass(network.name, "0" * 64, 0, (sum(times),) * 3, 0, None, 1, 1, None, (), context)
                if resources:
                    peak = 10**6 + 2 * parameter_bytes(network.graph)
                    burst = replace(burst, peak_memory_bytes=peak, energy_mj=2 * sum(times))
                found = [Attribution((node,), time, ("made up",)) for node, time in enumerate(times)]
                table.add(network.name, 0, burst, found)
    return path
