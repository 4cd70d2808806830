"""A short visit of a search to a device: it is had for itself, looked at, and measures a few networks.

Knows a table's origin and its anchors. Does not know what the latencies are for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devices.errors import DeviceBusy, DevicesError
from devices.governor import governor_now
from devices.measurement import Failure, Pass
from devices.plan import Plan
from devices.streaming import drain
from latency_tables.fitting.statistics import network_ms
from latency_tables.measuring import bursts
from latency_tables.measuring.bursts import Job
from latency_tables.measuring.mismatch import beyond
from mnas.errors import MnasError
from mnas.latency import differing

if TYPE_CHECKING:
    from devices.device import Device
    from latency_tables.ops import Graph
    from latency_tables.records import Origin
    from latency_tables.store import LatencyTable

#: how a visit measures: an interval of a table is for 10 passes, of half of them a median errs by 2 % at most
PLAN = Plan(passes=5, warmup_runs=2, min_runs=10, min_time_s=0.1)
#: how long a visit waits for a device that another job has
WAIT_S = 20.0
_ASK_AGAIN_S = 0.5
#: anchors measured along: their median knows the device's speed to 1 %
ANCHORS = 4


class OtherDevice(MnasError):
    """The device is not as the table was measured; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor network of a table with its latency there."""

    name: str
    graph: Graph
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Place:
    """A device to visit, and what it is to be like.

    Attributes:
        name: of the device, for people.
        connect: opens it; may wait up to `WAIT_S` for another job.
        origin: of the table whose predictions are compared; None: any device will do.
        anchors: of that table.
        across: names of facts and settings in which the device may differ from the table's.
        here: whether it is this machine: then nothing else of the search may compute meanwhile, and this
            host's lock on it is held, which the devices at the end of a link take themselves.
    """

    name: str
    connect: Callable[[], Device]
    origin: Origin | None = None
    anchors: tuple[Anchor, ...] = ()
    across: Collection[str] = ()
    here: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What a visit says of one network.

    Attributes:
        job: as it was asked for.
        latency_ms: the median over passes of each one's lower quartile.
        passes: that count: those the device itself doubts do not.
    """

    job: Job
    latency_ms: float
    passes: tuple[Pass, ...]


def anchors_of(table: LatencyTable, count: int = ANCHORS) -> tuple[Anchor, ...]:
    """Some of a table's measured anchors, from its fastest to its slowest; none where it has none."""
    there = {name: network_ms(passes) for name, passes in table.contents().anchors_ms.items()}
    graphs = {one.name: one.graph for one in table.networks()}
    ordered = sorted(there, key=lambda name: (there[name], name))
    if len(ordered) > count:  # the middles of as many equal parts
        ordered = [ordered[int((part + 0.5) * len(ordered) / count)] for part in range(count)]
    return tuple(Anchor(name, graphs[name], there[name]) for name in ordered)


def place_of(
    name: str,
    connect: Callable[[], Device],
    table: LatencyTable,
    *,
    across: Collection[str] = (),
    here: bool = False,
) -> Place:
    """The place where a table's predictions can be held against its device; arguments as `Place` has them."""
    return Place(name, connect, table.origin, anchors_of(table), across, here)


def visit(
    place: Place,
    jobs: Sequence[Job],
    on_measured: Callable[[Measured], None],
    on_failure: Callable[[Failure], None] = lambda _: None,
    *,
    plan: Plan = PLAN,
    paused: Callable[[], AbstractContextManager[object]] = nullcontext,
    stop: threading.Event | None = None,
) -> None:
    """Measure networks and the place's anchors in shuffled passes over all of them.

    Args:
        jobs: of different names, none an anchor's.
        on_measured: told each network once, as soon as it has its passes; in trouble, and when interrupted,
            those too that have some.
        on_failure: told each network that the device cannot measure.
        paused: entered while this machine measures: returns once no evaluation computes.
        stop: once set, nothing more is measured, and what is held is told.

    Raises:
        OtherDevice: the device is not the table's; nothing was measured.
        DevicesError: it cannot be had, or not any more.
        KeyboardInterrupt: what was measured has been told.
    """
    wanted = {job.name: job for job in (*jobs, *(Job(one.name, one.graph) for one in place.anchors))}
    passes: dict[str, list[Pass]] = {name: [] for name in wanted}
    failed: set[str] = set()

    def told(name: str) -> None:
        latency_ms = network_ms([one.distribution_ms for one in passes[name]])
        on_measured(Measured(wanted.pop(name), latency_ms, tuple(passes[name])))

    def file(outcome: Pass | Failure) -> None:
        if isinstance(outcome, Failure):
            if outcome.model not in failed:
                failed.add(outcome.model)
                on_failure(outcome)
        elif outcome.context.suspect is None and outcome.model in wanted:
            passes[outcome.model].append(outcome)
            if len(passes[outcome.model]) == plan.passes:
                told(outcome.model)

    def every() -> Iterator[Pass | Failure]:
        order = list(wanted.values())
        for index in range(plan.passes):
            left = [job for job in order if job.name not in failed]
            yield from bursts.stream(device, left, plan, index)

    with had(place, paused) as device:
        try:
            drain(every(), file, stop.is_set if stop is not None else None)
        finally:
            for name in [name for name in wanted if passes[name]]:
                told(name)


@contextmanager
def had(place: Place, paused: Callable[[], AbstractContextManager[object]] = nullcontext) -> Iterator[Device]:
    """The device of a place, which is as its table was measured; closed at the end.

    Raises:
        OtherDevice: it is not.
        DevicesError: it cannot be had.
    """
    with ExitStack() as stack:
        if place.here:
            stack.enter_context(_this_machine(place.name))
            stack.enter_context(paused())
        device = stack.enter_context(closing(place.connect()))
        if place.origin is not None:
            found = differing(place.origin, device.facts, device.settings, governor_now(device))
            if refused := beyond(found, place.across):
                raise OtherDevice("; ".join(refused))
        yield device


@contextmanager
def _this_machine(name: str) -> Iterator[None]:
    """This host's lock on itself, waited for up to `WAIT_S`.

    Raises:
        DeviceBusy: another job has it for longer.
        DevicesError: the lock cannot be written.
    """
    from devices.bench.holder import Holder, lock_file
    from devices.lock import held

    deadline = time.monotonic() + WAIT_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(lock_file("local"), Holder.here().to_json()))
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    holder = Holder.parse(error.strerror or "")
                    raise DeviceBusy(f"{name} is in use by {holder}") from None
                time.sleep(_ASK_AGAIN_S)
            except OSError as error:
                raise DevicesError(f"cannot lock {name}: {error}") from error
        yield
