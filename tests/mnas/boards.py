"""Devices with known latencies for tests of transfer: an operator's time is a formula of shape and kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path

from devices.errors import ProfilerUnavailable
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, OperatorTime, Pass, Settings
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.build import PLAN, build
from latency_tables.ops import OpSpec
from mnas.tables import TableRequest, open_or_create

REQUEST = TableRequest.for_space(
    "mnasnet-small-images", resolution=28, width=0.05, classes=10, anchors=4, cover_times=1
)
ONCE = replace(PLAN, passes=1)
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: what a network takes beyond its operators
FACTOR = 1.05


def usual_ms(spec: OpSpec) -> float:
    """Work, traffic and a start, so that every operator takes far more than the profiler's clock resolves."""
    return 0.2 + spec.macs / 2e5 + prod(spec.output) / 2e4


def alike(ratios: Mapping[str, float]) -> Callable[[OpSpec], float]:
    """A device on which each kind takes so many times as long as usual."""
    return lambda spec: ratios.get(spec.kind, 1.0) * usual_ms(spec)


def unlike(spread: float) -> Callable[[OpSpec], float]:
    """A device on which no operator's time says anything of another's."""
    return lambda spec: usual_ms(spec) * random.Random(str(spec)).lognormvariate(0.0, spread)


@dataclass
class Board:
    """Answers at once, with a noise of 0.2 %; what it lets run on its own kernels has rows of their kinds.

    Attributes:
        true_ms: an operator's time.
        before: called with each model's name, before it is measured: may raise.
        seen: names of what it measured.
    """

    address: str = "board"
    true_ms: Callable[[OpSpec], float] = usual_ms
    profiler: bool = True
    before: Callable[[str], None] = lambda _: None
    settings: Settings = field(default_factory=Settings)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(0)

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts(self.address, "aarch64", "a CPU", 4, 2**30, "an OS", "3.11", "litert", "2.3.0")

    def latency_ms(self, specs: Sequence[OpSpec]) -> float:
        return FACTOR * sum(map(self.true_ms, specs))

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        if plan.per_operator and not self.profiler:
            raise ProfilerUnavailable(f"{self.address}: no profiler here")
        for model in models:
            self.before(model.name)
            yield self._measure(model, per_operator=plan.per_operator)

    def _measure(self, model: ModelFile, *, per_operator: bool) -> Pass:
        self.seen.append(model.name)
        started = (START + timedelta(seconds=len(self.seen))).isoformat()
        specs = tflite.read(model.content).specs
        times = [self.true_ms(spec) * self._rng.gauss(1, 0.002) for spec in specs]
        rows = tuple(
            OperatorTime(place, spec.kind, False, ms)
            for place, (spec, ms) in enumerate(zip(specs, times, strict=True))
        )
        return Pass(
            model=model.name,
            sha256=model.sha256,
            index=0,
            samples_ms=(FACTOR * sum(times),) * 4,
            dropped=0,
            reference_ms=None,
            first_inference_ms=1.0,
            initialisation_ms=1.0,
            peak_memory_bytes=None,
            operators=rows if per_operator else None,
            context=Context(self.facts, self.settings, started, "cpu"),
        )

    def close(self) -> None:
        pass


def complete(path: Path) -> Path:
    """A table of the device `first`, on which operators take what is usual."""
    board = Board("first")
    with open_or_create(path, REQUEST, board) as table:
        assert build(table, board, ONCE).missing == ()
    return path
