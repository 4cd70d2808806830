"""Measures networks that a table has not seen, and its anchors among them, to judge it. Keeps no result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from statistics import median

from devices.device import Device
from devices.measurement import DeviceFacts, Settings
from devices.plan import Plan
from latency_tables.errors import BadTable
from latency_tables.fitting.statistics import pass_ms
from latency_tables.judging.compared import Alone, Blocks, unmeasured_rivals
from latency_tables.judging.interleaved import Group, InMemory, Kept, Measured, Progress, measure
from latency_tables.judging.validation import Circumstances, Rival, Subject, Validation, judge
from latency_tables.measuring import bursts
from latency_tables.measuring.bursts import Job
from latency_tables.measuring.drift import DRIFT_PERCENT, READINGS, drift
from latency_tables.ops import Graph
from latency_tables.records import Network
from latency_tables.store import LatencyTable

#: how held-out networks are measured unless the caller says otherwise
PLAN = Plan(passes=5, warmup_runs=2, min_runs=10, min_time_s=0.1, deadline_s=120.0)
INSTANCES = (1, 2)
#: an operator or block by itself gets this share of a network's time, being shorter by far, and at most as
#: many passes as a table is built with
SHARE_ALONE = 0.2
PASSES_ALONE = 3


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where results are kept, so that a later call goes on from them.

    Attributes:
        networks: the held-out networks' and the anchors'.
        alone: those of operators and blocks by themselves.
    """

    networks: Kept = field(default_factory=InMemory)
    alone: Kept = field(default_factory=InMemory)


