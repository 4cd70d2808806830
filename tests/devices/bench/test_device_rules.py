"""The bench over a scripted device: whatever happens, each visit comes once, or the job ends in an error."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.bench import canary, watch, worklist
from devices.bench import device as bench
from devices.bench.canary import History
from devices.bench.device import BenchDevice, Limits
from devices.bench.wanted import Wanted
from devices.errors import DeviceTrouble, LeaseLost, LinkLost, NoSpace, TransientError
from devices.facts import Policy
from devices.measurement import Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from tests.devices.bench_world import CANARY, CANARY_MS, EVENTS, FACTS, Hold, Runner, World

MODELS = [ModelFile(f"m{number}", bytes([number])) for number in range(5)]
PLAN = Plan(passes=3, seed=1)
ALL = {(model.name, index) for model in MODELS for index in range(PLAN.passes)}
Row = Pass | Failure


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small batches, a history to judge by, and a script instead of a lease."""
    monkeypatch.setattr(worklist, "BATCH_S", 4.0)
    monkeypatch.setattr(bench, "Hold", Hold)
    monkeypatch.setattr(canary, "NEW_WAY", 1000)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("MNAS_STATE_DIR", folder)
        history = History.of(FACTS, Settings(), CANARY)
        for _ in range(canary.LEAST):
            history.take(CANARY_MS)
        yield


def device(world: World, **more: object) -> BenchDevice:
    Hold.world = world
    given = {"limits": Limits(45.0, cooldown_s=100.0, reconnect_s=60.0), "reference": CANARY, **more}
    return BenchDevice(
        Runner(world),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type] # the script stands for the link
        "/w",
        "adb://X",
        "mnas.test.tag",
        look=world.look,
        clock=world.clock,
        sleep=world.sleep,
        **given,
    )


def measure(world: World, plan: Plan = PLAN, **more: object) -> tuple[list[Row], BaseException | None]:
    """All that a stream gives, and what ended it, as a caller sees it that files every row."""
    one, rows = device(world, **more), []
    try:
        try:
            for row in one.stream(MODELS, plan):
                rows.append(row)
        finally:
            one.close()
    except (KeyboardInterrupt, DeviceTrouble) as error:
        return rows, error
    return rows, None


def check(world: World, rows: list[Row], error: BaseException | None) -> None:
    """What must hold whatever happened."""
    passes = [row for row in rows if isinstance(row, Pass)]
    failures = [row.model for row in rows if isinstance(row, Failure)]
    visits = [(row.model, row.index) for row in passes]
    assert len(set(visits)) == len(visits), "a row came twice"
    assert len(set(failures)) == len(failures)
    for row in passes:
        model, fence, unlike = world.measured[row.samples_ms[0]]
        assert model == row.model, "a row of another model"
        assert fence == row.context.fence, "a row from before the lease was lost"
        assert row.context.conditions[:2] == ("pinned", "governor performance")
        if row.context.suspect is None:
            assert not unlike, "measured on a device that was not as ever, and not marked"
    if error is None:
        missing = ALL - set(visits)
        assert {model for model, _ in missing} <= set(failures), "a visit is missing"
    assert world.restored == 1


@given(st.lists(st.one_of(st.none(), st.sampled_from(EVENTS)), max_size=60))
@settings(max_examples=150)
def test_any_sequence_of_trouble_gives_each_visit_once_or_an_error(script: list[str | None]) -> None:
    world = World(list(script))
    rows, error = measure(world)
    check(world, rows, error)


@given(st.lists(st.one_of(*[st.none()] * 4, st.sampled_from(("break", "lose", "fail"))), max_size=80))
@settings(max_examples=100)
def test_breaks_are_bridged(script: list[str | None]) -> None:
    """A link that comes back and a lease that nobody else took never end a job by themselves."""
    world = World([None, *script])
    rows, error = measure(world)
    check(world, rows, error)
    if script.count("break") + script.count("lose") <= bench.BREAKS:
        assert error is None


@given(st.integers(0, 120), st.sampled_from(("interrupt", "end")), st.lists(st.integers(0, 120), max_size=3))
@settings(max_examples=100)
def test_what_is_held_when_a_job_ends_is_not_lost(at: int, how: str, breaks: list[int]) -> None:
    script: list[str | None] = [None] * 121
    for one in breaks:
        if one not in (0, at):
            script[one] = "break"
    script[at] = how
    world = World(script)
    rows, error = measure(world)
    check(world, rows, error)
    if error is None:
        return
    assert isinstance(error, KeyboardInterrupt if how == "interrupt" else DeviceTrouble)
    assert {row.samples_ms[0] for row in rows if isinstance(row, Pass)} == set(world.measured)


