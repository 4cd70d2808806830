import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages.journal._storage import JournalOperation

from controllers.errors import BadSetting
from controllers.registry import create
from devices.errors import DeadlineExceeded, RuntimeMissing
from mnas.architecture import Architecture
from mnas.costs import Amount, Goal, one_by_one
from mnas.errors import BadInput, BadRun, Infeasible, TrainingFailed
from mnas.latency import Latency
from mnas.least import fastest
from mnas.pareto import non_dominated
from mnas.run import make_run
from mnas.search import Status, search
from mnas.spaces.base import Choice
from mnas.study import NAME, PROPOSING, Journal
from mnas.study_log import ended_trials
from tests.mnas.toy import MacsLatency, ToySpace, accuracy, config, run_search

Evaluator = Callable[[Architecture], float]


def searched(path: Path, evaluator: Evaluator = accuracy, stages: int = 4, **settings: object) -> Status:
    with make_run(path, config(**settings)) as run:
        return run_search(run, evaluator, stages)


def loaded(path: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(Journal(str(path / "journal.log")))
    return optuna.load_study(study_name=NAME, storage=storage)


def appended(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def never(_: Architecture) -> float:
    raise AssertionError("nothing may be trained")


def test_trains_what_was_asked_for_and_finds_the_front(tmp_path: Path) -> None:
    status = searched(tmp_path / "x", trials=20)
    assert len(status.trained) == 20
    assert status.stopped is None
    for result in status.trained:
        architecture = Architecture.parse(result.architecture)
        assert ToySpace().decode(result.choices) == architecture
        assert result.point == (accuracy(architecture), MacsLatency().predict_ms(architecture))
    points = [result.point for result in status.trained]
    expected = {points[at] for at, stays in enumerate(non_dominated(points, (True, False))) if stays}
    assert {result.point for result in status.front} == expected
    best = max((point for point in points if point[1] <= 1.5), default=None)
    assert (status.best and status.best.point) == best


def test_a_finished_search_does_nothing_more_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    first = searched(tmp_path / "x", trials=6)
    again = searched(tmp_path / "x", never, trials=6)
    assert again == first
    longer = searched(tmp_path / "x", trials=12)
    assert longer.results[: len(first.results)] == first.results
    whole = searched(tmp_path / "y", trials=12)
    assert [r.architecture for r in longer.results] == [r.architecture for r in whole.results]


@pytest.mark.parametrize("controller", ["random", "nsga2", "tpe"])
def test_interrupted_at_every_evaluation_it_ends_like_an_uninterrupted_one(
    tmp_path: Path, controller: str
) -> None:
    whole = searched(tmp_path / "whole", controller=controller, cap_ms=2.2)
    calls = 0

    def interrupted(architecture: Architecture) -> float:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise KeyboardInterrupt
        return accuracy(architecture)

    status = None
    while status is None:
        try:
            status = searched(tmp_path / "x", interrupted, controller=controller, cap_ms=2.2)
        except KeyboardInterrupt:
            continue
    assert calls == 24
    assert [(r.architecture, r.state, r.accuracy) for r in status.results] == [
        (r.architecture, r.state, r.accuracy) for r in whole.results
    ]


def test_above_the_cap_nothing_is_trained(tmp_path: Path) -> None:
    trained: list[Architecture] = []

    def evaluator(architecture: Architecture) -> float:
        trained.append(architecture)
        return accuracy(architecture)

    status = searched(tmp_path / "x", evaluator, cap_ms=1.6, trials=8)
    assert status.count("infeasible") > 3
    assert all(MacsLatency().predict_ms(architecture) <= 1.6 for architecture in trained)
    study = loaded(tmp_path / "x")
    for result in status.results:
        trial = study.trials[result.number]
        assert trial.user_attrs["state"] == result.state
        if result.state == "infeasible":
            assert result.accuracy is None
            assert result.message == f"{result.latency_ms:.4g} ms is above the cap of 1.6 ms"
            assert trial.state is optuna.trial.TrialState.PRUNED
            assert trial.user_attrs["message"] == result.message


def test_the_study_reads_well_elsewhere(tmp_path: Path) -> None:
    status = searched(tmp_path / "x", trials=5)
    study = loaded(tmp_path / "x")
    assert study.directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    assert study.metric_names == ["accuracy", "latency_ms"]
    for result, trial in zip(status.trained, study.get_trials(), strict=True):
        assert tuple(trial.values) == result.point
        assert trial.user_attrs["architecture"] == result.architecture
        options = [c.options[at] for c, at in zip(ToySpace().choices, result.choices, strict=True)]
        assert list(trial.params.values()) == options


def test_an_unreachable_target_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    _, least = fastest(ToySpace(), MacsLatency().predict_ms)
    with pytest.raises(Infeasible, match=r"the fastest takes 0\.1176 ms") as refused:
        searched(tmp_path / "x", never, target_ms=least * 0.99)
    assert least <= 0.1176 < 1.001 * least, refused  # rounded up: what can be asked for
    assert not (tmp_path / "x" / "results.jsonl").exists()


def test_a_cap_that_nearly_nothing_meets_ends_after_a_bounded_number_of_proposals(tmp_path: Path) -> None:
    _, least = fastest(ToySpace(), MacsLatency().predict_ms)
    status = searched(tmp_path / "x", target_ms=least, cap_ms=least, trials=1, controller="random")
    assert status.stopped == "gave up after 100 proposals"
    assert not status.exhausted
    assert len(status.results) == status.count("infeasible") == 100


@pytest.mark.parametrize("controller", ["random", "predictor_guided"])
def test_who_passes_over_what_a_cap_rules_out_ends_soon_when_nothing_else_is_found(controller: str) -> None:
    _, least = fastest(ToySpace(2), MacsLatency().predict_ms)
    status = search(
        ToySpace(2), controller, accuracy=accuracy, latency=MacsLatency(), cap_ms=least, trials=40
    )
    assert status.stopped == "nothing that the caps allow was found, 20 times in a row"
    assert not status.exhausted
    assert 0 < len(status.trained) < 10
    assert 20 <= status.count("infeasible") < 30


def test_a_small_space_is_looked_through(tmp_path: Path) -> None:
    status = searched(tmp_path / "x", stages=1, trials=100, target_ms=1.0)
    assert status.stopped == "every point of the space has been looked at"
    assert status.exhausted
    assert len(status.trained) == 18
    assert len({result.choices for result in status.results}) == 18


def test_failures_are_results_and_the_search_goes_on(tmp_path: Path) -> None:
    def evaluator(architecture: Architecture) -> float:
        if accuracy(architecture) > 0.7:
            raise TrainingFailed("the loss is not a number")
        return accuracy(architecture)

    status = searched(tmp_path / "x", evaluator, trials=10)
    failed = [result for result in status.results if result.state == "failed"]
    assert failed
    assert {result.message for result in failed} == {"TrainingFailed: the loss is not a number"}
    assert len(status.trained) == 10
    log = (tmp_path / "x" / "log.txt").read_text()
    assert log.count("raise TrainingFailed") == len(failed)
    states = [loaded(tmp_path / "x").trials[result.number].state for result in failed]
    assert set(states) == {optuna.trial.TrialState.FAIL}


@pytest.mark.parametrize("answer", [math.nan, 87.5, -0.1, math.inf])
def test_an_accuracy_that_is_no_share_is_a_failure(tmp_path: Path, answer: float) -> None:
    status = searched(tmp_path / "x", lambda _: answer)
    assert status.stopped == "5 evaluations failed in a row"
    assert f"the evaluator says {answer}; accuracy is a share between 0 and 1" in str(
        status.results[0].message
    )


def test_when_everything_fails_the_search_stops_early_and_can_go_on(tmp_path: Path) -> None:
    def broken(_: Architecture) -> float:
        raise OSError("no space left on device")

    status = searched(tmp_path / "x", broken)
    assert status.stopped == "5 evaluations failed in a row"
    assert len(status.results) == 5
    assert len(searched(tmp_path / "x").trained) == 12


class Repeating(ToySpace):
    """Half of the points decode to the same architecture as another one."""

    def __init__(self) -> None:
        super().__init__(1)
        self.choices = (*self.choices, Choice("void", ("a", "b")))

    def decode(self, indices: Sequence[int]) -> Architecture:
        return ToySpace(1).decode(indices[:3])


def test_an_architecture_seen_before_keeps_its_result(tmp_path: Path) -> None:
    trained: list[Architecture] = []

    def evaluator(architecture: Architecture) -> float:
        trained.append(architecture)
        if accuracy(architecture) > 0.8:
            raise TrainingFailed("as told")
        return accuracy(architecture)

    with make_run(tmp_path / "x", config(trials=100, cap_ms=1.0, target_ms=0.9)) as run:
        status = search(Repeating(), create("random", 0), accuracy=evaluator, latency=MacsLatency(), run=run)
    assert status.exhausted
    assert len(status.results) == 36
    assert status.repeated == 18
    assert len(trained) == len(set(trained))
    first = {result.number: result for result in status.results if result.repeats is None}
    for result in status.results:
        if result.repeats is not None:
            origin = first[result.repeats]
            assert (result.state, result.accuracy, result.architecture) == (
                origin.state,
                origin.accuracy,
                origin.architecture,
            )
    assert status.count("trained") == len(status.trained) == len({r.architecture for r in status.trained})


class Interval(MacsLatency):
    """A table that says how far off it may be."""

    def predict(self, architecture: Architecture) -> Latency:
        latency_ms = self.predict_ms(architecture)
        return Latency(latency_ms, 0.9 * latency_ms, 1.2 * latency_ms)


def test_the_interval_of_a_prediction_is_recorded(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", config(cap_ms=1.6)) as run:
        search(ToySpace(), create("random", 0), accuracy=accuracy, latency=Interval(), run=run)
        results = run.results()
    assert {result.state for result in results} == {"trained", "infeasible"}
    for result in results:
        assert (result.low_ms, result.high_ms) == (0.9 * result.latency_ms, 1.2 * result.latency_ms)


class Measured(MacsLatency):
    """A device that cannot measure some candidates, and once is gone."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def predict_ms(self, architecture: Architecture) -> float:
        latency_ms = super().predict_ms(architecture)
        if latency_ms > 2:
            raise self.error("as told")
        return latency_ms


def test_a_candidate_that_cannot_be_measured_is_a_failure(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", config()) as run:
        status = search(
            ToySpace(), create("random", 0), accuracy=accuracy, latency=Measured(DeadlineExceeded), run=run
        )
    failed = [result for result in status.results if result.state == "failed"]
    assert failed
    assert {(result.latency_ms, result.message) for result in failed} == {(None, "DeadlineExceeded: as told")}


def test_a_device_that_is_gone_ends_the_search_and_loses_nothing(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", config()) as run:
        with pytest.raises(RuntimeMissing):
            search(
                ToySpace(), create("random", 0), accuracy=accuracy, latency=Measured(RuntimeMissing), run=run
            )
        before = run.results()
    assert searched(tmp_path / "x").results[: len(before)] == tuple(before)


def test_progress_is_reported_from_the_start(tmp_path: Path) -> None:
    seen: list[Status] = []
    for trials in (3, 5):
        with make_run(tmp_path / "x", config(trials=trials)) as run:
            search(
                ToySpace(),
                create("random", 0),
                accuracy=accuracy,
                latency=MacsLatency(),
                run=run,
                on_progress=seen.append,
            )
    assert [len(status.results) for status in seen] == [0, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "results.jsonl").unlink(), "has trial 0 finished, but its result is missing"),
        (lambda path: (path / "journal.log").write_text("hello\n"), r"journal\.log, line 1, is no operation"),
        (
            lambda path: (path / "journal.log").write_text('{"op_code": 4}\n'),
            r"journal\.log, line 1, is no operation",
        ),
        (
            lambda path: appended(path / "journal.log", "xxx\n"),
            r"journal\.log, line \d+, is no operation of a study: b'xxx.*remove it and all after it",
        ),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    searched(tmp_path / "x", trials=4)
    damage(tmp_path / "x")
    journal = (tmp_path / "x" / "journal.log").read_bytes()
    with pytest.raises(BadRun, match=message):
        searched(tmp_path / "x", never, trials=5)
    assert (tmp_path / "x" / "journal.log").read_bytes() == journal


@pytest.mark.parametrize("controller", ["random", "tpe", "nsga2"])
def test_a_journal_that_went_lost_is_brought_back_from_the_results(
    tmp_path: Path, controller: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = searched(tmp_path / "whole", trials=9, controller=controller, cap_ms=2.2).results
    searched(tmp_path / "x", trials=6, controller=controller, cap_ms=2.2)
    lines = (tmp_path / "x" / "journal.log").read_bytes().splitlines(keepends=True)
    done = len((tmp_path / "x" / "results.jsonl").read_bytes().splitlines())
    for kept in (0, 1, 2, 3, 7, len(lines) // 2, len(lines) - 2):  # before, within and after a proposal
        path = tmp_path / f"kept{kept}"
        shutil.copytree(tmp_path / "x", path)
        (path / "journal.log").write_bytes(b"".join(lines[:kept]))
        found = searched(path, trials=9, controller=controller, cap_ms=2.2).results
        assert [one.number for one in found] == list(range(len(found)))
        assert [(one.architecture, one.accuracy) for one in found[:done]] == [
            (one.architecture, one.accuracy) for one in whole[:done]
        ]
        if controller != "nsga2":  # which notes generations in the journal only
            assert [one.choices for one in found] == [one.choices for one in whole]
        assert len(ended_trials(path / "journal.log")) == len(found)
        assert sum(one.counts for one in found) == 9
    assert "brought back from the results" in caplog.text
    assert "brought back" in (tmp_path / "kept0" / "log.txt").read_text()


def test_a_space_that_has_changed_is_refused(tmp_path: Path) -> None:
    searched(tmp_path / "x", trials=4)
    with pytest.raises(BadRun, match=r"choice stage2_kernel has changed since .*journal\.log was begun"):
        searched(tmp_path / "x", never, stages=2, trials=5)


def test_the_journal_knows_optunas_codes() -> None:
    codes = (
        JournalOperation.CREATE_TRIAL,
        JournalOperation.SET_TRIAL_PARAM,
        JournalOperation.SET_TRIAL_SYSTEM_ATTR,
    )
    assert set(codes) == PROPOSING


def test_optunas_log_stays_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        searched(tmp_path / "x", trials=2)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capsys.readouterr().err == ""


def test_without_a_run_it_is_kept_in_memory_and_the_same(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", config(trials=8, seed=3)) as run:
        kept = search(ToySpace(), "tpe", accuracy=accuracy, latency=MacsLatency(), run=run)
    named = search(
        ToySpace(), "tpe", accuracy=accuracy, latency=MacsLatency(), trials=8, seed=3, target_ms=1.5
    )
    assert len(kept.trained) == 8
    story = [(r.number, r.choices, r.accuracy, r.latency_ms, r.reward) for r in kept.results]
    assert [(r.number, r.choices, r.accuracy, r.latency_ms, r.reward) for r in named.results] == story
    assert kept.hypervolume == named.hypervolume
    assert kept.reference == {"latency_ms": 3.0}  # twice the target


def test_any_sampler_of_optuna_and_no_limit_at_all() -> None:
    sampler = optuna.samplers.NSGAIISampler(population_size=4, seed=0)
    seen: list[Status] = []
    status = search(
        ToySpace(),
        sampler,
        accuracy=accuracy,
        latency=MacsLatency(),
        trials=12,
        on_progress=seen.append,
    )
    assert len(status.trained) == 12
    volumes = [one.hypervolume for one in seen]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0
    assert len({tuple(one.reference.items()) for one in seen}) == 1
    assert all(result.reward is not None for result in status.trained)


def by_size(architecture: Architecture) -> float:
    """Larger networks are better, with less and less to gain."""
    macs = MacsLatency().predict_ms(architecture)
    return macs / (1 + macs)


@pytest.mark.parametrize("controller", ["random", "regularized_evolution", "ppo"])
def test_a_tighter_target_gives_a_faster_model(controller: str) -> None:
    found = [
        search(
            ToySpace(), controller, accuracy=by_size, latency=MacsLatency(), trials=30, target_ms=target_ms
        ).best
        for target_ms in (0.9, 1.6, 3.0)
    ]
    assert all(one is not None for one in found)
    latencies = [one.latency_ms for one in found]
    assert latencies == sorted(set(latencies))
    assert all(one <= target for one, target in zip(latencies, (0.9, 1.6, 3.0), strict=True))


def test_a_reward_of_ones_own_is_noted_and_learned_from(tmp_path: Path) -> None:
    def reward(accuracy: float, costs: dict[str, float]) -> float:
        return accuracy - costs["latency_ms"] / 10

    with make_run(tmp_path / "x", config(trials=4)) as run:
        status = search(ToySpace(), "ppo", accuracy=accuracy, latency=MacsLatency(), run=run, reward=reward)
    study = loaded(tmp_path / "x")
    for result in status.trained:
        assert result.reward == reward(result.accuracy, {"latency_ms": result.latency_ms})
        assert study.trials[result.number].user_attrs["reward"] == result.reward
    hard = search(
        ToySpace(), "random", accuracy=accuracy, latency=MacsLatency(), trials=4, target_ms=1.0, reward="hard"
    )
    for result in hard.trained:
        assert result.reward == pytest.approx(result.accuracy * min(1.0, 1 / result.latency_ms))


def test_the_reference_is_fixed_when_the_search_begins(tmp_path: Path) -> None:
    first = searched(tmp_path / "x", trials=3, cap_ms=2.2)
    assert first.reference == {"latency_ms": 2.2}
    (tmp_path / "x" / "reference.json").write_text('{"latency_ms": 2.0}')  # as another version may have it
    assert searched(tmp_path / "x", trials=5, cap_ms=2.2).reference == {"latency_ms": 2.0}
    (tmp_path / "x" / "reference.json").unlink()
    assert searched(tmp_path / "x", trials=6, cap_ms=2.2).reference == {"latency_ms": 2.2}


def test_a_run_begun_for_other_costs_is_refused(tmp_path: Path) -> None:
    searched(tmp_path / "x", trials=3)
    latency = {"pixel6": MacsLatency(), "pi5": MacsLatency()}
    with (
        make_run(tmp_path / "x", config(trials=5)) as run,
        pytest.raises(BadRun, match=r"begun for accuracy, latency_ms; this search is for .*latency_ms:pi5"),
    ):
        search(ToySpace(), "random", accuracy=never, latency=latency, run=run)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"latency": MacsLatency()}, "a search needs `accuracy`"),
        ({"accuracy": never}, "a search needs `latency`"),
        ({"accuracy": never, "latency": {}}, "no latency is given"),
        ({"accuracy": never, "latency": MacsLatency(), "trials": 0}, "trials is 0"),
        ({"accuracy": never, "latency": MacsLatency(), "trials": 2.5}, r"trials is 2\.5; .* whole number"),
        ({"accuracy": never, "latency": MacsLatency(), "target_ms": "5"}, "target of latency_ms is '5'"),
        ({"accuracy": never, "latency": MacsLatency(), "reward": "linear"}, "reward 'linear'; allowed: soft"),
        ({"accuracy": never, "latency": MacsLatency(), "target_ms": -1}, "target of latency_ms is -1"),
        (
            {"accuracy": never, "latency": {"pixel6": MacsLatency()}, "target_ms": {"pi5": 3.0}},
            "a limit is for pi5, which is none of the costs: pixel6, latency_ms",
        ),
        (
            {"accuracy": never, "latency": MacsLatency(), "target_ms": 2.0, "cap_ms": 1.0},
            "the cap of latency_ms is 1, below its target 2",
        ),
    ],
)
def test_what_lacks_or_does_not_fit_is_said(given: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        search(ToySpace(), "random", **given)  # type: ignore[arg-type]  # what is wrong


def test_a_sampler_is_an_object() -> None:
    with pytest.raises(BadInput, match="a strategy's name or an Optuna sampler, an object"):
        search(ToySpace(), optuna.samplers.RandomSampler, accuracy=never, latency=MacsLatency())  # type: ignore[arg-type]


def test_settings_are_for_strategies_by_name() -> None:
    given = {"accuracy": accuracy, "latency": MacsLatency(), "trials": 2, "settings": {"population": 2}}
    assert len(search(ToySpace(), "nsga2", **given).trained) == 2
    with pytest.raises(BadInput, match="settings are for strategies by name"):
        search(ToySpace(), create("random", 0), **given)
    with pytest.raises(BadSetting, match="nsga2 has no setting 'size'"):
        search(ToySpace(), "nsga2", **{**given, "settings": {"size": 2}})


class Words:
    """A space of words: the loop needs no networks."""

    name = "words"
    choices = (Choice("first", ("a", "b", "c")), Choice("second", ("x", "y", "z")))

    def decode(self, indices: Sequence[int]) -> str:
        return "".join(str(c.options[at]) for c, at in zip(self.choices, indices, strict=True))


class Table(Words):
    """Some of the words only, which knows their figures itself."""

    def __init__(self) -> None:
        self.points = np.array([(0, 0), (1, 1), (2, 2), (0, 2)])
        self.costs = (Letters(self),)
        self.goals = (Goal("letters"),)

    def decode(self, indices: Sequence[int]) -> str:
        if not any(list(row) == list(indices) for row in self.points):
            raise BadInput(f"there is no word of {list(indices)}")
        return super().decode(indices)

    def evaluate(self, word: str) -> float:
        return 0.5 + 0.1 * "abc".index(word[0])


class Letters:
    name, unit, quick, vectorised = "letters", "letters", True, True

    def __init__(self, space: Words) -> None:
        self.space = space

    def predict(self, word: str) -> Amount:
        return Amount(1.0 + "xyz".index(word[1]))

    def figures(self, points: np.ndarray) -> np.ndarray:
        return one_by_one(self, self.space, points)


def test_a_space_may_decode_to_anything() -> None:
    status = search(
        Words(), "random", accuracy=lambda word: len(word) / 4, costs=[Letters(Words())], trials=20
    )
    assert status.exhausted
    assert sorted(r.architecture for r in status.trained) == sorted(a + b for a in "abc" for b in "xyz")


@pytest.mark.parametrize("sampler", ["random", optuna.samplers.RandomSampler(seed=0)])
def test_a_space_that_knows_its_figures_needs_nothing_else(
    sampler: str | optuna.samplers.BaseSampler,
) -> None:
    status = search(Table(), sampler, trials=20)
    assert status.exhausted
    assert sorted(result.architecture for result in status.trained) == ["ax", "az", "by", "cz"]
    assert [result.architecture for result in status.front] == ["ax", "by", "cz"]
    for result in status.results:  # a sampler that knows nothing of it proposes what does not exist
        if result.state == "infeasible":
            assert str(result.message).startswith("there is no word of")
            assert result.latency_ms is None
    with pytest.raises(Infeasible, match=r"no architecture of words reaches 0\.5 letters: the least is 1: "):
        search(Table(), "random", target_ms=0.5)
    assert [r.latency_ms for r in search(Table(), "random", cap_ms=1.0).trained] == [1.0]


def test_a_search_in_memory_plans_for_its_own_length_and_a_run_for_what_its_settings_say(
    tmp_path: Path,
) -> None:
    """By its schedule q_learning is at random for more than half of its trials."""

    def found(trials: int, planned: int, path: Path | None = None) -> list[str]:
        given = {"accuracy": accuracy, "latency": MacsLatency(), "settings": {"trials": planned}}
        if path is None:
            status = search(ToySpace(4), "q_learning", trials=trials, target_ms=1.5, **given)
        else:
            with make_run(path, config(trials=trials)) as run:
                status = search(ToySpace(4), "q_learning", run=run, **given)
        return [result.architecture for result in status.results]

    assert found(20, 0) == found(20, 20) != found(20, 100)
    kept = found(10, 10, tmp_path / "kept")
    assert found(20, 10, tmp_path / "kept") == found(20, 10, tmp_path / "at once")
    assert kept == found(10, 10)
    found(10, 0, tmp_path / "told nothing")
    assert found(20, 0, tmp_path / "told nothing") == found(20, 100)
