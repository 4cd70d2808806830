"""Several costs, several evaluations at once, corrections: what the loop makes of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from controllers.registry import create
from devices.errors import DeadlineExceeded
from mnas.architecture import Architecture
from mnas.costs import Goal, parameters
from mnas.errors import BadInput, TrainingFailed
from mnas.evaluations import Finished, Inline
from mnas.latency import Latency
from mnas.problem import Scores
from mnas.run import Result, make_run
from mnas.search import Status, search
from mnas.spaces.base import Choice
from tests.mnas.toy import MacsLatency, Threads, ToySpace, accuracy, config


class Slower(MacsLatency):
    """Another device, on which wide networks are slow."""

    def predict_ms(self, architecture: Architecture) -> float:
        return 3 * super().predict_ms(architecture) + sum(b.channels for b in architecture.blocks) / 20


class Interval(MacsLatency):
    """A table that says how far off it may be: a tenth."""

    def predict(self, architecture: Architecture) -> Latency:
        latency_ms = self.predict_ms(architecture)
        return Latency(latency_ms, 0.9 * latency_ms, 1.1 * latency_ms)


def searched(evaluations: object, path: Path | None = None, **given: object) -> Status:
    settings = {"latency": MacsLatency(), "trials": 12, "target_ms": 1.5, **given}
    if path is None:
        return search(ToySpace(), create("random", 0), evaluations=evaluations, **settings)  # type: ignore[arg-type]
    trials = settings.pop("trials")
    with make_run(path, config(trials=trials)) as run:
        return search(ToySpace(), "random", evaluations=evaluations, run=run, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("slots", [2, 5])
def test_several_at_once_keep_the_slots_busy_and_train_what_was_asked_for(slots: int) -> None:
    running: list[int] = []
    threads = Threads(accuracy, slots)
    status = searched(threads, trials=13, on_progress=lambda one: running.append(len(one.running)))
    threads.close()
    assert threads.most == slots
    assert not threads.busy
    assert len(status.trained) == 13
    assert status.running == ()
    assert max(running) == slots - 1  # told after each result: one is finished by then
    assert len({result.number for result in status.results}) == len(status.results)
    for result in status.trained:
        assert result.accuracy == accuracy(Architecture.parse(result.architecture))


def test_one_at_a_time_in_other_hands_is_the_same_search() -> None:
    threads = Threads(accuracy, 1)
    status = searched(threads)
    threads.close()
    inline = searched(Inline(accuracy))
    assert [(r.number, r.architecture, r.reward) for r in status.results] == [
        (r.number, r.architecture, r.reward) for r in inline.results
    ]


class ByHand:
    """Evaluations that finish in an order of one's own, and note what was submitted."""

    def __init__(self, slots: int, choose: Callable[[list[int]], int], until: int = 10**9) -> None:
        self.slots = slots
        self.submitted: list[str] = []
        self.pauses = 0
        self._choose, self._until = choose, until
        self._open: dict[int, Architecture] = {}

    def submit(self, number: int, architecture: Architecture) -> None:
        assert len(self._open) < self.slots
        assert architecture not in self._open.values(), "one architecture twice at the same time"
        self.submitted.append(str(architecture))
        self._open[number] = architecture

    def next(self) -> Finished:
        if not self._until:
            raise KeyboardInterrupt
        self._until -= 1
        number = self._choose(list(self._open))
        return Finished(number, accuracy(self._open.pop(number)), None, 0.5)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.pauses += 1
        yield

    def close(self) -> None:
        pass


def test_what_was_running_is_evaluated_first_when_the_search_goes_on(tmp_path: Path) -> None:
    """All of it, over two interruptions of which the second comes at once."""
    first = ByHand(3, max, until=4)
    with pytest.raises(KeyboardInterrupt):
        searched(first, tmp_path / "x")
    with make_run(tmp_path / "x", config()) as run:
        done = [result.architecture for result in run.results()]
    in_flight = [one for one in first.submitted if one not in done]
    assert len(in_flight) == 3
    with pytest.raises(KeyboardInterrupt):
        searched(ByHand(2, min, until=0), tmp_path / "x")
    last = ByHand(3, max)
    status = searched(last, tmp_path / "x")
    assert sorted(last.submitted[:3]) == sorted(in_flight)
    assert len(status.trained) == 12
    assert not set(last.submitted) & set(done)
    assert len(last.submitted) == len(set(last.submitted)) == 12 - len(done)


class Repeating(ToySpace):
    """Twelve points decode to the same architecture."""

    def __init__(self) -> None:
        super().__init__(1)
        self.choices = (*self.choices, Choice("void", tuple("abcdefghijkl")))

    def decode(self, indices: Sequence[int]) -> Architecture:
        return ToySpace(1).decode(indices[:3])