def test_without_trouble_nothing_is_doubted() -> None:
    world = World([])
    rows, error = measure(world)
    check(world, rows, error)
    assert len(rows) == len(ALL)
    assert error is None
    assert {row.context.suspect for row in rows if isinstance(row, Pass)} == {None}
    assert {row.context.temperature_before_c for row in rows if isinstance(row, Pass)} == {30.0}


def test_the_first_contact_is_tried_once() -> None:
    rows, error = measure(World(["break"]))
    assert isinstance(error, LinkLost)
    assert rows == []


def test_a_link_that_never_comes_back_ends_the_job() -> None:
    world = World([*[None] * 12, *["break"] * 100])
    rows, error = measure(world)
    assert isinstance(error, TransientError)
    assert world.now_s > 60.0
    check(world, rows, error)


def test_a_link_that_breaks_at_the_same_visit_for_ever_ends_the_job() -> None:
    class Breaking(Runner):
        def stream(self, models, plan):  # type: ignore[no-untyped-def]
            if models != [CANARY]:
                raise LinkLost("as before")
            yield from super().stream(models, plan)

    world = World([])
    one = device(world)
    one._inner = Breaking(world)  # type: ignore[assignment]
    with pytest.raises(LinkLost, match="as before"):
        list(one.stream(MODELS, PLAN))


def test_a_lease_that_another_job_took_ends_it_without_a_further_row() -> None:
    for at in range(5, 60):
        world = World([*[None] * at, "taken"])
        rows, error = measure(world)
        check(world, rows, error)
        assert isinstance(error, LeaseLost) or len(rows) == len(ALL)


def test_drift_is_measured_again() -> None:
    """The canary after the first batch is slow; once left alone, all is as ever: nothing stays doubtful."""
    steps = steps_until_first_row()
    world = World([*[None] * steps, "slow"])
    rows, error = measure(world)
    check(world, rows, error)
    assert error is None
    assert {row.context.suspect for row in rows if isinstance(row, Pass)} == {None}
    assert len(world.measured) > len(ALL)


def steps_until_first_row() -> int:
    world = World([None] * 100)
    while not world.measured:
        world = World([None] * 100)
        next(device(world).stream(MODELS, PLAN))
    return 100 - len(world.script) - 3


def test_drift_that_stays_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([])
    world.slow = True
    monkeypatch.setattr(world, "sleep", lambda seconds: None)
    rows, error = measure(world)
    assert error is None
    assert len(rows) == len(ALL)
    assert all("history" in (row.context.suspect or "") for row in rows if isinstance(row, Pass))


def test_heat_has_a_batch_measured_again() -> None:
    world = World([*[None] * steps_until_first_row(), "hot"])
    rows, error = measure(world)
    check(world, rows, error)
    assert error is None
    assert {row.context.suspect for row in rows if isinstance(row, Pass)} == {None}


def test_heat_is_seen_without_a_canary() -> None:
    world = World([None, None, None, None, None, "hot"])
    rows, error = measure(world, reference=None)
    check(world, rows, error)
    assert error is None
    assert len(world.measured) > len(ALL)


def test_a_device_that_came_back_is_warmed_up_and_looked_at_again() -> None:
    asked: list[tuple[str, float]] = []

    class Noting(Runner):
        def stream(self, models, plan):  # type: ignore[no-untyped-def]
            asked.append((models[0].name, plan.min_time_s))
            yield from super().stream(models, plan)

    world = World([*[None] * steps_until_first_row(), "break"])
    one = device(world)
    one._inner = one._watch._inner = Noting(world)  # type: ignore[assignment]
    list(one.stream(MODELS, PLAN))
    warm = ("canary", watch.WARM_S)
    assert asked[0] == warm
    assert asked.count(warm) == 2
    assert asked[asked.index(warm, 1) + 1] == ("canary", canary.PLAN.min_time_s), "judged before it counts"


