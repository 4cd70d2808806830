"""Predicted against measured, on networks a table has not seen, beside a noise floor. Stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from devices.device import Device
from devices.measurement import Failure
from devices.plan import Plan
from latency_tables import bursts
from latency_tables.build import Progress, refuse_other_device
from latency_tables.errors import BadTable
from latency_tables.ops import Graph
from latency_tables.statistics import network_ms
from latency_tables.store import LatencyTable

#: how held-out networks are measured unless the caller says otherwise
PLAN = Plan(passes=5, warmup_runs=2, min_runs=10, min_time_s=0.1, deadline_s=120.0)
INSTANCES = (1, 2)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One network's prediction, its measured latency, and that of each of its two instances.

    All three are medians over passes of each pass's lower quartile: of one instance's passes, or of both's.
    """

    name: str
    predicted_ms: float
    measured_ms: float
    instances_ms: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Validation:
    """How far a table may be trusted.

    Attributes:
        mape_percent: mean absolute error of the prediction, in percent of the measured latency.
        within_5_percent: percent of the networks whose error is at most 5 %.
        within_10_percent: likewise, 10 %.
        spearman: rank correlation of predicted and measured; None for fewer than three networks.
        noise_floor_percent: the same networks against themselves: mean absolute difference of a network's two
            instances (same operators, other weights, another place in memory), in percent of the second.
            Errors are told from `measured_ms`, to which both instances belong and which lies between them: so
            a perfect predictor would have a `mape_percent` of about half the noise floor, not of all of it.
        bias_percent: median error with its sign; what is common to all networks, such as a machine that
            became slower since the table was built.
        networks: networks measured.
    """

    mape_percent: float
    within_5_percent: float
    within_10_percent: float
    spearman: float | None
    noise_floor_percent: float
    bias_percent: float
    networks: int
    details: tuple[HeldOut, ...]
    failures: tuple[Failure, ...]


def validate(
    table: LatencyTable,
    networks: Sequence[tuple[str, Graph]],
    device: Device,
    plan: Plan = PLAN,
    on_progress: Callable[[Progress], None] | None = None,
) -> Validation:
    """Measure networks as two independent instances each, in shuffled passes, and compare with the table.

    Raises:
        MissingOperators: the table cannot predict one of them; nothing is measured then.
        BadTable: the device is not the table's, a network is one of the table's, or none could be measured.
    """
    refuse_other_device(table, device)
    seen = {network.graph.specs for network in table.networks()}
    known = [name for name, graph in networks if graph.specs in seen]
    if known:
        raise BadTable(f"{', '.join(known)}: in the table {table.address} already, so not held out")
    predicted = {name: table.predict(graph.specs).latency_ms for name, graph in networks}
    # different weights, so that the two share nothing but their operators
    jobs = {
        _instance(name, number): bursts.Job(_instance(name, number), graph, seed=number)
        for name, graph in networks
        for number in INSTANCES
    }
    samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in jobs}
    failures: dict[str, Failure] = {}
    total = len(jobs) * plan.passes
    done = 0
    report = on_progress or (lambda _: None)
    report(Progress(done, total, ""))
    for index in range(plan.passes):
        left = [job for name, job in jobs.items() if name not in failures]
        for result in bursts.stream(device, left, plan, index):
            done += 1
            if isinstance(result, Failure):
                failures[result.model] = result
                report(Progress(done, total, result.model, result.message))
            else:
                samples[result.model].append(result.distribution_ms)
                report(Progress(done, total, result.model))
    details = []
    for name, _ in networks:
        first, second = (_instance(name, number) for number in INSTANCES)
        if first in failures or second in failures:
            continue
        details.append(
            HeldOut(
                name,
                predicted[name],
                network_ms(samples[first] + samples[second]),
                (network_ms(samples[first]), network_ms(samples[second])),
            )
        )
    return compare(details, [failures[name] for name in jobs if name in failures])


def compare(details: Sequence[HeldOut], failures: Sequence[Failure] = ()) -> Validation:
    """The figures of a validation from its networks.

    Raises:
        BadTable: there are no networks.
    """
    if not details:
        first = f": {failures[0].message}" if failures else ""
        raise BadTable(f"no held-out network was measured, {len(failures)} failed{first}")
    predicted = np.array([one.predicted_ms for one in details])
    measured = np.array([one.measured_ms for one in details])
    first, second = np.array([one.instances_ms for one in details]).T
    errors = (predicted - measured) / measured * 100
    return Validation(
        mape_percent=float(np.mean(np.abs(errors))),
        within_5_percent=float(np.mean(np.abs(errors) <= 5) * 100),
        within_10_percent=float(np.mean(np.abs(errors) <= 10) * 100),
        spearman=_spearman(predicted, measured),
        noise_floor_percent=float(np.mean(np.abs(first - second) / second) * 100),
        bias_percent=float(np.median(errors)),
        networks=len(details),
        details=tuple(details),
        failures=tuple(failures),
    )


def _spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def _instance(name: str, number: int) -> str:
    return f"{name}/{number}"
