"""The job that fills a latency table, pass by pass, each kept as it comes. Chooses no networks of a space."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from devices.device import Device
from devices.errors import BadSettings
from devices.plan import Plan
from latency_tables.anchoring import anchor_within
from latency_tables.measuring.alone import fallbacks
from latency_tables.measuring.mismatch import refuse_other_device
from latency_tables.measuring.precision import Adaptive
from latency_tables.measuring.refine import measure_doubted_again, measure_more
from latency_tables.measuring.session import Progress, Session
from latency_tables.records import StoredFailure
from latency_tables.store import LatencyTable
from latency_tables.units import blocks_of

__all__ = ["PLAN", "Adaptive", "BuildReport", "Progress", "build", "refuse_other_device"]

#: how a table's networks are measured unless its builder says otherwise
PLAN = Plan(passes=3, warmup_runs=2, min_runs=6, min_time_s=0.04, per_operator=True, deadline_s=120.0)
#: times a network that failed is tried in one call
TRIES = 2


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build came to.

    Attributes:
        passes: over each network, by the plan.
        measured: passes of networks that this call measured; the others were in the table already.
        operators: different operators of the table's networks.
        missing: operators without a figure of their own, those only known in blocks included: no network with
            them could be measured, nor they alone.
        reasons: why an operator that is missing cannot be measured alone, where something is known.
        alone: operators that have a figure because they were measured alone.
        blocks: of each unit of several operators that has its figure as one, how many they are.
        refused: networks whose profile could not be had in this call, and why: they were measured whole.
        profiler: why the device has no profiler at all; None where it has one.
        unsettled: units whose standard error is larger than was asked for, after all passes.
        budget_over: whether the time was over before the work was done.
        anchored: whether only this call's passes of the anchors count now, because the table was stale.
        stale: why the table is stale; None if it is not.
    """

    networks: int
    passes: int
    measured: int
    operators: int
    missing: tuple[str, ...]
    failures: tuple[StoredFailure, ...]
    seconds: float
    reasons: Mapping[str, str] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    blocks: tuple[int, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    profiler: str | None = None
    unsettled: tuple[str, ...] = ()
    budget_over: bool = False
    anchored: bool = False
    stale: str | None = None


def build(
    table: LatencyTable,
    device: Device,
    plan: Plan = PLAN,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    adaptive: Adaptive | None = None,
    budget_s: float | None = None,
    stop: threading.Event | None = None,
) -> BuildReport:
    """Measure what the table lacks of `plan.passes` passes over its networks, and then what is imprecise.

    Anchor networks are measured among the others, so that what drifts in between drifts for both. A network
    that fails is left out until the others are done and then tried once more; if it fails again it is noted,
    and the next call tries again. When many have failed and none was measured the job ends. A network whose
    profile cannot be had is measured whole, and its profile asked for once more in a later pass; the next
    call asks again. Operators that are without a figure then are measured alone; where the device has no
    profiler, all of them, and the networks whole. A pass that the device itself doubts is measured again,
    once.

    A call that finds the device more than 5 % faster or slower than the table's passes, or the table stale,
    lets only its own passes of the anchors count for the calibration in the end, and measures them as often
    as that takes. Ending the process at any moment loses no more than what the device holds.

    Args:
        on_progress: told of every pass.
        adaptive: when networks are measured more often than the plan says; None: never.
        budget_s: seconds after which no network is begun any more; what is begun is kept.
        stop: once set, by another thread, the job ends as if interrupted.

    Raises:
        BadTable: another process is building it, or the device is not the table's; says what differs.
        DeviceTrouble: nothing can be measured on the device.
        KeyboardInterrupt: it was interrupted; what was measured is kept.
    """
    if not plan.per_operator:
        raise BadSettings("a latency table needs per-operator times: the plan must ask for them")
    with table.building():
        refuse_other_device(table, device)
        session = Session(table, device, plan, budget_s=budget_s, on_progress=on_progress, stop=stop)
        planned = [name for name, one in session.networks.items() if one.role in {"cover", "anchor"}]
        sweep(session, planned, "networks")
        whole = session.profiler is not None  # figures first, then what makes them better
        if whole:
            sweep(session, [one for one in planned if session.networks[one].role == "anchor"], "networks")
        reasons = measure_alone(session, table.missing_alone())
        if whole:
            sweep(session, planned, "networks")
        measure_doubted_again(session)
        left = measure_more(session, adaptive) if adaptive else ()
        session.close()
        anchored = table.stale is not None and anchor_within(session, plan.passes)
        return _report(session, reasons, left, anchored=anchored)


def measure_alone(session: Session, missing: Sequence[str]) -> dict[str, str]:
    """Measure operators alone, and some of their kinds that have a figure; why one cannot be, by operator."""
    reasons: dict[str, str] = {}
    if session.is_over() or session.hopeless:
        session.cut_short |= session.is_over() and bool(missing)
        return reasons
    if missing:
        networks, reasons = fallbacks(missing, session.table.figures())
        session.add_networks(networks)
    sweep(session, [one.name for one in session.networks.values() if one.role == "alone"], "alone")
    return reasons


def sweep(session: Session, names: Sequence[str], step: str) -> None:
    """Measure what networks lack of the plan's passes; a network that failed is tried once more at the end.

    Returns early when the budget is over, or the device turns out to have no profiler.
    """
    if not names:
        return
    passes = session.plan.passes
    profile = step != "alone" and session.profiler is None
    there = session.table.measured()
    lacking = [(name, index) for name in names for index in range(passes) if (name, index) not in there]
    done = len(names) * passes - len(lacking)
    if profile:
        complete = [name for name in names if all((name, index) in there for index in range(passes))]
        lacking += [(name, session.next_index(name)) for name in _unprofiled(session, complete)]
    session.expect(done, len(lacking), step)
    for _ in range(TRIES):
        failed: set[str] = set()
        for index in sorted({index for _, index in lacking}):
            left = [name for name, at in lacking if at == index and (name, at) not in session.keys]
            visits = {name: index for name in left if name not in failed}
            failed |= session.measure(visits, index, step, profile=profile)
            if session.is_over() or (profile and session.profiler is not None):
                undone = [one for one in lacking if one not in session.keys and one[0] not in failed]
                session.cut_short |= session.is_over() and bool(undone)
                return


def _unprofiled(session: Session, names: Sequence[str]) -> list[str]:
    """Networks that cover operators, of which no pass told them, though others' did: to be asked once more.

    Not more often than a plan has passes: it may be that it never can.
    """
    asked = [
        name
        for name in names
        if session.networks[name].role == "cover" and session.next_index(name) < 2 * session.plan.passes
    ]
    told = {one.network for one in session.table.observations()} if asked else set()
    return [name for name in asked if told and name not in told]


def _report(
    session: Session, reasons: Mapping[str, str], left: Sequence[str], *, anchored: bool
) -> BuildReport:
    table = session.table
    missing = table.missing_alone()
    figures = table.figures() if table.measured() else {}
    return BuildReport(
        networks=len(table.networks()),
        passes=session.plan.passes,
        measured=session.measured,
        operators=len(table.operators()),
        missing=tuple(missing),
        failures=tuple(table.failures()),
        seconds=session.seconds,
        reasons={unit: reason for unit, reason in reasons.items() if unit in missing},
        alone=tuple(unit for unit, one in figures.items() if one.method == "alone"),
        blocks=tuple(blocks_of(figures)),
        refused=dict(session.refused),
        profiler=session.profiler,
        unsettled=tuple(left),
        budget_over=session.cut_short,
        anchored=anchored,
        stale=table.stale,
    )
