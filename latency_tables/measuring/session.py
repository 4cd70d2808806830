"""One job's work at a table: measures what it is told to, keeps each result, knows when to stop.

Chooses nothing: what is to be measured is said by `build`, `extend` and `anchoring`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic

from devices.device import Device
from devices.errors import ProfilerUnavailable
from devices.measurement import Failure, Pass
from devices.plan import Plan
from devices.streaming import drain
from latency_tables.errors import BadTable
from latency_tables.fitting.joining import PassKey, time_of
from latency_tables.measuring import bursts
from latency_tables.measuring.drift import Drift
from latency_tables.measuring.mismatch import refuse_other_governor
from latency_tables.profiles.attribute import Attribution, attribute_network
from latency_tables.records import Network
from latency_tables.store import LatencyTable

#: profiles refused one after the other, none being had, before a device counts as one without a profiler
REFUSALS = 6
#: failures, nothing having been measured, after which no more networks are tried: it is not the networks
FAILURES = 20
#: times that a network's profile is asked for, once it was refused, before it is measured whole for good
ASKED = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands: `done` of `total` passes of networks.

    Attributes:
        total: as far as it is known now; adaptive passes and operators measured alone are added when chosen.
        network: the last one; empty before the first.
        failure: why the last one failed; None if it did not.
        step: `networks`, `more passes`, `alone` or `anchors`.
    """

    done: int
    total: int
    network: str
    failure: str | None = None
    step: str = "networks"


