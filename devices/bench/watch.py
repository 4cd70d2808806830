"""How a device is between batches: cool, warm from work, as its canary knows it. Knows no lease."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from devices.bench import canary
from devices.bench.canary import History, Verdict
from devices.bench.limits import Limits
from devices.bench.retry import prompt
from devices.bench.thermal import SLOWED, wait_until_at_full_speed, wait_until_cool
from devices.device import Device
from devices.errors import (
    DeadlineExceeded,
    DeviceBusy,
    DevicesError,
    HostKeyRejected,
    KeyRefused,
    LeaseLost,
    NoSpace,
    RuntimeMissing,
    TransientError,
    Unauthorized,
    by_name,
)
from devices.facts import DeviceState
from devices.measurement import Failure, ModelFile
from devices.plan import Plan

#: how long a device that stood idle is kept busy before anything counts: its clocks must be up
WARM_S = 1.0
#: how long warming up and the canary may take together where a plan's models may take less
LEAST_DEADLINE_S = 15.0
#: how often the canary is tried before it is done without
CANARY_TRIES = 2
#: what ends a job that meets it while it measures the canary: no other model would be measured either
NO_JOB = (
    TransientError,
    LeaseLost,
    DeviceBusy,
    Unauthorized,
    KeyRefused,
    HostKeyRejected,
    RuntimeMissing,
    NoSpace,
)


class Watch:
    """Looks after one device's temperature, warmth and canary."""

    def __init__(
        self,
        inner: Device,
        address: str,
        *,
        look: Callable[[], DeviceState],
        limits: Limits,
        reference: ModelFile | None,
        probe: Callable[[], None],
        on_event: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Reaches nothing yet.

        Args:
            inner: what measures.
            address: the device's name in messages.
            look: how the device is.
            limits: how hot it may be, and how long that is waited for.
            reference: the canary; None: there is none.
            probe: raises where the device is out of reach or somebody else's.
            on_event: told in a sentence what is waited for.
            clock: seconds that only grow.
            sleep: lets seconds pass.
        """
        self._inner = inner
        self._address = address
        self._look = look
        self._limits = limits
        self._reference = reference
        self._probe = probe
        self._on_event = on_event
        self._clock, self._sleep = clock, sleep
        self._warm = False
        self._left_s = LEAST_DEADLINE_S
        self._verdict: Verdict | None = None
        self._history: History | None = None
        #: longest time that warming up and one reading of the canary may take together, in seconds
        self._deadline_s = Plan().deadline_s
        #: whether it was in vain to wait until the device is at full speed: that is done once
        self.resigned = False
        #: what there is to say of the canary in a row's conditions
        self.notes: tuple[str, ...] = ()

    @property
    def has_canary(self) -> bool:
        """Whether there is a canary, and it can be measured here."""
        return self._reference is not None

    def plan_for(self, deadline_s: float) -> None:
        """Told how long a model may take in one pass, in seconds."""
        self._deadline_s = max(LEAST_DEADLINE_S, deadline_s)

    def left_alone(self) -> None:
        """Told that the device stood idle: it must be warmed up, and nobody knows how it is."""
        self._warm = False
        self._verdict = None

    def look(self) -> DeviceState:
        """How the device is.

        Raises:
            TransientError: it is out of reach.
            DeviceTrouble: it does not tell.
        """
        with prompt(self._address):
            return self._look()

    def gate(self, model: ModelFile | None, cool: bool = True) -> DeviceState:
        """Wait until the device is cool and at full speed, and warm it up if it stood idle.

        A device that stays slowed down for as long as it may take to cool down is measured even so, and not
        waited for again until it was seen at full speed: see `heat`.

        Args:
            model: what to warm it up with where there is no canary.
            cool: whether to wait at all.

        Returns:
            How it then is.

        Raises:
            TooHot: it did not cool down in time.
            DevicesError: as `look`, and what ends the runner's stream.
        """
        begin = self._clock()
        seen = self.look()
        limit_c = self._limits.temperature_c
        if cool and limit_c is not None and (seen.hottest_c or 0) >= limit_c:
            self._warm = False
            wait_until_cool(
                lambda: self.look().hottest_c,
                limit_c,
                self._limits.cooldown_s,
                lambda said: self._on_event(f"{self._address}: {said}"),
                clock=self._clock,
                sleep=self._sleep,
            )
            seen = self.look()
        if cool and seen.throttled_now and not self.resigned:
            self._warm = False
            seen = wait_until_at_full_speed(
                self.look,
                max(0.0, self._limits.cooldown_s - (self._clock() - begin)),
                lambda said: self._on_event(f"{self._address}: {said}"),
                clock=self._clock,
                sleep=self._sleep,
            )
            if seen.throttled_now:
                self._on_event(f"{self._address}: {SLOWED}, still; measuring, and marking what is measured")
        self.resigned = bool(cool and seen.throttled_now)
        self._left_s = self._deadline_s
        if not self._warm:
            self._warm_up(model)
            self._warm = True
            seen = self.look()
        return seen

    def opening(self, seen: DeviceState) -> Verdict | None:
        """The verdict with which a batch begins: the last one, if the device has been busy since.

        A first job on a device first builds a history. None without a canary.
        """
        for _ in range(1 if seen.throttled_now else canary.LEAST + 1):
            if self._verdict is None or self._verdict.expected_ms is None:
                self.reading(seen)
        return self._verdict

    def reading(self, seen: DeviceState) -> Verdict | None:
        """Measure and judge the canary; None without one. One that cannot be measured is done without.

        What it takes on a device that is slowed down is judged, but does not become part of its history.

        Raises:
            DevicesError: what ends the runner's stream, but for that.
        """
        if self._reference is None:
            return None
        median_ms = self._median_ms(self._reference)
        if median_ms is None:
            return None
        if self._history is None:
            self._history = History.of(self._inner.facts, self._inner.settings, self._reference)
        if seen.throttled_now:
            self._verdict = canary.judge(median_ms, self._history.readings)
        else:
            self._verdict = self._history.take(median_ms, seen.hottest_c)
        return self._verdict

    def heat(self, after: DeviceState, throttled: bool | None) -> list[str]:
        """What heat did to what was measured, in words.

        Args:
            after: how the device is after it.
            throttled: whether it was seen slowed down at any time since it began.
        """
        limit_c = self._limits.temperature_c
        if limit_c is not None and (after.hottest_c or 0) >= limit_c:
            return [f"the device got up to {after.hottest_c:.1f} °C, the limit being {limit_c:g} °C"]
        return ["the device was slowed down, by heat or a weak supply"] if throttled else []

    def _warm_up(self, model: ModelFile | None) -> None:
        """Keep the device busy for a moment. A canary that does not end then is done without."""
        busy = self._reference or model
        if busy is None:
            return
        begin = self._clock()
        plan = Plan(warmup_runs=0, min_runs=1, min_time_s=WARM_S, deadline_s=self._deadline_s)
        for outcome in self._inner.stream([busy], plan):
            hangs = isinstance(outcome, Failure) and issubclass(by_name(outcome.error), DeadlineExceeded)
            if hangs and busy is self._reference and isinstance(outcome, Failure):
                self._probe()
                self._do_without(f"the canary {busy.name}: {outcome.message}")
        self._left_s = max(self._deadline_s - (self._clock() - begin), self._deadline_s / 2)

    def _do_without(self, why: str) -> None:
        """Measure without a canary from now on."""
        self._reference = self._verdict = None
        self.notes = (f"no canary: {why}",)
        self._on_event(f"{self._address}: measuring without a canary: {why}")

    def _median_ms(self, reference: ModelFile) -> float | None:
        """The canary's median; None where it cannot be had, though the device answers."""
        why = ""
        for _ in range(CANARY_TRIES):
            try:
                return canary.read(self._inner, reference, replace(canary.PLAN, deadline_s=self._left_s))
            except NO_JOB:
                raise
            except DevicesError as error:
                self._probe()
                why = str(error)
                if isinstance(error, DeadlineExceeded):  # it would not end the next time either
                    break
        self._do_without(why)
        return None
