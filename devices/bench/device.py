"""Measures so that the numbers can be trusted, whatever the link, the temperature or other people do.

Knows batches, and what to do about breaks, heat and drift. Does not know how a device is reached.

A plan is measured in batches of about half a minute. A batch's rows are held back until the canary after
them agrees with its history and the lease was seen to hold; only then does the caller get them. A broken link
loses the visit that it broke, a lost lease the batch; drift and heat have it measured again, or marked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from devices.bench.canary import Verdict
from devices.bench.hold import Hold
from devices.bench.lease import EXPIRY_S
from devices.bench.limits import Limits
from devices.bench.retry import retry
from devices.bench.thermal import is_held
from devices.bench.wanted import Wanted
from devices.bench.watch import Watch
from devices.bench.worklist import Batch, Worklist, first_size, next_size
from devices.device import Device
from devices.errors import (
    DevicesError,
    DeviceTrouble,
    LeaseLost,
    ModelRejected,
    TransientError,
    UnreadableOutput,
)
from devices.facts import DeviceState, state
from devices.governor import joined
from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.survey import survey
from devices.transport import Transport

__all__ = ["BenchDevice", "Limits"]

#: how often a batch is measured before its rows are marked, and how long the device is left alone in between
ATTEMPTS, PAUSE_S = 3, 20.0
#: how long a device may stand idle between two streams and still be warm, and how long it may be out of reach
#: for a canary after that to speak for what was measured before
IDLE_S, OUTAGE_S = 2.0, 5.0
#: how often the link may break in one batch without anything having been measured in between
BREAKS = 6

Row = Pass | Failure


class BenchDevice:
    """A device shared with other people, over a link that may break (see `Device`).

    The device is this job's from its first use to `close`.
    """

    def __init__(
        self,
        inner: Device,
        transport: Transport,
        work: str,
        address: str,
        tag: str,
        *,
        wanted: Wanted | None = None,
        limits: Limits | None = None,
        reference: ModelFile | None = None,
        wait_s: float = 0.0,
        expiry_s: float = EXPIRY_S,
        on_event: Callable[[str], None] | None = None,
        look: Callable[[], DeviceState] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Reaches nothing yet.

        Args:
            inner: what measures; closed with this.
            transport: the way to the device, the same that `inner` has.
            work: the work folder there.
            address: the device's name.
            tag: the transport's.
            wanted: the conditions to set.
            limits: of temperature and patience.
            reference: the canary; None: measure without.
            wait_s: how long to wait for another job that has the device.
            expiry_s: how long after the last heartbeat the lease ends.
            on_event: told in a sentence what is waited for, and what went wrong and is tried again.
            look: how the device is; by default a survey of it.
            clock: seconds that only grow.
            sleep: lets seconds pass.
        """
        self._inner = inner
        self._address = address
        self._limits = limits or Limits()
        self._on_event = on_event or (lambda _: None)
        self._clock, self._sleep = clock, sleep
        self._wanted = wanted or Wanted()
        self._begun = False
        self._ended = -math.inf
        self._hold = Hold(
            transport,
            work,
            address,
            tag,
            wanted=wanted,
            wait_s=wait_s,
            expiry_s=expiry_s,
            on_event=on_event,
        )
        self._watch = Watch(
            inner,
            address,
            look=look or (lambda: state(survey(transport, work, glance=True))),
            limits=self._limits,
            reference=reference,
            probe=self._hold.probe,
            on_event=self._on_event,
            clock=clock,
            sleep=sleep,
        )

    @property
    def facts(self) -> DeviceFacts:
        """What the device is. Takes the device, so that asking disturbs nobody.

        Raises:
            DevicesError: as `stream`.
        """
        self._begin()
        return self._inner.facts

    @property
    def settings(self) -> Settings:
        """How models are run on it."""
        return self._inner.settings

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Row]:
        """Measure models by a plan, batch by batch: every model in every pass once, or one failure of it.

        Interrupted or in trouble, it yields what it still holds, with the doubt that no canary came after it.

        Raises:
            DeviceBusy: another job has the device.
            LeaseLost: another job took it after this one was out of reach for too long.
            TooHot: it did not cool down in time.
            TransientError: it is out of reach: at once at the first contact, later after many tries.
            DevicesError: whatever ends the runner's own stream.
        """
        self._begin()
        self._watch.plan_for(plan.deadline_s)
        if self._clock() - self._ended > IDLE_S:
            self._watch.left_alone()
        work = Worklist(models, plan)
        size = first_size(plan)
        while len(work):
            batch = work.batch(size)
            try:
                self._measure(batch, plan)
            except BaseException:
                yield from _each(self._rescued(batch))
                raise
            work.settle(batch)
            size = next_size(size, batch)
            self._ended = self._clock()
            yield from _each(batch.stamped(self.notes))

    def canary(self) -> Verdict | None:
        """Measure the canary now, and judge it by its history; None without one.

        Raises:
            DevicesError: as `stream`.
        """
        self._begin()
        self._watch.left_alone()
        return self._watch.opening(self._watch.gate(None))

    def governor_now(self) -> str | None:
        """Who chooses the measuring cores' frequency, under the conditions that are set; None if unknown.

        Where it is not known on which cores is measured, it is unknown unless all have the same.

        Raises:
            DevicesError: as `stream`.
        """
        self._begin()
        found = self._watch.look().governors
        cpus = self._wanted.cpus
        names = {found.get(cpu) for cpu in (found if cpus is None else cpus)}
        return None if cpus is None and len(names) > 1 else joined(names)

    def close(self) -> None:
        """Put the conditions back and let go of the device. May be called twice."""
        with ExitStack() as stack:
            stack.callback(self._inner.close)
            try:
                self._hold.let_go()
            except LeaseLost as error:
                self._on_event(f"{error}: what was set there has been put back without this job")
            except DevicesError as error:
                self._on_event(f"{error}: the device itself puts back what was set, within a minute")

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the conditions, and why there is no canary if there is none."""
        return (*self._hold.notes, *self._watch.notes)

    def _begin(self) -> None:
        """Take the device. The first contact is not tried twice: an address may be wrong."""
        if self._begun:
            self._settle_again()
        else:
            self._hold.settle()
            self._begun = True

    def _settle_again(self) -> None:
        """Reach the device again, and have its lease and conditions."""

        def tell(error: TransientError, pause_s: float) -> None:
            self._on_event(f"{self._address}: {error}; trying again in {pause_s:.2g} s")

        retry(self._hold.settle, self._limits.reconnect_s, tell, clock=self._clock, sleep=self._sleep)

    def _measure(self, batch: Batch, plan: Plan) -> None:
        """Fill a batch; what speaks against it, however often it was measured, is its doubt."""
        attempts = 1 if plan.sustained else ATTEMPTS
        for left in reversed(range(attempts)):
            batch.doubt = self._attempt(batch, plan, last=left == 0)
            if batch.doubt is None or left == 0 or (self._watch.resigned and batch.missing() is None):
                return
            self._on_event(f"{self._address}: {batch.doubt}; leaving it alone, then measuring again")
            batch.stale = True
            self._sleep(min(PAUSE_S, self._limits.cooldown_s))
            self._watch.left_alone()

    def _attempt(self, batch: Batch, plan: Plan, last: bool) -> str | None:
        """Fill a batch whatever the link does; returns what speaks against it."""
        most, breaks = 0, 0
        while True:
            try:
                return self._fill(batch, plan, last)
            except (TransientError, LeaseLost) as error:
                breaks = 0 if len(batch.rows) > most else breaks + 1
                most = max(most, len(batch.rows))
                if breaks > BREAKS:
                    raise
                self._on_event(f"{self._address}: {error}; reaching for it again")
                begin = self._clock()
                self._settle_again()
                self._watch.left_alone()
                batch.cut |= self._clock() - begin > OUTAGE_S

    def _fill(self, batch: Batch, plan: Plan, last: bool) -> str | None:
        """Measure what a batch lacks, between two looks at the device and its canary."""
        fence = self._hold.verify()
        if batch.fence != fence:
            batch.clear()
            batch.fence = fence
        doubts = [] if plan.sustained else self._held_doubts(batch)
        if doubts and not last:
            return "; ".join(doubts)
        missing = batch.missing()
        before = self._watch.gate(missing[1][0] if missing else None, cool=not plan.sustained)
        opening = None if plan.sustained else self._watch.opening(before)
        if opening is not None and opening.drifts and not last:
            return str(opening)
        if batch.stale:
            batch.forget()
        if batch.before_c is None:
            batch.before_c = before.hottest_c
        self._saw(batch, before)
        self._run(batch, plan)
        after = self._watch.look()
        batch.after_c = after.hottest_c
        self._saw(batch, after)
        closing = None if plan.sustained else self._watch.reading(after)
        self._hold.verify()
        if plan.sustained:
            return None
        doubts += [str(one) for one in (opening, closing) if one is not None and one.drifts]
        return "; ".join([*doubts, *self._watch.heat(after, batch.throttled)]) or None

    def _saw(self, batch: Batch, seen: DeviceState) -> None:
        """Note in a batch whether the device says that it is slowed down."""
        held = is_held(seen, self._wanted.frequency_khz, self._wanted.cpus)
        batch.saw(seen.throttled_now, held)

    def _held_doubts(self, batch: Batch) -> list[str]:
        """What speaks against rows that are held from before the link broke."""
        if not batch.rows or batch.stale:
            return []
        cut = ["the device was out of reach for long, with no canary before that"] if batch.cut else []
        seen = self._watch.look()
        self._saw(batch, seen)
        return [*cut, *self._watch.heat(seen, batch.throttled)]

    def _run(self, batch: Batch, plan: Plan) -> None:
        """Ask the runner for what a batch lacks."""
        begin = self._clock()
        while missing := batch.missing():
            indices, models = missing
            asked = replace(plan, passes=len(indices), seed=plan.seed + indices[0])
            outcomes = self._inner.stream(models, asked)
            try:
                for outcome in outcomes:
                    if isinstance(outcome, Failure) and outcome.error != ModelRejected.__name__:
                        self._hold.probe()  # or the device failed, not the model
                    batch.take(indices, outcome)
            except DeviceTrouble as error:
                if not isinstance(error, TransientError):
                    self._hold.probe()
                raise
            finally:
                if isinstance(outcomes, Generator):
                    outcomes.close()  # when interrupted, what runs for it on the device ends now
            if batch.missing() == missing:
                raise UnreadableOutput(f"{self._address}: the runner told nothing of {models[0].name}")
        batch.measuring_s += self._clock() - begin

    def _rescued(self, batch: Batch) -> list[Row]:
        """What an unfinished batch holds: it counts while the lease does."""
        try:
            if not batch.rows or self._hold.verify() != batch.fence:
                return []
        except DevicesError:
            return []
        if batch.doubt is None and self._watch.has_canary:
            batch.doubt = "no canary after it"
        return batch.stamped(self.notes)


def _each(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, all of them, even when the caller is interrupted between two and says so."""
    interrupt: KeyboardInterrupt | None = None
    for row in rows:
        try:
            yield row
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
