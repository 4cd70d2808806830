"""A device whose link, heat, canary and lease follow a script: what the bench does about it can be checked.

Every call to the device is a step, and the script says what happens at it. The world keeps its own account of
what was measured when, so that a row that is doubled, of another model or from before a loss is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from devices.errors import DeviceTrouble, LeaseLost, LinkLost
from devices.facts import DeviceState, Policy, Temperature
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.runners.visits import schedule

#: what may happen at a step. `break`: the link; `lose`: the lease, to nobody; `taken`: to another job;
#: `slow`: everything takes twice as long until the device is left alone; `hot`: likewise, 90 degrees; `fail`:
#: of the model measured; `end`: an error that ends the job; `interrupt`: Ctrl-C
EVENTS = ("break", "lose", "taken", "slow", "hot", "fail", "end", "interrupt")
CANARY = ModelFile("canary", b"canary")
FACTS = DeviceFacts("adb://X", "aarch64", "c", 8, None, "o", None, "benchmark_model", "1")
CANARY_MS = 1.0


@dataclass
class World:
    """The script and the account.

    Attributes:
        script: what happens at each step; nothing after its end.
        fence: of the lease held; 0: not held.
        throttled: what the device says of being slowed down.
        policies: what it says of its cores' frequencies.
        limited: what the runner sees of a limit below the highest frequency.
        measured: of each row, by its one sample: model, fence, and whether the device was slow or hot.
    """

    script: list[str | None]
    now_s: float = 0.0
    fence: int = 0
    claims: int = 0
    ever_taken: bool = False
    slow: bool = False
    hot: bool = False
    throttled: bool | None = None
    policies: tuple[Policy, ...] = ()
    limited: bool | None = None
    failing: bool = False
    restored: int = 0
    measured: dict[float, tuple[str, int, bool]] = field(default_factory=dict)

    def step(self) -> None:
        event = self.script.pop(0) if self.script else None
        if event == "break":
            raise LinkLost("the cable")
        if event == "interrupt":
            raise KeyboardInterrupt
        if event == "end":
            raise DeviceTrouble("it cannot go on")
        if event in ("lose", "taken"):
            self.fence = 0
            self.ever_taken |= event == "taken"
        if event == "slow":
            self.slow = True
        if event == "hot":
            self.hot = True
        if event == "fail":
            self.failing = True

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if seconds >= 5.0:
            self.slow = self.hot = False

    def look(self) -> DeviceState:
        self.step()
        celsius = 90.0 if self.hot else 30.0
        return DeviceState(
            temperatures=(Temperature("cpu", "cpu", celsius),),
            processor_c=celsius,
            throttled_now=self.throttled,
            policies=self.policies,
        )


class Hold:
    """Stands for `devices.bench.hold.Hold`."""

    world: World

    def __init__(self, *_: object, **__: object) -> None:
        self.notes = ("governor performance",)

    def settle(self) -> None:
        self.world.step()
        if not self.world.fence:
            if self.world.ever_taken:
                raise LeaseLost("somebody else has it")
            self.world.claims += 1
            self.world.fence = self.world.claims

    def verify(self) -> int:
        if not self.world.fence:
            raise LeaseLost("its time ran out")
        return self.world.fence

    def probe(self) -> None:
        self.world.step()
        if not self.world.fence:
            raise LeaseLost("its time ran out")

    def let_go(self) -> None:
        self.world.restored += 1


class Runner:
    """Measures one second a visit."""

    settings = Settings()
    facts = FACTS

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        failed = set()
        for index, order in enumerate(schedule(len(models), plan)):
            for number in order:
                if number in failed:
                    continue
                outcome = self._visit(models[number], index)
                if isinstance(outcome, Failure):
                    failed.add(number)
                yield outcome

    def _visit(self, model: ModelFile, index: int) -> Pass | Failure:
        world = self.world
        world.step()
        world.now_s += 1.0
        if world.failing and model is not CANARY:
            world.failing = False
            return Failure(model.name, model.sha256, "WorkerCrashed", "signal 11")
        unlike = world.slow or world.hot
        sample = CANARY_MS * (2 if unlike else 1)
        if model is not CANARY:
            sample = float(len(world.measured) + 1)
            world.measured[sample] = (model.name, world.fence, unlike)
        context = Context(
            FACTS,
            Settings(),
            "2026-01-01T00:00:00+00:00",
            "xnnpack",
            conditions=("pinned",),
            throttled=world.limited,
        )
        burst = Pass(model.name, model.sha256, index, (sample,), 0, None, None, None, None, None, context)
        return replace(burst, index=index)

    def close(self) -> None:
        self.closed = True
