"""A device with known answers for tests of jobs: operators have times, the machine a speed, things fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import exp

from devices.errors import ProfilerUnavailable
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, OperatorTime, Pass, Settings
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network

FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: what a network takes beyond its operators
FACTOR = 1.1


def logistic(size: int) -> OpSpec:
    return OpSpec("logistic", "float32", ((1, size),), (1, size))


def chain(*sizes: int) -> Graph:
    """Logistics of vectors, told apart by an operator each of its size on an input of its own."""
    nodes = tuple(Node(logistic(size), (-1 - index,)) for index, size in enumerate(sizes))
    return Graph(tuple((1, size) for size in sizes), "float32", nodes, tuple(range(len(sizes))))


#: every size in two networks that cover, or more; anchors of all
NETWORKS = [
    *(
        Network(f"cover-{number}", chain(*(100 * (1 + (number + step) % 9) for step in (0, 1, 4))), "cover")
        for number in range(9)
    ),
    *(
        Network(
            f"anchor-{number}", chain(*(100 * (1 + (2 * number + step) % 9) for step in range(4))), "anchor"
        )
        for number in range(6)
    ),
]


def true_ms(spec: OpSpec) -> float:
    """A microsecond per element."""
    return spec.output[-1] / 1000


@dataclass
class Desk:
    """See above. It answers at once and lives by a clock of its own: a visit takes a second.

    Attributes:
        speed: at a time in seconds, how many times as long everything takes.
        noise: of an operator, the standard deviation of its time between visits, relative.
        profiler: whether it has one.
        refuses: names of models whose profile it cannot tell; `jumbles` those of which it tells one row more.
        fails: names of models that end the worker.
        doubts: at a time, why it doubts what it measures.
        before: called with the name before each visit: may raise.
        holds: rows are handed over by so many.
    """

    speed: Callable[[float], float] = lambda _: 1.0
    noise: Callable[[OpSpec], float] = lambda _: 0.0
    profiler: bool = True
    refuses: Sequence[str] = ()
    jumbles: Sequence[str] = ()
    fails: Sequence[str] = ()
    doubts: Callable[[float], str | None] = lambda _: None
    before: Callable[[str], None] = lambda _: None
    holds: int = 1
    governor: str | None = None
    facts: DeviceFacts = FACTS
    settings: Settings = field(default_factory=Settings)
    now_s: float = 0.0
    seen: list[str] = field(default_factory=list)
    profiled: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(0)

    def clock(self) -> float:
        return self.now_s

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        assert plan.passes == 1
        assert plan.reference is not None
        if plan.per_operator and not self.profiler:
            raise ProfilerUnavailable("desk: no profiler here")
        held: list[Pass | Failure] = []
        try:
            for model in models:
                self.before(model.name)
                held.append(self._visit(model, plan))
                if len(held) >= self.holds or model is models[-1]:
                    while held:
                        yield held[0]
                        held.pop(0)
        except KeyboardInterrupt:
            yield from held[1:]
            raise

    def _visit(self, model: ModelFile, plan: Plan) -> Pass | Failure:
        self.seen.append(model.name)
        self.profiled.append(plan.per_operator)
        started = (START + timedelta(seconds=self.now_s)).isoformat(timespec="milliseconds")
        speed = self.speed(self.now_s)
        doubt = self.doubts(self.now_s)
        self.now_s += 1
        if model.name in self.fails:
            return Failure(model.name, model.sha256, "WorkerCrashed", f"{model.name} ended the worker")
        if plan.per_operator and model.name in self.refuses:
            return Failure(
                model.name, model.sha256, "ProfilerUnavailable", "the profiler failed its self-test"
            )
        specs = tflite.read(model.content).specs
        times = [speed * true_ms(spec) * exp(self._rng.gauss(0, self.noise(spec))) for spec in specs]
        rows = tuple(OperatorTime(place, "Sigmoid (NC)", True, ms) for place, ms in enumerate(times))
        if model.name in self.jumbles:
            rows += (replace(rows[-1], index=len(rows)),)
        context = Context(
            self.facts, self.settings, started, "xnnpack", 2, 2, 0.0, governor=self.governor, suspect=doubt
        )
        return Pass(
            model=model.name,
            sha256=model.sha256,
            index=0,
            samples_ms=(FACTOR * sum(times),) * 5,
            dropped=0,
            reference_ms=0.2 * speed,
            first_inference_ms=1.0,
            initialisation_ms=1.0,
            peak_memory_bytes=None,
            operators=rows if plan.per_operator else None,
            context=context,
        )

    def close(self) -> None:
        pass
