from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from controllers.registry import create
from devices.bench.holder import lock_file
from devices.device import Device
from devices.errors import DeviceNotFound, DeviceOffline
from devices.lock import held
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from latency_tables.store import LatencyTable
from mnas import spaces, visiting
from mnas.architecture import Architecture
from mnas.correction import Correction, Measurable
from mnas.gaps import read_gaps
from mnas.latency import Latency, TableLatency
from mnas.lower import lower
from mnas.run import Result
from mnas.search import search
from mnas.visiting import PLAN, Place, place_of
from tests.mnas import boards
from tests.mnas.boards import Board

COST = "latency_ms"
SPACE = boards.REQUEST.space_of()
QUICK = replace(PLAN, passes=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole table of a device on which operators take what is usual."""
    return boards.complete(tmp_path_factory.mktemp("tables") / "first.db")


@pytest.fixture
def table(made: Path, tmp_path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.open(shutil.copy(made, tmp_path / "t.db")) as table:
        yield table


@dataclass
class Bench:
    """A board that may be slower as a whole, and slower still for what is no anchor.

    Attributes:
        slow: how many times as long all takes.
        exploited: how many times as long networks of the search take beyond that.
        end: raised after so many results.
        doubted: whether the device doubts what it measures.
        opened, seen: times opened, and names of what was measured.
    """

    slow: float = 1.0
    exploited: float = 1.0
    address: str = "first"
    end: tuple[int, BaseException] | None = None
    doubted: bool = False
    refuses: frozenset[str] = frozenset()
    away: Exception | None = None
    opened: int = 0
    seen: list[str] = field(default_factory=list)

    def connect(self) -> Device:
        self.opened += 1
        if self.away is not None:
            raise self.away
        return _Slowed(self)

    def place(self, table: LatencyTable, here: bool = False) -> Place:
        return place_of("the board", self.connect, table, here=here)


class _Slowed(Board):
    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.address)
        self.bench = bench

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for outcome in super().stream(models, plan):
            if self.bench.end is not None and len(self.bench.seen) >= self.bench.end[0]:
                raise self.bench.end[1]
            self.bench.seen.append(outcome.model)
            if outcome.model in self.bench.refuses:
                yield Failure(outcome.model, "0" * 64, "ModelRejected", f"{outcome.model} is refused")
                continue
            assert isinstance(outcome, Pass)
            factor = self.bench.slow
            factor *= 1.0 if outcome.model.startswith("anchor") else self.bench.exploited
            context = replace(outcome.context, suspect="heat" if self.bench.doubted else None)
            samples = tuple(factor * sample for sample in outcome.samples_ms)
            yield replace(outcome, samples_ms=samples, context=context)


@dataclass
class Standing:
    """So many trained candidates, of which the first ones are the front."""

    count: int
    members: int = 6

    @property
    def trained(self) -> list[Result]:
        return [result(number) for number in range(self.count)]

    @property
    def front(self) -> list[Result]:
        return self.trained[: self.members]


def architecture(seed: int) -> Architecture:
    return SPACE.decode(spaces.sample(SPACE, random.Random(seed)))


def result(number: int) -> Result:
    return Result(number, (), str(architecture(number)), 0.5, 1.0, "trained", 1.0)


def correction(
    table: LatencyTable, bench: Bench, file: Path | None = None, said: list[str] | None = None, **options
) -> Correction:
    place = bench.place(table, here=options.pop("here", False))
    target_ms = options.pop("target_ms", None)
    tell = said.append if said is not None else lambda _: None
    known = {COST: Measurable(TableLatency(table), place, target_ms)}
    return Correction(known, file, plan=QUICK, tell=tell, **options)


def true_ms(number: int, factor: float = 1.0) -> float:
    return factor * Board("first").latency_ms(lower(architecture(number)).graph.specs)


# --- the front


def test_a_device_ten_percent_slower_than_its_table_moves_targets_by_ten_percent(table: LatencyTable) -> None:
    said: list[str] = []
    found = correction(table, Bench(slow=1.1), said=said, measure_every=5)
    found.after(Standing(4))
    assert found.factor(COST) == 1.0
    found.after(Standing(5))
    assert found.factor(COST) == pytest.approx(1.1, rel=0.02)
    assert found.fit(COST).speed == pytest.approx(1.1, rel=0.02)
    assert found.fit(COST).beyond == pytest.approx(1.0, rel=0.02)
    assert "on the board: networks take" in said[-1]


def test_what_a_search_exploits_is_told_from_a_slow_device(table: LatencyTable) -> None:
    found = correction(table, Bench(slow=0.9, exploited=1.12), measure_every=5)
    found.after(Standing(5))
    assert found.fit(COST).speed == pytest.approx(0.9, rel=0.02)
    assert found.fit(COST).beyond == pytest.approx(1.12, rel=0.03)
    assert found.factor(COST) == pytest.approx(0.9 * 1.12, rel=0.03)


def test_each_member_of_the_front_is_measured_once_with_the_anchors_among_it(table: LatencyTable) -> None:
    bench = Bench()
    found = correction(table, bench, measure_every=5)
    found.after(Standing(5, members=3))
    assert sorted(set(bench.seen)) == sorted(["network-0", "network-1", "network-2", *_anchors(table)])
    first = [one.startswith("anchor") for one in bench.seen[: len(bench.seen) // 2]]
    assert first not in (sorted(first), sorted(first, reverse=True))
    bench.seen.clear()
    found.after(Standing(6, members=5))  # not before five more
    assert bench.seen == []
    found.after(Standing(10, members=4))
    assert [one.trial for one in found.gaps if one.why == "front"] == _permuted([0, 1, 2], [3], found)
    found.after(Standing(15, members=4))
    assert [one.network for one in found.gaps if one.visit == 3] == []


def _anchors(table: LatencyTable) -> list[str]:
    return [one.name for one in visiting.anchors_of(table)]


def _permuted(first: list[int], second: list[int], found: Correction) -> list[int | None]:
    """The trials as they came, if those of the first look came before those of the second."""
    trials = [one.trial for one in found.gaps if one.why == "front"]
    assert sorted(trials[: len(first)]) == first  # type: ignore[type-var]  # fronts have trials
    assert sorted(trials[len(first) :]) == second  # type: ignore[type-var]  # likewise
    return trials


def test_those_nearest_to_the_target_are_measured_first(
    table: LatencyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnas.correction.AT_ONCE", 2)
    found = correction(table, Bench(), measure_every=1, target_ms=true_ms(3))
    found.after(Standing(8, members=8))
    trials = {one.trial for one in found.gaps if one.why == "front"}
    order = sorted(range(8), key=lambda number: abs(true_ms(number) / true_ms(3) - 1))
    assert trials == set(order[:2])


def test_a_search_that_never_measures_never_opens_its_device(table: LatencyTable) -> None:
    bench = Bench(slow=1.5)
    found = correction(table, bench, measure_every=0)
    found.after(Standing(100))
    assert (bench.opened, found.factor(COST), found.gaps) == (0, 1.0, [])


def test_a_network_that_the_device_refuses_is_not_asked_for_again(table: LatencyTable) -> None:
    said: list[str] = []
    bench = Bench(refuses=frozenset({"network-0"}))
    found = correction(table, bench, said=said, measure_every=1)
    found.after(Standing(1, members=1))
    assert "network-0 is refused" in said[0]
    bench.seen.clear()
    found.after(Standing(2, members=1))
    assert bench.seen == []


def test_what_the_device_doubts_does_not_count(table: LatencyTable) -> None:
    found = correction(table, Bench(slow=2.0, doubted=True), measure_every=1)
    found.after(Standing(3))
    assert (found.gaps, found.factor(COST)) == ([], 1.0)


# --- caps


@pytest.mark.parametrize("slow", [0.97, 1.03])
def test_near_a_cap_the_device_decides(table: LatencyTable, slow: float) -> None:
    """The prediction is on the cap, and its interval around it: measuring says which side it is on."""
    said: list[str] = []
    bench = Bench(slow=slow)
    found = correction(table, bench, said=said)
    cap = true_ms(1)
    measured = found.decide(COST, architecture(1), Latency(cap, 0.95 * cap, 1.05 * cap), cap)
    assert measured == pytest.approx(true_ms(1, slow), rel=0.01)
    assert (measured <= cap) is (slow < 1)
    assert f"near the cap of {cap:g} ms" in said[-1]
    assert said[-1].endswith(f"takes {measured:.4g} ms")


def test_the_first_visit_of_a_process_asks_how_fast_the_device_is(table: LatencyTable) -> None:
    bench = Bench(slow=1.1)
    found = correction(table, bench)
    for number in (1, 2):
        cap = 1.1 * true_ms(number)
        found.decide(COST, architecture(number), Latency(cap, 0.9 * cap, 1.1 * cap), cap)
        assert found.fit(COST).speed == pytest.approx(1.1, rel=0.01)
    assert [one.why for one in found.gaps if one.visit == 2] == ["cap"]
    assert {one.why for one in found.gaps if one.visit == 1} == {"cap", "anchor"}


def test_what_was_measured_near_a_cap_is_not_measured_again(table: LatencyTable, tmp_path: Path) -> None:
    bench, file = Bench(slow=1.02), tmp_path / "gaps.jsonl"
    cap = true_ms(1)
    latency = Latency(cap, 0.9 * cap, 1.1 * cap)
    first = correction(table, bench, file, measure_every=1)
    measured = first.decide(COST, architecture(1), latency, cap)
    resumed = correction(table, bench, file, measure_every=1)
    assert first.decide(COST, architecture(1), latency, cap) == measured
    assert resumed.decide(COST, architecture(1), latency, cap) == measured
    assert bench.opened == 1
    resumed.after(Standing(2, members=2))  # one of which is measured already
    assert [one.trial for one in resumed.gaps if one.why == "front"] == [0]


def test_what_was_measured_on_the_front_decides_wherever_the_cap_lies(table: LatencyTable) -> None:
    bench = Bench(slow=1.3)
    found = correction(table, bench, measure_every=1)
    found.after(Standing(3))
    opened, on_device = bench.opened, found.measured()[COST][str(architecture(1))]
    assert on_device == pytest.approx(true_ms(1, 1.3), rel=0.01)
    for latency in (Latency(1.0, 0.9, 1.1), Latency(1.0)):
        assert found.decide(COST, architecture(1), latency, 100.0) == on_device
    assert bench.opened == opened


@pytest.mark.parametrize(
    "latency", [Latency(1.0, 0.9, 1.1), Latency(3.0, 2.8, 3.2), Latency(2.0), Latency(2.0, 1.9, None)]
)
def test_far_from_a_cap_or_without_an_interval_the_prediction_decides(
    table: LatencyTable, latency: Latency
) -> None:
    bench = Bench()
    assert correction(table, bench).decide(COST, architecture(1), latency, 2.0) is None
    assert bench.opened == 0


def test_the_interval_is_held_against_the_cap_at_the_present_factor(table: LatencyTable) -> None:
    bench = Bench(slow=1.2)
    found = correction(table, bench, measure_every=1)
    found.after(Standing(6))
    opened, cap = bench.opened, true_ms(9)
    assert found.decide(COST, architecture(9), Latency(cap, 0.95 * cap, 1.05 * cap), cap) is None
    assert bench.opened == opened
    slower = Latency(cap / 1.2, 0.95 * cap / 1.2, 1.05 * cap / 1.2)
    assert found.decide(COST, architecture(9), slower, cap) == pytest.approx(1.2 * cap, rel=0.01)


def test_a_cost_that_cannot_be_measured_is_left_to_predictions(table: LatencyTable) -> None:
    found = correction(table, Bench())
    assert found.factor("parameters") == 1.0
    assert found.decide("latency_ms:pi5", architecture(1), Latency(2.0, 1.0, 3.0), 2.0) is None


# --- trouble


def test_a_device_out_of_reach_is_said_once_and_asked_again_with_the_next_front(table: LatencyTable) -> None:
    said: list[str] = []
    bench = Bench(slow=1.1, away=DeviceNotFound("nothing answers at the board"))
    found = correction(table, bench, said=said, measure_every=5)
    near = Latency(2.0, 1.0, 3.0)
    assert found.decide(COST, architecture(1), near, 2.0) is None
    assert found.decide(COST, architecture(2), near, 2.0) is None
    assert bench.opened == 1
    found.after(Standing(5))
    assert (bench.opened, len(said)) == (2, 1)
    assert "the board cannot measure now" in said[0]
    assert "nothing answers at the board" in said[0]
    bench.away = None
    found.after(Standing(10))
    assert "measures again" in said[1]
    assert found.factor(COST) == pytest.approx(1.1, rel=0.02)


def test_another_device_than_the_tables_is_said_once_and_never_measured_on(table: LatencyTable) -> None:
    said: list[str] = []
    bench = Bench(slow=3.0, address="second")
    found = correction(table, bench, said=said, measure_every=1)
    found.after(Standing(5))
    found.after(Standing(6))
    assert found.decide(COST, architecture(1), Latency(2.0, 1.0, 3.0), 2.0) is None
    assert len(said) == 1
    assert "address is 'second', the table's is 'first'" in said[0]
    assert (bench.opened, bench.seen, found.factor(COST)) == (1, [], 1.0)


def test_a_difference_that_was_allowed_is_none(table: LatencyTable) -> None:
    bench = Bench(slow=1.1, address="second")
    place = place_of("the board", bench.connect, table, across={"address"})
    found = Correction({COST: Measurable(TableLatency(table), place)}, measure_every=1, plan=QUICK)
    found.after(Standing(5))
    assert found.factor(COST) == pytest.approx(1.1, rel=0.02)


@pytest.mark.parametrize("end", [DeviceOffline("the cable is out"), KeyboardInterrupt()])
def test_what_was_measured_before_the_end_is_kept(
    table: LatencyTable, tmp_path: Path, end: BaseException
) -> None:
    """Eight networks in two passes, and the end after 13 results: five have both."""
    bench, file = Bench(slow=1.1, end=(13, end)), tmp_path / "gaps.jsonl"
    said: list[str] = []
    found = correction(table, bench, file, said, measure_every=1)
    ended = (
        pytest.raises(KeyboardInterrupt) if isinstance(end, KeyboardInterrupt) else contextlib.nullcontext()
    )
    with ended:
        found.after(Standing(4, members=4))
    kept = read_gaps(file)
    assert sorted(one.passes for one in kept) == [1, 1, 1, 2, 2, 2, 2, 2]
    assert kept == found.gaps
    again = correction(table, Bench(slow=1.1), file, measure_every=1)
    assert again.factor(COST) == kept[-1].factor == pytest.approx(1.1, rel=0.02)
    assert all("cable" in one for one in said[:1])


def test_a_resumed_search_has_the_factors_it_had_and_waits_for_its_turn(
    table: LatencyTable, tmp_path: Path
) -> None:
    file, bench = tmp_path / "gaps.jsonl", Bench(slow=0.93, exploited=1.1)
    first = correction(table, bench, file, measure_every=5)
    first.after(Standing(7))
    bench.seen.clear()
    file.write_bytes(file.read_bytes() + b'{"at": "2026-')  # a kill tore the last line
    resumed = correction(table, bench, file, measure_every=5)
    assert resumed.factor(COST) == first.factor(COST) != 1
    resumed.after(Standing(9, members=9))
    assert bench.seen == []
    resumed.after(Standing(10, members=9))
    assert {one.trial for one in resumed.gaps if one.visit == 2 and one.why == "front"} == {6, 7, 8}
    assert read_gaps(file) == resumed.gaps


# --- this machine


def test_while_this_machine_measures_the_evaluations_are_paused(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    bench, order = Bench(), []

    @contextlib.contextmanager
    def paused() -> Iterator[None]:
        order.append(("paused", len(bench.seen), bench.opened))
        yield
        order.append(("resumed", len(bench.seen), bench.opened))

    found = correction(table, bench, measure_every=1, paused=paused, here=True)
    found.after(Standing(1, members=1))
    assert order[0] == ("paused", 0, 0)
    assert order[1] == ("resumed", len(bench.seen), 1)
    assert len(bench.seen) > 0
    apart = correction(table, bench, measure_every=1, paused=_never)
    apart.after(Standing(1, members=1))


def _never() -> AbstractContextManager[None]:
    raise AssertionError("a device elsewhere measures beside the evaluations")


def test_a_machine_that_another_job_measures_on_is_waited_for_a_little_then_left(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(visiting, "WAIT_S", 0.0)
    said: list[str] = []
    bench = Bench()
    found = correction(table, bench, said=said, measure_every=1, here=True)
    with held(lock_file("local"), '{"owner": "ann@desk", "command": "mnas", "since": "noon", "pid": 1}'):
        found.after(Standing(3))
    assert bench.opened == 0
    assert "is in use by ann@desk (process 1: mnas)" in said[0]
    found.after(Standing(4))
    assert bench.opened == 1


def test_local_networks_are_really_measured(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of one pass of this machine, and three networks of its space, in seconds."""
    from devices.registry import open_device

    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    file = tmp_path / "gaps.jsonl"
    with LatencyTable.open(request.getfixturevalue("built")) as table:
        place = place_of("local", lambda: open_device("local"), table, here=True)
        known = {COST: Measurable(TableLatency(table), place)}
        quick = replace(PLAN, passes=3, min_runs=5, min_time_s=0.0)
        found = Correction(known, file, measure_every=1, plan=quick)
        found.after(Standing(3))
        near = TableLatency(table).predict(architecture(7))
        cap = near.latency_ms * found.factor(COST)
        wide = replace(near, low_ms=0.5 * near.latency_ms, high_ms=2 * near.latency_ms)
        measured = found.decide(COST, architecture(7), wide, cap)
    kept = read_gaps(file)
    assert [one.why for one in kept].count("front") == 3
    assert [one.why for one in kept].count("anchor") == 2
    assert kept[-1].why == "cap"
    assert measured == kept[-1].measured_ms
    assert {one.passes for one in kept} == {3}
    assert len({one.device for one in kept}) == 1
    assert 0.3 < found.factor(COST) < 3  # whatever else this machine does


# --- in a search


def hashed(network: object) -> float:
    return random.Random(str(network)).random()


class Wide(TableLatency):
    """A table that says less of itself than it knows: the board that it is of has hardly any noise."""

    def predict(self, architecture: Architecture) -> Latency:
        found = super().predict(architecture)
        return replace(found, low_ms=0.95 * found.latency_ms, high_ms=1.05 * found.latency_ms)


def test_a_search_near_a_cap_trains_what_is_under_it_on_the_device(table: LatencyTable) -> None:
    """On a device that is 6 % slower than its table; what is recorded stays as the table predicts it."""
    bench, source = Bench(slow=1.06), Wide(table)
    cap = sorted(true_ms(number) for number in range(40))[20]
    found = correction(table, bench, measure_every=5)
    status = search(
        SPACE,
        create("random", 0),  # which does not know the cap
        accuracy=hashed,
        latency=source,
        trials=12,
        target_ms=0.9 * cap,
        cap_ms=cap,
        correction=found,
    )
    assert len(status.trained) == 12
    assert status.factors[COST] == pytest.approx(1.06, rel=0.02)
    states: dict[str, int] = {}
    for one in status.results:
        network = Architecture.parse(one.architecture)
        assert one.latency_ms == source.predict_ms(network)
        on_device = 1.06 * Board("first").latency_ms(lower(network).graph.specs)
        if COST in one.measured_ms:
            assert one.measured_ms[COST] == pytest.approx(on_device, rel=0.01)
            assert (one.state == "infeasible") is (one.measured_ms[COST] > cap)
            states[one.state] = states.get(one.state, 0) + 1
    assert sum(states.values()) == len([one for one in found.gaps if one.why == "cap"]) > 0
    assert status.measured == found.measured()
    assert status.best is None or status.corrected(status.best)[COST] <= 0.9 * cap


def test_without_anything_to_measure_a_search_is_the_same(table: LatencyTable) -> None:
    bench = Bench(slow=1.5)
    plain, watched = (
        search(
            SPACE,
            "tpe",
            accuracy=hashed,
            latency=TableLatency(table),
            trials=6,
            target_ms=1e3,
            correction=one,
        )
        for one in (None, correction(table, bench, measure_every=0))
    )
    assert [replace(one, seconds=0.0) for one in plain.results] == [
        replace(one, seconds=0.0) for one in watched.results
    ]
    assert bench.opened == 0