def validate(
    table: LatencyTable,
    networks: Sequence[tuple[str, Graph]],
    device: Device,
    plan: Plan = PLAN,
    *,
    blocks: Blocks | None = None,
    keeping: Keeping | None = None,
    across: Collection[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Validation:
    """Measure networks as two independent instances each, among the table's anchors alike, and compare.

    The anchors are measured again because devices are faster on one day than on another. So the figures say
    both how the table predicts as it is, and how it does once calibrated by the anchors of this run. If they
    have drifted by more than `DRIFT_PERCENT`, the table is marked stale.

    Args:
        networks: names and networks that the table has not measured.
        blocks: cuts a network into blocks, runs of its operators in order. With it, other ways to predict are
            judged by the same run: operators and blocks measured alone, a regression, operations counted.
        across: names of facts and settings in which the device may differ from the table's.

    Raises:
        MissingOperators: the table cannot predict one of them; nothing is measured then.
        BadTable: the device is not the table's, a network is one of the table's, or none could be measured.
        DeviceTrouble: the device is gone; what was measured is kept.
        KeyboardInterrupt: likewise.
    """
    crossed = differences(table, device, across)
    seen = {network.graph.specs for network in table.networks()}
    known = [name for name, graph in networks if graph.specs in seen]
    if known:
        raise BadTable(f"{', '.join(known)}: in the table {table.address} already, so not held out")
    predictor = table.predictor()
    for _, graph in networks:
        predictor.predict(graph.specs)  # raises before anything is measured
    anchors = _anchors(table)
    kept = keeping or Keeping()
    if plan.reference is None:  # not used by the figures: it shows drift of the machine
        dtype = networks[0][1].dtype if networks else "float32"
        plan = replace(plan, reference=bursts.reference(dtype))
    groups = [Group(_jobs(networks, anchors), plan, kept.networks)]
    alone = None
    if blocks is not None and networks:
        alone = Alone.of([graph for _, graph in networks] + [one.graph for one in anchors], blocks)
        groups.append(Group(alone.all_jobs(), briefly(plan), kept.alone))
    measured = measure(device, groups, on_progress)
    rivals: list[Rival] = []
    if alone is not None:
        rivals = [*alone.rivals(measured), *unmeasured_rivals(table)]
    found = judge(
        predictor,
        _subjects(networks, measured),
        _subjects([(one.name, one.graph) for one in anchors], measured),
        _circumstances(plan, measured, crossed),
        rivals,
    )
    return replace(found, circumstances=replace(found.circumstances, drift=_drift(table, found, measured)))


def briefly(plan: Plan) -> Plan:
    """The plan for operators and blocks by themselves."""
    return replace(plan, passes=min(plan.passes, PASSES_ALONE), min_time_s=plan.min_time_s * SHARE_ALONE)


def differences(table: LatencyTable, device: Device, across: Collection[str] = ()) -> tuple[str, ...]:
    """What of the differences between the table's device and this one is allowed by `across`.

    Raises:
        BadTable: there are others, or `across` names what is no fact and no setting.
    """
    names = [one.name for kind in (DeviceFacts, Settings) for one in fields(kind)]
    names.append("governor")
    if odd := [name for name in across if name not in names]:
        raise BadTable(f"{odd[0]!r} is nothing in which devices differ; those are {', '.join(names)}")
    found = table.origin.differences(device.facts, device.settings)
    refused = [one for one in found if one.partition(" ")[0] not in across]
    if refused:
        raise BadTable(
            f"the latency table {table.address} was measured under other conditions: {'; '.join(refused)}. "
            "Measure as it was, make another table, or see how far off it is in spite of that, by --across "
            f"{refused[0].partition(' ')[0]}"
        )
    return tuple(found)


def _drift(table: LatencyTable, found: Validation, measured: Measured) -> str | None:
    """Why what was measured makes the table stale, marking it so if it can be; None if it does not."""
    if found.circumstances.crossed:  # it is not the table's device that would have drifted
        return None
    percent, what = found.speed_percent, "its anchors take"
    if percent is None or found.anchors * found.circumstances.passes < READINGS:
        readings = [one.reference_ms for each in measured.passes.values() for one in each if one.reference_ms]
        percent = drift(table, median(readings)) if len(readings) >= READINGS else None
        what = "the reference model takes"
    if percent is None or abs(percent) <= DRIFT_PERCENT:
        return None
    longer = f"{abs(percent):.1f} % {'longer' if percent > 0 else 'less long'}"
    reason = f"{what} {longer} than when the table was last anchored"
    with suppress(BadTable):  # one that may only be read is validated, too
        table.mark_stale(reason)
    return reason


def _anchors(table: LatencyTable) -> list[Network]:
    """The table's anchors, but for those that could not be measured when it was built."""
    there = {name for name, _ in table.measured()}
    return [one for one in table.networks() if one.role == "anchor" and one.name in there]


def _jobs(networks: Sequence[tuple[str, Graph]], anchors: Sequence[Network]) -> tuple[Job, ...]:
    # different weights, so that the two instances share nothing but their operators; anchors alike, so that
    # what instances have in common with the table's own, such as luck with memory, sets no calibration
    graphs = [*networks, *((one.name, one.graph) for one in anchors)]
    return tuple(Job(_instance(name, seed), graph, seed) for name, graph in graphs for seed in INSTANCES)


def _subjects(networks: Sequence[tuple[str, Graph]], measured: Measured) -> list[Subject]:
    """Those of the networks whose two instances were measured."""
    found = []
    for name, graph in networks:
        names = [_instance(name, number) for number in INSTANCES]
        if all(one in measured.passes for one in names):
            first, second = (tuple(map(float, pass_ms(measured.samples_ms(one)))) for one in names)
            found.append(Subject(name, graph, (first, second)))
    return found


def _circumstances(plan: Plan, measured: Measured, crossed: tuple[str, ...]) -> Circumstances:
    times = sorted(burst.context.started_at for passes in measured.passes.values() for burst in passes)
    return Circumstances(
        passes=plan.passes,
        started_at=times[0] if times else "",
        ended_at=times[-1] if times else "",
        crossed=crossed,
        failures=tuple(measured.failures.values()),
    )


def _instance(name: str, number: int) -> str:
    return f"{name}/{number}"