def test_rows_from_before_a_long_outage_are_measured_again() -> None:
    steps = steps_until_first_row()
    world = World([*[None] * (steps + 2), *["break"] * 7])
    rows, error = measure(world)
    check(world, rows, error)
    assert error is None
    assert len(world.measured) > len(ALL)
    world = World([*[None] * (steps + 2), "break"])
    rows, error = measure(world)
    assert error is None
    assert len(world.measured) == len(ALL), "a short one costs nothing"


def test_a_device_that_does_not_cool_down_is_given_up_with_what_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World([*[None] * steps_until_first_row(), "hot"])

    def sleep(seconds: float) -> None:
        world.now_s += seconds

    monkeypatch.setattr(world, "sleep", sleep)
    rows, error = measure(world)
    assert error is not None
    assert type(error).__name__ == "TooHot"
    assert rows
    check(world, rows, error)
    assert all(row.context.suspect for row in rows if isinstance(row, Pass))


def test_a_sustained_plan_waits_for_nothing() -> None:
    world = World(["hot"])
    rows, error = measure(world, Plan(passes=20, min_time_s=1.0, sustained=True))
    assert error is None
    assert len(rows) == 20 * len(MODELS)
    assert world.now_s < 20 * len(MODELS) + 10, "no cooling, no canary"
    assert {row.context.temperature_after_c for row in rows if isinstance(row, Pass)} == {90.0}


def test_a_device_that_is_slowed_down_all_along_is_waited_for_once_and_marked() -> None:
    world, said = World([], throttled=True), []
    rows, error = measure(world, on_event=said.append)
    assert error is None
    assert len(rows) == len(ALL) == len(world.measured), "measured once: it does not get better"
    assert {row.context.suspect for row in rows if isinstance(row, Pass)} == {
        "the device was slowed down, by heat or a weak supply"
    }
    assert {row.context.throttled for row in rows if isinstance(row, Pass)} == {True}
    assert 100 <= world.now_s < 200, "the time that it has to cool down, once"
    assert "waiting until the device is at full speed" in said[0]
    assert len(History.of(FACTS, Settings(), CANARY).readings) == canary.LEAST, "that is not its way"


def test_a_device_at_full_speed_in_time_is_measured_without_a_mark() -> None:
    world = World([], throttled=True)

    def sleep(seconds: float) -> None:
        world.now_s += seconds
        world.throttled = world.now_s < 60

    world.sleep = sleep  # type: ignore[method-assign]
    rows, error = measure(world)
    assert error is None
    assert 60 <= world.now_s < 100
    assert {(row.context.suspect, row.context.throttled) for row in rows if isinstance(row, Pass)} == {
        (None, False)
    }


def test_a_device_that_is_slowed_down_meanwhile_is_measured_again() -> None:
    class Slowing(Runner):
        def _visit(self, model: ModelFile, index: int) -> Row:
            if model is not CANARY and not self.world.measured:
                self.world.throttled = True
            return super()._visit(model, index)

    world = World([], throttled=False)

    def sleep(seconds: float) -> None:
        world.now_s += seconds
        world.throttled = False

    world.sleep = sleep  # type: ignore[method-assign]
    one = device(world)
    one._inner = one._watch._inner = Slowing(world)  # type: ignore[assignment]
    rows = list(one.stream(MODELS, PLAN))
    assert len(world.measured) > len(rows) == len(ALL)
    assert {row.context.suspect for row in rows if isinstance(row, Pass)} == {None}


HELD = Policy("cpufreq/policy0", (0, 1), min_khz=1_000_000, max_khz=1_000_000, highest_khz=2_000_000)


@pytest.mark.parametrize(
    ("khz", "policies", "says", "throttled"),
    [
        (1_200_000, (HELD,), False, False),
        (1_200_000, (HELD,), None, None),
        (1_200_000, (HELD,), True, True),
        (1_200_000, (), False, True),
        (900_000, (HELD,), False, True),
        (None, (HELD,), False, True),
    ],
)
def test_a_frequency_that_the_job_holds_is_not_taken_for_heat(
    khz: int | None, policies: tuple[Policy, ...], says: bool | None, throttled: bool | None
) -> None:
    """The runner sees nothing but the limit."""
    world = World([], throttled=says, policies=policies, limited=True)
    rows, _ = measure(world, wanted=Wanted(frequency_khz=khz, cpus=(1,)))
    assert {row.context.throttled for row in rows if isinstance(row, Pass)} == {throttled}