def test_what_is_being_evaluated_is_waited_for_rather_than_evaluated_again() -> None:
    rng = random.Random(0)
    hands = ByHand(6, rng.choice)
    status = search(
        Repeating(), "random", evaluations=hands, latency=MacsLatency(), trials=100, target_ms=1.0
    )
    assert status.exhausted
    assert len(status.results) == 18 * 12
    assert len(hands.submitted) == len(set(hands.submitted)) == 18 == len(status.trained)
    first = {result.number: result for result in status.results if result.repeats is None}
    for result in status.results:
        if result.repeats is not None:
            origin = first[result.repeats]
            assert (result.architecture, result.accuracy) == (origin.architecture, origin.accuracy)


def test_failures_of_several_at_once_stop_the_search_and_what_runs_is_collected() -> None:
    def broken(_: Architecture) -> float:
        raise TrainingFailed("as told")

    threads = Threads(broken, 3)
    status = searched(threads)
    threads.close()
    assert status.stopped == "5 evaluations failed in a row"
    assert 5 <= len(status.results) <= 7
    assert not threads.busy


class Measured(MacsLatency):
    quick = False


def test_the_others_pause_while_a_candidate_is_measured() -> None:
    hands = ByHand(3, max)
    status = searched(hands, latency=Measured())
    assert hands.pauses == len(status.results)
    free = ByHand(3, max)
    searched(free)
    assert free.pauses == 0


def two_devices(**given: object) -> Status:
    latency = {"pixel6": MacsLatency(), "pi5": Slower()}
    return search(ToySpace(), "random", accuracy=accuracy, latency=latency, **given)  # type: ignore[arg-type]


def test_two_devices_are_two_objectives() -> None:
    status = two_devices(trials=20, target_ms={"pixel6": 1.5, "pi5": 9})
    assert status.objectives == ("latency_ms", "latency_ms:pi5")
    for result in status.trained:
        network = Architecture.parse(result.architecture)
        assert status.point(result) == (
            accuracy(network),
            MacsLatency().predict_ms(network),
            Slower().predict_ms(network),
        )
        shares = status.costs(result)["latency_ms"] / 1.5, status.costs(result)["latency_ms:pi5"] / 9
        assert result.reward == pytest.approx(accuracy(network) * (shares[0] * shares[1]) ** -0.07)
    best = status.best
    under = [r for r in status.trained if r.latency_ms <= 1.5 and r.costs["latency_ms:pi5"] <= 9]
    assert best in under
    assert best.accuracy == max(result.accuracy for result in under)


def test_a_device_may_only_be_a_cap() -> None:
    trained: list[Architecture] = []

    def evaluate(architecture: Architecture) -> float:
        trained.append(architecture)
        return accuracy(architecture)

    status = search(
        ToySpace(),
        create("random", 0),  # which does not know the caps
        accuracy=evaluate,
        latency={"pixel6": MacsLatency(), "pi5": Slower()},
        goals=[Goal("latency_ms", target=1.5), Goal("latency_ms:pi5", objective=False, cap=9)],
        costs=[parameters(ToySpace())],
        trials=10,
    )
    assert status.objectives == ("latency_ms", "parameters")
    assert status.count("infeasible") > 0
    assert all(Slower().predict_ms(one) <= 9 for one in trained)
    for result in status.results:
        if result.state == "infeasible":
            told = result.costs["latency_ms:pi5"]
            assert result.message == f"{told:.4g} ms on pi5 is above the cap of 9 ms on pi5"


def test_every_cap_that_is_missed_is_told() -> None:
    caps = [Goal("latency_ms", cap=1.2), Goal("parameters", cap=2000, objective=False)]
    status = search(
        ToySpace(),
        create("random", 0),  # which does not know the caps
        accuracy=accuracy,
        latency=MacsLatency(),
        costs=[parameters(ToySpace())],
        goals=caps,
        trials=4,
    )
    messages = [str(result.message) for result in status.results if result.state == "infeasible"]
    assert any("ms is above the cap of 1.2 ms; " in one and "parameters is above" in one for one in messages)


class DearlyMeasured(MacsLatency):
    quick = False

    def __init__(self) -> None:
        self.asked = 0

    def predict_ms(self, architecture: Architecture) -> float:
        self.asked += 1
        return super().predict_ms(architecture)


