"""How a device is between batches: cool, warm from work, as its canary knows it. Knows no lease."""

from __future__ import annotations

import time
from collections.abc import Callable

from devices.bench import canary
from devices.bench.canary import History, Verdict
from devices.bench.limits import Limits
from devices.bench.retry import prompt
from devices.bench.thermal import wait_until_cool
from devices.device import Device
from devices.errors import (
    DeadlineExceeded,
    DelegateFallback,
    ModelRejected,
    OutOfMemory,
    UnreadableOutput,
    WorkerCrashed,
)
from devices.facts import DeviceState
from devices.measurement import ModelFile
from devices.plan import Plan

#: how long a device that stood idle is kept busy before anything counts: its clocks must be up
WARM_S, WARM_DEADLINE_S = 1.0, 60.0
#: how often the canary is tried before it is done without
CANARY_TRIES = 2
#: what the canary's failing says of the canary, not of the device
NO_CANARY = (
    DeadlineExceeded,
    DelegateFallback,
    ModelRejected,
    OutOfMemory,
    UnreadableOutput,
    WorkerCrashed,
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
        self._verdict: Verdict | None = None
        self._history: History | None = None
        #: what there is to say of the canary in a row's conditions
        self.notes: tuple[str, ...] = ()

    @property
    def has_canary(self) -> bool:
        """Whether there is a canary, and it can be measured here."""
        return self._reference is not None

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
        """Wait until the device is cool, and warm it up if it stood idle; returns how it then is.

        Args:
            model: what to warm it up with where there is no canary.
            cool: whether to wait at all.

        Raises:
            TooHot: it did not cool down in time.
            DevicesError: as `look`, and what ends the runner's stream.
        """
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
        if not self._warm:
            if busy := self._reference or model:
                warm_up = Plan(warmup_runs=0, min_runs=1, min_time_s=WARM_S, deadline_s=WARM_DEADLINE_S)
                for _ in self._inner.stream([busy], warm_up):
                    pass
            self._warm = True
            seen = self.look()
        return seen

    def opening(self, temperature_c: float | None) -> Verdict | None:
        """The verdict with which a batch begins: the last one, if the device has been busy since.

        A first job on a device first builds a history. None without a canary.
        """
        for _ in range(canary.LEAST + 1):
            if self._verdict is None or self._verdict.expected_ms is None:
                self.reading(temperature_c)
        return self._verdict

    def reading(self, temperature_c: float | None) -> Verdict | None:
        """Measure and judge the canary; None without one. One that cannot be measured is done without.

        Raises:
            DevicesError: what ends the runner's stream, but for that.
        """
        if self._reference is None:
            return None
        median_ms = self._median_ms(self._reference)
        if median_ms is None:
            self._reference = self._verdict = None
            return None
        if self._history is None:
            self._history = History.of(self._inner.facts, self._inner.settings, self._reference)
        self._verdict = self._history.take(median_ms, temperature_c)
        return self._verdict

    def heat(self, before: DeviceState | None, after: DeviceState) -> list[str]:
        """What heat did to what was measured between two looks, in words; the first may be unknown."""
        limit_c = self._limits.temperature_c
        if limit_c is not None and (after.hottest_c or 0) >= limit_c:
            return [f"the device got up to {after.hottest_c:.1f} °C, the limit being {limit_c:g} °C"]
        if after.throttled_now and before is not None and before.throttled_now is False:
            return ["the device was slowed down meanwhile, by heat or a weak supply"]
        return []

    def _median_ms(self, reference: ModelFile) -> float | None:
        for left in reversed(range(CANARY_TRIES)):
            try:
                return canary.read(self._inner, reference)
            except NO_CANARY as error:
                self._probe()
                if left == 0:
                    self.notes = (f"no canary: {error}",)
                    self._on_event(f"{self._address}: measuring without a canary: {error}")
        return None