@pytest.mark.parametrize("kind", ["DelegateFallback", "DeviceTrouble", "LinkError", "UnheardOf"])
def test_a_canary_that_fails_is_done_without(kind: str) -> None:
    class Refusing(Runner):
        def _visit(self, model: ModelFile, index: int) -> Row:
            if model is CANARY:
                return Failure(model.name, model.sha256, kind, "exit code 77")
            return super()._visit(model, index)

    world, said = World([]), []
    one = device(world, on_event=said.append)
    one._inner = one._watch._inner = Refusing(world)  # type: ignore[assignment]
    rows = list(one.stream(MODELS, PLAN))
    check_notes = {row.context.conditions[-1] for row in rows if isinstance(row, Pass)}
    assert check_notes == {"no canary: the canary canary: exit code 77"}
    assert len(rows) == len(ALL)
    assert any("without a canary" in line for line in said)


def test_what_ends_every_model_ends_the_job_at_the_canary() -> None:
    class Full(Runner):
        def stream(self, models, plan):  # type: ignore[no-untyped-def]
            if plan.min_time_s != watch.WARM_S:
                raise NoSpace("the device is full")
            yield from super().stream(models, plan)

    world = World([])
    one = device(world)
    one._inner = one._watch._inner = Full(world)  # type: ignore[assignment]
    with pytest.raises(NoSpace):
        list(one.stream(MODELS, PLAN))


@pytest.mark.parametrize("warms_up", [False, True])
@pytest.mark.parametrize(("deadline_s", "most_s"), [(5.0, 15.0), (40.0, 40.0)])
def test_a_program_that_never_ends_costs_one_deadline_before_the_models(
    deadline_s: float, most_s: float, warms_up: bool
) -> None:
    class Hanging(Runner):
        def _visit(self, model: ModelFile, index: int) -> Row:
            self.world.now_s += self.deadline_s
            return Failure(model.name, model.sha256, "DeadlineExceeded", "did not end")

        def stream(self, models, plan):  # type: ignore[no-untyped-def]
            self.deadline_s = plan.deadline_s
            if warms_up and plan.min_time_s == watch.WARM_S:
                return iter([super()._visit(models[0], 0)])
            return super().stream(models, plan)

    world = World([])
    one = device(world)
    one._inner = one._watch._inner = Hanging(world)  # type: ignore[assignment]
    rows = list(one.stream(MODELS, Plan(deadline_s=deadline_s)))
    assert [type(row) for row in rows] == [Failure] * len(MODELS)
    assert world.now_s <= most_s + len(MODELS) * deadline_s


def test_an_interrupted_caller_gets_the_rest_of_a_batch() -> None:
    """As `mnas profile` does: it throws the interruption into the stream, and files what still comes."""
    world = World([])
    stream = device(world).stream(MODELS, PLAN)
    rows = [next(stream)]
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the whole way of interrupting is what is tested
        rows.append(stream.throw(KeyboardInterrupt()))  # type: ignore[attr-defined]
        rows.extend(stream)
    assert {row.samples_ms[0] for row in rows if isinstance(row, Pass)} == set(world.measured)


def test_a_first_job_builds_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path))
    world = World([])
    verdict = device(world).canary()
    assert verdict is not None
    assert verdict.expected_ms == CANARY_MS
    assert len(History.of(FACTS, Settings(), CANARY).readings) == canary.LEAST + 1


def test_a_runner_that_tells_of_something_else_is_not_believed() -> None:
    class Confused(Runner):
        def _visit(self, model: ModelFile, index: int) -> Row:
            return super()._visit(model if model is CANARY else ModelFile("other", b""), index)

    world = World([])
    one = device(world)
    one._inner = Confused(world)  # type: ignore[assignment]
    with pytest.raises(DeviceTrouble, match="told of other"):
        list(one.stream(MODELS, PLAN))


def test_a_runner_that_tells_nothing_is_not_waited_for() -> None:
    class Silent(Runner):
        def stream(self, models, plan):  # type: ignore[no-untyped-def]
            yield from super().stream(models, plan) if models == [CANARY] else ()

    world = World([])
    one = device(world)
    one._inner = Silent(world)  # type: ignore[assignment]
    with pytest.raises(DeviceTrouble, match="told nothing of"):
        list(one.stream(MODELS, PLAN))
