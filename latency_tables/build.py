"""The job that fills a latency table: pass by pass, each kept as it comes. Chooses no networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from devices.device import Device
from devices.errors import BadSettings
from devices.measurement import Failure, Pass
from devices.plan import Plan
from latency_tables import bursts
from latency_tables.attribute import attribute_network
from latency_tables.errors import BadTable
from latency_tables.records import Network, StoredFailure
from latency_tables.store import LatencyTable

#: how a table's networks are measured unless its builder says otherwise
PLAN = Plan(passes=3, warmup_runs=2, min_runs=8, min_time_s=0.05, per_operator=True, deadline_s=120.0)


#: times a network that failed is tried in one call
TRIES = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands: `done` of `total` passes of networks; `failure` says why the last one failed."""

    done: int
    total: int
    network: str
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build came to.

    Attributes:
        measured: passes of networks that this call measured; the others were in the table already.
        missing: operators without a figure, because every network that has them failed.
    """

    networks: int
    passes: int
    measured: int
    operators: int
    missing: tuple[str, ...]
    failures: tuple[StoredFailure, ...]
    seconds: float


def build(
    table: LatencyTable,
    device: Device,
    plan: Plan = PLAN,
    on_progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Measure what the table still lacks of `plan.passes` passes over its networks.

    Anchor networks are measured among the others, so that what drifts in between drifts for both. A network
    that fails is left out until the others are done and then tried once more; if it fails again it is noted,
    and the next call tries again. Ending the process at any moment loses no more than the pass in flight.

    Raises:
        BadTable: another process is building it, or the device is not the table's; says what differs.
        DeviceTrouble: nothing can be measured on the device, for example for want of a profiler.
    """
    refuse_other_device(table, device)
    if not plan.per_operator:
        raise BadSettings("a latency table needs per-operator times: the plan must ask for them")
    started = time.monotonic()
    with table.building():
        measured = _measure(table, device, plan, on_progress or (lambda _: None))
    return BuildReport(
        networks=len(table.networks()),
        passes=plan.passes,
        measured=measured,
        operators=len(table.operators()),
        missing=tuple(table.missing()),
        failures=tuple(table.failures()),
        seconds=time.monotonic() - started,
    )


def refuse_other_device(table: LatencyTable, device: Device) -> None:
    """Raise BadTable, naming what differs, unless the device and its settings are those of the table."""
    differences = table.origin.differences(device.facts, device.settings)
    if differences:
        raise BadTable(
            f"the latency table {table.address} was measured under other conditions: "
            f"{'; '.join(differences)}. Measure as it was, or make another table"
        )


def _measure(table: LatencyTable, device: Device, plan: Plan, on_progress: Callable[[Progress], None]) -> int:
    networks = {network.name: network for network in table.networks()}
    wanted = [(name, index) for index in range(plan.passes) for name in networks]
    if plan.reference is None:  # not used by the figures, but kept with them: it shows drift of the machine
        dtype = next(iter(networks.values())).graph.dtype if networks else "float32"
        plan = replace(plan, reference=bursts.reference(dtype))
    there = table.measured()
    done = sum(each in there for each in wanted)
    on_progress(Progress(done, len(wanted), ""))
    measured = 0
    for _ in range(TRIES):
        failed: set[str] = set()
        for index in range(plan.passes):
            jobs = [
                bursts.Job(name, network.graph)
                for name, network in networks.items()
                if (name, index) not in there and name not in failed
            ]
            for result in bursts.stream(device, jobs, plan, index):
                failure = _keep(table, networks[result.model], index, result)
                if failure:
                    failed.add(result.model)
                else:
                    there.add((result.model, index))
                    measured += 1
                on_progress(Progress(done + measured, len(wanted), result.model, failure))
    return measured


def _keep(table: LatencyTable, network: Network, index: int, result: Pass | Failure) -> str | None:
    """Store a result; the message of a failure, None for a pass."""
    if isinstance(result, Pass):
        try:
            attributions = attribute_network(network.graph, result.operators or ())
        except BadTable as error:
            result = Failure(result.model, result.sha256, "NotAttributable", str(error))
        else:
            table.add(network.name, index, result, attributions)
            return None
    table.fail(network.name, index, result)
    return result.message
