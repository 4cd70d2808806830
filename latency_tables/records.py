"""A latency table's values as text: networks and contexts to JSON and back. Knows no database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from devices.errors import BadSettings
from devices.measurement import DeviceFacts, Settings
from devices.records import from_plain, to_plain
from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.units import parse_unit

#: why a network is measured: it brings operators in context; it brings the calibration; it is one operator,
#: measured alone; it is a model from elsewhere, whose file is not kept
Role = Literal["cover", "anchor", "alone", "model"]
#: where a figure is from: the profile of networks; the operator alone, corrected by its kind's ratio;
#: another table, by a correction fitted on this device; a file
Method = Literal["in context", "alone", "transferred", "imported"]
#: what a table was made for, in its maker's words: names and plain values, for example `{"resolution": 224}`
Purpose = Mapping[str, str | int | float | None]
#: facts that may change without changing what takes the time: the memory that a kernel leaves to others moves
#: with its version, and Python starts the runtime but runs none of it
INCIDENTAL_FACTS = frozenset({"memory_bytes", "python_version"})
#: facts of the operating system, of which one counts: scheduler, drivers and a phone's delegates come with it
SYSTEM_FACTS = frozenset({"os_build", "operating_system"})
#: facts that tell how a device is reached
REACHED_BY = frozenset({"address"})
#: facts that older tables lack and not every device tells: what a table does not know is no difference
LATER_FACTS = frozenset({"runtime_sha256", "abi", "soc", "clusters"})


@dataclass(frozen=True, slots=True)
class Network:
    """A network to measure for a table.

    Attributes:
        name: unique in its table.
        role: what it is measured for.
    """

    name: str
    graph: Graph
    role: Role


@dataclass(frozen=True, slots=True)
class Origin:
    """What a table was made for, and where it was measured: all of it frozen when the table is made.

    Attributes:
        governor: how the kernel chose the cores' frequency in the table's first pass, which makes it part of
            the origin; None if unknown.
    """

    purpose: Purpose
    facts: DeviceFacts
    settings: Settings
    governor: str | None = None

    def differences(self, facts: DeviceFacts, settings: Settings, governor: str | None = None) -> list[str]:
        """What keeps measurements under these conditions from joining the table, one line for each.

        The operating system is told by its build, by its name and kernel where either side has no build. By
        which name or cable a device is reached is no difference where its identity is known and the same.
        """
        found = []
        same = self.facts.identity is not None and self.facts.identity == facts.identity
        ignored = INCIDENTAL_FACTS | SYSTEM_FACTS | (REACHED_BY if same else frozenset())
        for mine, other, skipped in (
            (self.facts, facts, ignored),
            (self.settings, settings, frozenset()),
        ):
            for field in fields(mine):
                here, there = getattr(mine, field.name), getattr(other, field.name)
                unknown = field.name in LATER_FACTS and here in (None, ())
                if field.name not in skipped and not unknown and here != there:
                    found.append(f"{field.name} is {there!r}, the table's is {here!r}")
        system = "os_build" if self.facts.os_build and facts.os_build else "operating_system"
        for name, here, there in (
            (system, getattr(self.facts, system), getattr(facts, system)),
            ("governor", self.governor, governor),
        ):
            if here and there and here != there:
                found.append(f"{name} is {there!r}, the table's is {here!r}")
        return found


@dataclass(frozen=True, slots=True)
class Burst:
    """One stored pass of one network.

    Attributes:
        context: the measurement's context (`devices.measurement.Context`) as plain values.
        peak_memory_bytes: None where the device does not tell (`devices.measurement.Pass`), as all below.
        energy_mj: per inference, in millijoules.
    """

    network: str
    pass_index: int
    started_at: str
    samples_ms: tuple[float, ...]
    dropped: int
    reference_ms: float | None
    context: dict[str, Any]
    peak_memory_bytes: int | None = None
    energy_mj: float | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A figure that was not measured for this table; one that was measured goes before it.

    Attributes:
        unit: text form of an operator or a block (`latency_tables.units`).
        latency_ms: as the networks of the table's device would have it, before the table's calibration.
        std_ms: its standard error; None if unknown.
        count: measurements behind it; None if unknown.
        exponent: how it depends on the size of the network (`latency_tables.figures.Figure`).
    """

    unit: str
    latency_ms: float
    std_ms: float | None
    count: int | None
    method: Method
    exponent: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredFailure:
    """Why a network could not be measured when it was last tried."""

    network: str
    pass_index: int
    error: str
    message: str
    failed_at: str


def graph_to_json(graph: Graph) -> str:
    """A network as JSON text."""
    return json.dumps(
        {
            "inputs": graph.inputs,
            "dtype": graph.dtype,
            "nodes": [[str(node.spec), node.sources] for node in graph.nodes],
            "outputs": graph.outputs,
        },
        separators=(",", ":"),
    )


def graph_from_json(text: str) -> Graph:
    """The network of `graph_to_json`.

    Raises:
        BadOpSpec: it has a text that is no operator.
    """
    found = json.loads(text)
    return Graph(
        inputs=tuple(tuple(shape) for shape in found["inputs"]),
        dtype=found["dtype"],
        nodes=tuple(Node(_spec(spec), tuple(sources)) for spec, sources in found["nodes"]),
        outputs=tuple(found["outputs"]),
    )


def _spec(text: str) -> OpSpec:
    """An operator's, read once however many networks have it."""
    unit = parse_unit(text)
    if len(unit) > 1:
        raise BadOpSpec(f"{text!r} is no operator")
    return unit[0]


def origin_to_meta(origin: Origin) -> dict[str, str]:
    """A table's origin as rows of its `meta` table."""
    return {
        "purpose": json.dumps(dict(origin.purpose)),
        "facts": json.dumps(to_plain(origin.facts)),
        "settings": json.dumps(to_plain(origin.settings)),
        **({"governor": origin.governor} if origin.governor else {}),
    }


def origin_from_meta(meta: Mapping[str, str], address: str) -> Origin:
    """The origin of `origin_to_meta`.

    Raises:
        BadTable: rows are missing or unreadable.
    """
    try:
        return Origin(
            purpose=json.loads(meta["purpose"]),
            facts=from_plain(DeviceFacts, json.loads(meta["facts"])),
            settings=from_plain(Settings, json.loads(meta["settings"])),
            governor=meta.get("governor"),
        )
    except (KeyError, TypeError, ValueError, AttributeError, BadSettings) as error:
        raise BadTable(
            f"the latency table {address} does not say where it was measured: {error!r}"
        ) from error