def test_what_a_cheap_figure_rules_out_is_not_measured() -> None:
    source = DearlyMeasured()
    goals = [Goal("latency_ms"), Goal("parameters", objective=False, cap=4000)]
    status = search(
        ToySpace(),
        create("random", 0),  # which does not know the caps
        accuracy=accuracy,
        latency=source,
        costs=[parameters(ToySpace())],
        goals=goals,
        trials=4,
    )
    assert status.count("infeasible") > 0
    assert source.asked == len(status.trained) == 4
    assert {r.latency_ms for r in status.results if r.state == "infeasible"} == {None}


class Correcting:
    """A device that takes longer than predicted, told from some number of candidates on."""

    def __init__(
        self,
        factor: float,
        measures: Callable[[Architecture], float | None],
        since: int = 0,
        front: Callable[[Status], dict[str, float]] = lambda _: {},
    ) -> None:
        self.told, self.since, self.trained = factor, since, 0
        self.measures, self.front = measures, front
        self.found: dict[str, float] = {}
        self.asked: list[tuple[str, float, float | None, float]] = []
        self.after_counts: list[int] = []

    def factor(self, cost: str) -> float:
        return self.told if self.trained >= self.since and cost == "latency_ms" else 1.0

    def decide(self, cost: str, architecture: Architecture, latency: Latency, cap: float) -> float | None:
        self.asked.append((cost, latency.latency_ms, latency.high_ms, cap))
        return self.measures(architecture)

    def measured(self) -> dict[str, dict[str, float]]:
        return {"latency_ms": self.found}

    def after(self, status: Status) -> None:
        self.found = self.front(status)
        self.trained = len(status.trained)
        self.after_counts.append(self.trained)


def nothing(_: Architecture) -> None:
    return None


def test_a_correction_moves_caps_and_rewards_but_no_value(tmp_path: Path) -> None:
    correction = Correcting(1.2, nothing)
    with make_run(tmp_path / "x", config(cap_ms=1.8)) as run:
        status = search(
            ToySpace(), "random", accuracy=accuracy, latency=Interval(), run=run, correction=correction
        )
        results = run.results()
    assert status.factors == {"latency_ms": 1.2}
    for result in results:
        network = Architecture.parse(result.architecture)
        predicted = MacsLatency().predict_ms(network)
        assert result.latency_ms == predicted
        assert (result.state == "trained") == (predicted * 1.2 <= 1.8)
        if result.state == "trained":
            assert result.reward == pytest.approx(accuracy(network) * (predicted * 1.2 / 1.5) ** -0.07)
            assert status.corrected(result)["latency_ms"] == predicted * 1.2
        else:
            assert result.message == (
                f"{predicted * 1.2:.4g} ms, {predicted:.4g} as predicted times 1.2 as measured, "
                "is above the cap of 1.8 ms"
            )
    assert correction.after_counts == list(range(1, 13))
    under = [r for r in status.trained if r.latency_ms * 1.2 <= 1.5]
    assert status.best is not None
    assert status.best.accuracy == max(result.accuracy for result in under)
    assert len(under) < len([r for r in status.trained if r.latency_ms <= 1.5])


def test_what_was_measured_on_the_front_counts_for_the_best() -> None:
    """Its most accurate network under the target is slower than predicted, so it is not under it."""

    def slow(status: Status) -> dict[str, float]:
        return {one.architecture: 2 * one.point[1] for one in status.front if one.point[1] <= 1.5}

    plain = searched(Inline(accuracy))
    status = searched(Inline(accuracy), correction=Correcting(1.0, nothing, front=slow))
    assert [r.architecture for r in status.results] == [r.architecture for r in plain.results]
    best = plain.best
    assert best is not None
    assert status.corrected(best) == {"latency_ms": 2 * best.point[1]}
    assert status.best != best
    assert [r.number for r in status.front] == [
        r.number for r in plain.front
    ]  # which goes by the table's own figures


def test_near_a_cap_what_was_measured_decides(tmp_path: Path) -> None:
    def measured(architecture: Architecture) -> float | None:
        predicted = MacsLatency().predict_ms(architecture)
        return None if not 1.6 < predicted < 2.0 else (1.75 if accuracy(architecture) > 0.5 else 1.85)

    correction = Correcting(1.0, measured)
    with make_run(tmp_path / "x", config(cap_ms=1.8, trials=20)) as run:
        status = search(
            ToySpace(), "random", accuracy=accuracy, latency=Interval(), run=run, correction=correction
        )
    near = [result for result in status.results if result.measured_ms]
    assert {result.state for result in near} == {"trained", "infeasible"}
    for result in near:
        found = measured(Architecture.parse(result.architecture))
        assert result.measured_ms == {"latency_ms": found}
        assert result.latency_ms == MacsLatency().predict_ms(Architecture.parse(result.architecture))
        if result.state == "trained":
            assert found == 1.75
            assert result.reward == pytest.approx(result.accuracy * (1.75 / 1.5) ** -0.07)
        else:
            assert f"1.85 ms as measured, {result.latency_ms:.4g} as predicted, is above" in str(
                result.message
            )
    assert correction.asked[0][2] == pytest.approx(1.1 * correction.asked[0][1])


