"""Measures networks that a table has not seen, and its anchors among them, to judge it. Keeps no result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median

from devices.device import Device
from devices.measurement import Failure, Pass
from devices.plan import Plan
from latency_tables.errors import BadTable
from latency_tables.fitting.joining import time_of
from latency_tables.fitting.statistics import pass_ms
from latency_tables.judging.compared import Alone, Blocks, unmeasured_rivals
from latency_tables.judging.interleaved import Group, InMemory, Kept, Measured, Progress, measure
from latency_tables.judging.validation import Circumstances, Rival, Subject, Validation, judge, speed_percent
from latency_tables.measuring import bursts
from latency_tables.measuring.bursts import Job
from latency_tables.measuring.drift import READINGS, anchored_since, drift, verdict
from latency_tables.measuring.mismatch import (
    beyond,
    governor_differences,
    options,
    refuse,
    refuse_unknown_names,
)
from latency_tables.ops import Graph
from latency_tables.predict import Predictor
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
    have drifted by more than `drift.DRIFT_PERCENT` since the table was last anchored, it is marked stale: by
    passes after that only, and not where the device differs from the table's, which is a reason of its own.

    Args:
        networks: names and networks that the table has not measured.
        blocks: cuts a network into blocks, runs of its operators in order. With it, other ways to predict are
            judged by the same run: operators and blocks measured alone, a regression, operations counted.
        across: names of facts and settings in which the device may differ from the table's.

    Raises:
        MissingOperators: the table cannot predict one of them; nothing is measured then.
        BadTable: the device is not the table's, or a pass shows that its governor is not, which is not kept
            then; a network is one of the table's, or none could be measured.
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
    kept = Keeping(_SameGovernor(kept.networks, table, across), _SameGovernor(kept.alone, table, across))
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
    crossed += _governors(table, measured)
    found = judge(
        predictor,
        _subjects(networks, measured),
        _subjects([(one.name, one.graph) for one in anchors], measured),
        _circumstances(table, plan, measured, crossed),
        rivals,
    )
    if crossed:  # it may be why the device is faster or slower: nobody knows whether it has drifted
        return found
    drifted = _drift(table, predictor, anchors, measured)
    return replace(found, circumstances=replace(found.circumstances, drift=drifted))


def briefly(plan: Plan) -> Plan:
    """The plan for operators and blocks by themselves."""
    return replace(plan, passes=min(plan.passes, PASSES_ALONE), min_time_s=plan.min_time_s * SHARE_ALONE)


def differences(table: LatencyTable, device: Device, across: Collection[str] = ()) -> tuple[str, ...]:
    """What of the differences between the table's device and this one is allowed by `across`.

    Raises:
        BadTable: there are others, or `across` names what is no fact and no setting.
    """
    refuse_unknown_names(across)
    found = table.origin.differences(device.facts, device.settings)
    _refuse(table, beyond(found, across))
    return tuple(found)


class _SameGovernor:
    """Keeps results of which no pass was measured under another governor than the table's, but by leave."""

    def __init__(self, inner: Kept, table: LatencyTable, across: Collection[str]) -> None:
        self._inner, self._table, self._across = inner, table, across

    def passes(self, sha256: str) -> tuple[Pass, ...]:
        """The passes of one model that are there."""
        found = self._inner.passes(sha256)
        for one in found:
            self._check(one)
        return found

    def failure(self, sha256: str) -> Failure | None:
        """Why a model could not be measured when it was last tried."""
        return self._inner.failure(sha256)

    def add(self, outcome: Pass | Failure) -> None:
        """Keep a result."""
        if isinstance(outcome, Pass):
            self._check(outcome)
        self._inner.add(outcome)

    def _check(self, burst: Pass) -> None:
        _refuse(self._table, beyond(governor_differences(self._table, burst.context.governor), self._across))


def _refuse(table: LatencyTable, differences: Sequence[str]) -> None:
    spite = f"or see how far off it is in spite of that, by {options(differences)}"
    refuse(table, differences, f"make another table, {spite}")


def _governors(table: LatencyTable, measured: Measured) -> tuple[str, ...]:
    """How the governors of what was measured differ from the table's, by leave."""
    names = {one.context.governor for passes in measured.passes.values() for one in passes}
    return tuple(line for name in sorted(filter(None, names)) for line in governor_differences(table, name))


def _drift(
    table: LatencyTable, predictor: Predictor, anchors: Sequence[Network], measured: Measured
) -> str | None:
    """Why what was measured makes the table stale, marking it so if it can be; None if it does not."""
    fresh = _since(table, measured)
    subjects = _subjects([(one.name, one.graph) for one in anchors], fresh)
    passes = sum(len(one.passes_ms[0]) for one in subjects)
    percent = speed_percent(predictor, subjects)
    reason = verdict("its anchors take", percent)
    if percent is None or passes < READINGS:
        readings = [one.reference_ms for each in fresh.passes.values() for one in each if one.reference_ms]
        percent = drift(table, median(readings)) if len(readings) >= READINGS else None
        reason = verdict("the reference model takes", percent)
    if reason is not None:
        with suppress(BadTable):  # one that may only be read is validated, too
            table.mark_stale(reason)
    return reason


def _since(table: LatencyTable, measured: Measured) -> Measured:
    """What was measured since the table was last anchored: an earlier pass says nothing of drift since."""
    since = anchored_since(table)
    if since is None:
        return measured
    fresh = {
        name: tuple(one for one in passes if time_of(one.context.started_at) >= since)
        for name, passes in measured.passes.items()
    }
    return replace(measured, passes={name: passes for name, passes in fresh.items() if passes})


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


def _circumstances(
    table: LatencyTable, plan: Plan, measured: Measured, crossed: tuple[str, ...]
) -> Circumstances:
    times = sorted(burst.context.started_at for passes in measured.passes.values() for burst in passes)
    return Circumstances(
        passes=plan.passes,
        started_at=times[0] if times else "",
        ended_at=times[-1] if times else "",
        crossed=crossed,
        failures=tuple(measured.failures.values()),
        older=len(times) - sum(map(len, _since(table, measured).passes.values())),
    )


def _instance(name: str, number: int) -> str:
    return f"{name}/{number}"
