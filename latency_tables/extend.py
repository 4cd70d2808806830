"""Adds what a model from elsewhere needs to a table: its operators, profiled in the model itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devices.device import Device
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.build import PLAN, measure_alone
from latency_tables.measuring.mismatch import refuse_other_device
from latency_tables.measuring.session import Progress, Session
from latency_tables.profiles.partitions import executed
from latency_tables.records import Network, StoredFailure
from latency_tables.store import LatencyTable
from latency_tables.units import Units

#: anchors that are measured beside the model in each pass: they tell how fast the device is now
BESIDE = 8


@dataclass(frozen=True, slots=True)
class ExtendReport:
    """What an extension came to.

    Attributes:
        name: of the model's network in the table.
        operators: different operators of the model.
        added: those that the table lacked and has now, by their text form.
        alone: those of `added` that were measured alone, not in the model.
        missing: those that it still lacks.
        reasons: why an operator that is missing cannot be measured alone, where something is known.
        refused: why the model's profile could not be had; None if it could, or the model could not be run.
        measured: passes that were added.
        stale: why the table is stale; None if it is not.
    """

    name: str
    operators: int
    added: tuple[str, ...]
    alone: tuple[str, ...]
    missing: tuple[str, ...]
    reasons: Mapping[str, str]
    refused: str | None
    measured: int
    failures: tuple[StoredFailure, ...]
    budget_over: bool
    stale: str | None
    seconds: float


def extend(
    table: LatencyTable,
    device: Device,
    content: bytes,
    name: str,
    plan: Plan = PLAN,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    budget_s: float | None = None,
    stop: threading.Event | None = None,
) -> ExtendReport:
    """Profile a model on the table's device, so that the table can predict it.

    Some anchors are measured beside it, so that its passes join those of the table at one speed. Operators
    that its profile does not tell are measured alone, if the writer can write them. A model of which the
    table has all operators is not measured.

    Args:
        content: of the `.tflite` file; the table keeps its operators, not the file.
        name: of its network in the table; the same name goes on with the same model.

    Raises:
        BadModel: the file is no model, or one beyond what the reader understands.
        BadTable: the table has another network of that name, another process is at it, or the device is not
            the table's.
        DeviceTrouble: the device is in trouble; what was measured is kept.
        KeyboardInterrupt: it was interrupted; likewise.
    """
    graph = executed(tflite.read(content), table.origin.settings.delegate)
    network = Network(name, graph, "model")
    with table.building():
        refuse_other_device(table, device)
        lacked = _lacking(table, network)
        session = Session(table, device, plan, budget_s=budget_s, on_progress=on_progress, stop=stop)
        reasons: dict[str, str] = {}
        if lacked or any(one.name == name for one in table.networks()):
            session.add_networks([network])
            anchors = [one.name for one in session.networks.values() if one.role == "anchor"]
            _profile(session, name, content, anchors[:BESIDE])
            reasons = measure_alone(session, _lacking(table, network))
            session.close()
        return _report(session, network, lacked, reasons)


def _profile(session: Session, name: str, content: bytes, beside: list[str]) -> None:
    """The passes that the model lacks, with anchors among them."""
    passes = session.plan.passes
    lacking = range(session.next_index(name), passes)
    session.expect(0, len(lacking) * (1 + len(beside)), "networks")
    for index in lacking:
        visits = {one: session.next_index(one) for one in beside} | {name: index}
        failed = session.measure(visits, index, "networks", contents={name: content})
        if name in failed or session.profiler is not None:
            return


def _lacking(table: LatencyTable, network: Network) -> tuple[str, ...]:
    """The operators of a network that are in no unit with a figure, by their text form."""
    figures = table.figures() if table.measured() or table.given() else {}
    missing = Units(figures).split(network.graph.specs)[1]
    return tuple(dict.fromkeys(map(str, missing)))


def _report(
    session: Session, network: Network, lacked: tuple[str, ...], reasons: Mapping[str, str]
) -> ExtendReport:
    table = session.table
    missing = _lacking(table, network)
    added = tuple(unit for unit in lacked if unit not in missing)
    figures = table.figures() if added else {}
    return ExtendReport(
        name=network.name,
        operators=len(set(network.graph.specs)),
        added=added,
        alone=tuple(unit for unit in added if unit in figures and figures[unit].method == "alone"),
        missing=missing,
        reasons={unit: reason for unit, reason in reasons.items() if unit in missing},
        refused=session.refused.get(network.name) or session.profiler,
        measured=session.measured,
        failures=tuple(one for one in table.failures() if one.network == network.name),
        budget_over=session.cut_short,
        stale=table.stale,
        seconds=session.seconds,
    )
