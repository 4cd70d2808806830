"""How a table stands: coverage, precision, age, doubts. Measures nothing and judges no prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from latency_tables.figures import Figure
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.joining import time_of
from latency_tables.measuring.drift import anchored_since
from latency_tables.measuring.precision import (
    Adaptive,
    known_share_percent,
    unsettled,
    weighted_standard_error_percent,
)
from latency_tables.records import Burst, Method, StoredFailure
from latency_tables.shares import shares_of_time
from latency_tables.store import LatencyTable
from latency_tables.units import Unit, Units, blocks_of

#: standard error in percent beyond which an operator counts as imprecise
PRECISION_PERCENT = Adaptive().precision_percent


@dataclass(frozen=True, slots=True)
class Doubt:
    """A pass of a network that the device itself doubts, and why."""

    network: str
    pass_index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imprecise:
    """A unit whose standard error is large, and its share of the time of networks."""

    unit: str
    std_error_percent: float
    share_percent: float


@dataclass(frozen=True, slots=True)
class Status:
    """How a table stands.

    Attributes:
        operators: different operators of its networks, and of the parts of networks that it is to have.
        methods: by method, units that have their figure that way.
        blocks: of each unit of several operators that has its figure as one, how many they are.
        missing: operators without a figure.
        missing_alone: operators of its own networks without a figure of their own, those of blocks included.
        networks: networks to measure.
        unmeasured: cover and anchor networks without a pass.
        complete_passes: passes in which each cover and anchor network was measured.
        measured_passes: passes over single networks that are stored.
        given_from: where the figures that were not measured here are from, in words; None if nobody said.
        weighted_std_error_percent: mean standard error of the figures, each weighted by its share of the time
            of networks, over those whose error is known; None while none is, as after one pass only.
        known_share_percent: of which share of the time of networks that is; None where there are no networks.
        between_pass_percent: mean spread between passes, by share of time; None if unknown.
        between_network_percent: likewise between networks.
        imprecise: units whose standard error is over `PRECISION_PERCENT`, and over what the profiler's clock
            can tell apart; the largest share of time first.
        calibration: None while the table cannot predict.
        measured_from: ISO 8601 time of the first pass; None where there is none.
        measured_until: of the last pass.
        anchored_at: of the last pass of an anchor that the calibration counts; None without one.
        stale: why the table is stale; None if it is not.
        doubts: passes that the device itself doubts.
        failures: networks whose last try failed.
    """

    operators: int
    methods: Mapping[Method, int]
    blocks: tuple[int, ...]
    missing: tuple[str, ...]
    missing_alone: tuple[str, ...]
    networks: int
    unmeasured: int
    complete_passes: int
    measured_passes: int
    given_from: str | None
    weighted_std_error_percent: float | None
    known_share_percent: float | None
    between_pass_percent: float | None
    between_network_percent: float | None
    imprecise: tuple[Imprecise, ...]
    calibration: Calibration | None
    measured_from: str | None
    measured_until: str | None
    anchored_at: str | None
    stale: str | None
    doubts: tuple[Doubt, ...]
    failures: tuple[StoredFailure, ...]

    @property
    def complete(self) -> bool:
        """Whether the table can predict every network of its space, and each of its own was measured."""
        figures = not self.missing and not self.missing_alone
        return figures and not self.unmeasured and self.calibration is not None


def status_of(table: LatencyTable, parts: Sequence[Unit] = ()) -> Status:
    """How a table stands.

    Args:
        parts: what networks are made of that the table is to predict, beside its own: each some operators in
            their order. A table of given figures has no networks that would say it.

    Raises:
        BadTable: it cannot be read.
    """
    networks = table.networks()
    figures = table.figures()
    bursts = table.bursts()
    counts = Counter(one.network for one in bursts)
    shares = shares_of_time(figures, networks)
    times = sorted(one.started_at for one in bursts)
    anchors = {one.name for one in networks if one.role == "anchor"}
    since = anchored_since(table, bursts)
    anchored = [
        one.started_at
        for one in bursts
        if one.network in anchors and (since is None or time_of(one.started_at) >= since)
    ]
    planned = [one.name for one in networks if one.role in ("cover", "anchor")]
    return Status(
        operators=len({*table.operators(), *(str(spec) for part in parts for spec in part)}),
        methods={
            method: sum(one.method == method for one in figures.values()) for method in get_args(Method)
        },
        blocks=tuple(blocks_of(figures)),
        missing=tuple(lacked(table, parts)),
        missing_alone=tuple(table.missing_alone()),
        networks=len(networks),
        unmeasured=sum(not counts[name] for name in planned),
        complete_passes=min((counts[name] for name in planned), default=0),
        measured_passes=len(bursts),
        given_from=table.given_from,
        weighted_std_error_percent=weighted_standard_error_percent(table, shares) if figures else None,
        known_share_percent=known_share_percent(figures, shares),
        between_pass_percent=_mean((shares[one.unit], one.between_pass_percent) for one in figures.values()),
        between_network_percent=_mean(
            (shares[one.unit], one.between_network_percent) for one in figures.values()
        ),
        imprecise=_imprecise(figures, shares),
        calibration=table.predictor().calibration if table.ready else None,
        measured_from=times[0] if times else None,
        measured_until=times[-1] if times else None,
        anchored_at=max(anchored, default=None),
        stale=table.stale,
        doubts=tuple(_doubts(bursts)),
        failures=tuple(table.failures()),
    )


def lacked(table: LatencyTable, parts: Sequence[Unit] = ()) -> list[str]:
    """The operators that a table has no figure for, in its own networks and in parts of others.

    An operator that is only known in a block counts as missing where a part has it without that block.
    """
    units = Units(table.figures()) if parts else None
    found = dict.fromkeys(table.missing())
    for part in parts:
        if units is not None:
            found.update(dict.fromkeys(map(str, units.split(part)[1])))
    return list(found)


def _imprecise(figures: Mapping[str, Figure], shares: Mapping[str, float]) -> tuple[Imprecise, ...]:
    found = [
        Imprecise(unit, 100 * (error / figures[unit].latency_ms), 100 * shares[unit])
        for unit in unsettled(figures, PRECISION_PERCENT)
        if (error := figures[unit].std_error_ms) is not None
    ]
    return tuple(sorted(found, key=lambda one: (-one.share_percent, one.unit)))


def _doubts(bursts: Iterable[Burst]) -> Iterator[Doubt]:
    for one in bursts:
        if one.context.get("suspect"):
            yield Doubt(one.network, one.pass_index, str(one.context["suspect"]))


def _mean(values: Iterable[tuple[float, float | None]]) -> float | None:
    """The mean of those that are known, each with its weight; None if none of any weight is."""
    known = [(weight, value) for weight, value in values if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else None