class Session:
    """A job at a table, from its start to its end, on one device.

    Attributes:
        measured: passes that it added.
        refused: networks whose profile could not be had, and why; those are measured whole.
        profiler: why the device has no profiler at all; None while nothing says so.
        cut_short: whether something was left undone because its budget was used up.
        keys: the passes that it added.
        earliest: by role, the first `started_at` of its passes, by the clock that all passes are dated by.
    """

    def __init__(
        self,
        table: LatencyTable,
        device: Device,
        plan: Plan,
        *,
        budget_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Measures nothing yet.

        Args:
            plan: how; where it has no reference model it gets one, which shows drift of the machine.
            budget_s: seconds after which nothing more is begun.
            stop: once set, what is held is kept and KeyboardInterrupt raised.
        """
        self.table = table
        self.networks = {network.name: network for network in table.networks()}
        if plan.reference is None:
            dtype = next((one.graph.dtype for one in self.networks.values()), "float32")
            plan = replace(plan, reference=bursts.reference(dtype))
        self.plan = plan
        self.measured = 0
        self.refused: dict[str, str] = {}
        self._refusals: Counter[str] = Counter()
        self.profiler: str | None = None
        self.cut_short = False
        self.keys: set[PassKey] = set()
        self.earliest: dict[str, str] = {}
        self._device = device
        self._budget_s = budget_s
        self._on_progress = on_progress or (lambda _: None)
        self._stop = stop
        self._began = monotonic()
        self._profiles = 0
        self._failures = 0
        self._drift = Drift(table)
        self._next: dict[str, int] = {}
        for name, index in table.measured():
            self._next[name] = max(self._next.get(name, 0), index + 1)
        self._done = self._total = 0

    @property
    def seconds(self) -> float:
        """Since it began."""
        return monotonic() - self._began

    @property
    def drift_percent(self) -> float | None:
        """How much longer networks take than then; None before `close`, or if nobody knows."""
        return self._drift.percent

    def is_over(self) -> bool:
        """Whether its budget is used up."""
        return self._budget_s is not None and self.seconds >= self._budget_s

    @property
    def hopeless(self) -> bool:
        """Whether nothing was measured, and so many networks failed that the rest would too."""
        return not self.measured and self._failures >= FAILURES

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stop is not None and self._stop.is_set()

    @property
    def drifted(self) -> str | None:
        """Why the device is not as fast as when the table was anchored; None if it is, or nobody knows."""
        return self._drift.reason

    def next_index(self, name: str) -> int:
        """The index of a network's next pass."""
        return self._next.get(name, 0)

    def expect(self, done: int, more: int, step: str) -> None:
        """Tell the progress of passes that are there already, and of those to come as far as is known."""
        self._done += done
        self._total = self._done + more
        self._on_progress(Progress(self._done, self._total, "", step=step))

    def add_networks(self, networks: list[Network]) -> None:
        """Add networks to the table; those that it has stay as they are.

        Raises:
            BadTable: the table has another network of one's name.
        """
        if new := [one for one in networks if self.networks.get(one.name) != one]:
            self.table.add_networks(new)
            self.networks |= {one.name: one for one in new}

    def measure(
        self,
        visits: Mapping[str, int],
        order: int,
        step: str,
        *,
        profile: bool = True,
        contents: Mapping[str, bytes] | None = None,
    ) -> set[str]:
        """Measure networks once each, in a random order, and keep every result.

        Args:
            visits: by network, the index that its pass gets.
            order: of all calls of this kind, the number: each has an order of its own.
            profile: also per operator; a network whose profile cannot be had is measured whole.
            contents: files of the networks that are not to be written.

        Returns:
            The networks that failed.

        Raises:
            KeyboardInterrupt: it was stopped; what was measured is kept.
            DeviceTrouble: the device is in trouble; likewise.
            BadTable: the device's governor is another than the table's, or the table cannot be written.
        """
        failed: set[str] = set()
        left = dict(visits)
        if profile and self.profiler is None:
            asked = {name: index for name, index in visits.items() if self._refusals[name] < ASKED}
            failed |= self._run(asked, order, step, contents or {}, profile=True)
            left = {
                name: index
                for name, index in visits.items()
                if name in self.refused and (name, index) not in self.keys
            }
        return failed | self._run(left, order, step, contents or {}, profile=False)

    def close(self) -> None:
        """Say that all is measured: whether the device had drifted is known then."""
        self._drift.close(self.keys)

    def _run(
        self,
        visits: Mapping[str, int],
        order: int,
        step: str,
        contents: Mapping[str, bytes],
        *,
        profile: bool,
    ) -> set[str]:
        failed: set[str] = set()
        if not visits or self.hopeless:
            return failed
        if self.is_over():
            self.cut_short = True
            return failed
        jobs = [
            bursts.Job(name, self.networks[name].graph, content=contents.get(name)) for name in sorted(visits)
        ]
        found = bursts.stream(self._device, jobs, replace(self.plan, per_operator=profile), order)

        def file(result: Pass | Failure) -> None:
            failure = self._keep(result, visits[result.model], profile=profile)
            if failure is not None and result.model not in self.refused:
                failed.add(result.model)
            self._on_progress(Progress(self._done, self._total, result.model, failure, step))

        def ends() -> bool:
            in_vain = self.hopeless or (profile and self.profiler is not None)
            return self.is_over() or self.stopped or in_vain

        try:
            drain(found, file, ends)
        except ProfilerUnavailable as error:
            if not profile:
                raise
            self.profiler = str(error)
        if self.stopped:
            raise KeyboardInterrupt
        undone = (
            visits.keys() - failed - {name for name, index in visits.items() if (name, index) in self.keys}
        )
        self.cut_short |= self.is_over() and bool(undone)
        return failed

    def _keep(self, result: Pass | Failure, index: int, *, profile: bool) -> str | None:
        """Store a result; what there is to say against it."""
        name = result.model
        if isinstance(result, Failure):
            if profile and result.error == ProfilerUnavailable.__name__:
                return self._refuse(name, result.message)
            self._failures += 1
            self.table.fail(name, index, result)
            return result.message
        refuse_other_governor(self.table, result)
        said = None
        attributions: tuple[Attribution, ...] = ()
        if profile:
            try:
                attributions = attribute_network(self.networks[name].graph, result.operators or ())
                self._profiles += 1
                self.refused.pop(name, None)
            except BadTable as error:
                said = self._refuse(name, str(error))
        self.table.add(name, index, result, attributions)
        self.measured += 1
        self._done += 1
        self.keys.add((name, index))
        self._next[name] = max(self._next.get(name, 0), index + 1)
        role = self.networks[name].role
        started = result.context.started_at
        self.earliest[role] = min(self.earliest.get(role, started), started, key=time_of)
        self._drift.saw(result.reference_ms)
        return said

    def _refuse(self, name: str, reason: str) -> str:
        """Note that a network's profile cannot be had; so many in a row, and the device has no profiler."""
        self.refused[name] = reason
        self._refusals[name] += 1
        if not self._profiles and len(self.refused) >= REFUSALS:
            self.profiler = reason
        return f"{reason}; it is measured whole"