def test_for_what_is_ruled_out_already_nothing_is_measured() -> None:
    correction = Correcting(1.0, nothing)
    searched(
        Inline(accuracy),
        target_ms=None,
        latency=Interval(),
        costs=[parameters(ToySpace())],
        goals=[Goal("latency_ms", cap=1.8), Goal("parameters", objective=False, cap=3000)],
        correction=correction,
        trials=5,
    )
    latencies = [one for one in correction.asked if one[0] == "latency_ms"]
    allowed = [one for one in correction.asked if one[0] == "parameters" and one[1] <= 3000]
    assert len(latencies) == len(allowed)


class NeverPaused(ByHand):
    """An evaluation that reaches no step boundary."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        raise DeadlineExceeded("a worker reached no step boundary")
        yield


def test_evaluations_that_do_not_pause_are_device_trouble_and_no_failed_candidate(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded, match="no step boundary"):
        searched(NeverPaused(1, max), tmp_path / "x", latency=Measured())
    with make_run(tmp_path / "x", config()) as run:
        assert run.results() == []
    status = searched(ByHand(1, max), tmp_path / "x", latency=Measured())
    assert [result.state for result in status.results] == ["trained"] * 12


class SlowToMeasure(MacsLatency):
    quick = False

    def predict_ms(self, architecture: Architecture) -> float:
        if (latency_ms := super().predict_ms(architecture)) > 3:
            raise DeadlineExceeded("as told")
        return latency_ms


def test_a_measurement_that_takes_too_long_is_a_failed_candidate() -> None:
    status = searched(ByHand(1, max), latency=SlowToMeasure())
    failed = {result.message for result in status.results if result.state == "failed"}
    assert failed == {"DeadlineExceeded: as told"}


@pytest.mark.parametrize("controller", ["random", "tpe", "regularized_evolution", "ppo"])
def test_with_a_correction_a_search_goes_on_as_if_uninterrupted(tmp_path: Path, controller: str) -> None:
    def go_on(path: Path, until: int = 10**9) -> list[Result]:
        correction = Correcting(1.3, nothing, since=6)
        with make_run(path, config(cap_ms=2.0, controller=controller)) as run:
            try:
                search(
                    ToySpace(),
                    controller,
                    evaluations=ByHand(1, max, until),
                    latency=Interval(),
                    run=run,
                    correction=correction,
                )
            except KeyboardInterrupt:
                return []
            return run.results()

    whole = go_on(tmp_path / "whole")
    for until in (0, 3, 1, 4):
        assert go_on(tmp_path / "x", until) == []
    parts = go_on(tmp_path / "x")
    assert [(r.architecture, r.state, r.reward) for r in parts] == [
        (r.architecture, r.state, r.reward) for r in whole
    ]


class Broken(MacsLatency):
    """A source that has no figure for some networks."""

    def predict_ms(self, architecture: Architecture) -> float:
        latency_ms = super().predict_ms(architecture)
        return math.nan if latency_ms > 3.5 else latency_ms


def test_a_cost_that_is_no_figure_is_a_failure_before_anything_is_trained() -> None:
    hands = ByHand(1, max)
    status = searched(hands, latency=Broken())
    failed = [result for result in status.results if result.state == "failed"]
    assert {result.message for result in failed} == {"latency_ms is nan; costs must be numbers above 0"}
    assert len(hands.submitted) == len(status.trained) == 12


@pytest.mark.parametrize(
    ("reward", "error"),
    [
        (
            lambda accuracy, costs: math.nan,
            "BadInput: the reward is nan for an accuracy of",
        ),
        (lambda accuracy, costs: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_reward_that_is_no_figure_ends_the_search_and_what_was_trained_is_kept(
    tmp_path: Path, reward: Scores, error: str
) -> None:
    evaluated: list[str] = []

    def train(architecture: Architecture) -> float:
        evaluated.append(str(architecture))
        return accuracy(architecture)

    kind, text = error.split(": ", 1)
    with pytest.raises((BadInput, ZeroDivisionError), match=text) as raised:
        searched(Inline(train), tmp_path, reward=reward)
    assert raised.type.__name__ == kind
    status = searched(Inline(train), tmp_path)
    assert len(status.trained) == 12
    assert len(set(evaluated)) == len(evaluated) == 12
