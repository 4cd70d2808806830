from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from controllers.registry import create
from controllers.seeded import ABANDONED
from mnas.errors import BadRun
from mnas.run import Result, RunDirectory, make_run
from mnas.spaces import Choice
from mnas.study import NAME, RETRY_OF, Journal, RunStudy, distributions, quiet_optuna
from tests.mnas.toy import ToySpace, config

SPACE = ToySpace(1)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    with quiet_optuna(), make_run(tmp_path / "run", config()) as made:
        yield made


def opened(run: RunDirectory) -> RunStudy:
    """The study as a new process finds it."""
    return RunStudy(run, SPACE, create("random", 3))


def result(number: int, choices: tuple[int, ...], state: str = "trained") -> Result:
    accuracy = 0.5 if state == "trained" else None
    architecture = str(SPACE.decode(choices))
    return Result(number, choices, architecture, accuracy, 1.5, state, 1.0)  # type: ignore[arg-type]  # a State


def states(study: RunStudy) -> list[TrialState]:
    return [trial.state for trial in study.study.get_trials()]


def test_a_proposal_is_an_option_of_every_choice(run: RunDirectory) -> None:
    study = opened(run)
    for expected in range(10):
        number, choices = study.ask()
        assert number == expected
        values = [choice.options[index] for choice, index in zip(SPACE.choices, choices, strict=True)]
        assert values == list(study.study.get_trials()[number].params.values())


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("trained", TrialState.COMPLETE),
        ("infeasible", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
    ],
)
def test_a_result_told_is_there_for_the_next_process(run: RunDirectory, state: str, told: TrialState) -> None:
    study = opened(run)
    number, choices = study.ask()
    study.tell(result(number, choices, state))
    (trial,) = opened(run).study.get_trials()
    assert trial.state is told
    assert trial.user_attrs["state"] == state
    assert trial.values == ([0.5, 1.5] if state == "trained" else None)


def test_a_recorded_result_that_was_not_told_is_told(run: RunDirectory) -> None:
    number, choices = opened(run).ask()
    study = opened(run)
    study.reconcile([result(number, choices)])
    assert states(study) == [TrialState.COMPLETE]


def test_a_proposal_that_was_cut_off_is_the_next_and_once(run: RunDirectory) -> None:
    first = opened(run)
    done = [result(*first.ask())]
    first.tell(done[0])
    number, choices = first.ask()
    for _ in range(2):  # the second process is cut off before it asks
        study = opened(run)
        study.reconcile(done)
        assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING]
    trials = study.study.get_trials()
    assert ABANDONED in trials[number].user_attrs
    assert trials[2].user_attrs[RETRY_OF] == number
    assert study.ask() == (2, choices)
    assert study.ask()[0] == 3


def test_what_does_not_belong_together_is_refused(run: RunDirectory) -> None:
    study = opened(run)
    number, choices = study.ask()
    other = (1 - choices[0], *choices[1:])
    with pytest.raises(BadRun, match=r"trial 0 of .*journal\.log is not the one that has a result"):
        study.reconcile([result(0, other)])
    study.tell(result(number, choices))
    with pytest.raises(BadRun, match="trial 0 finished, but its result is missing"):
        opened(run).reconcile([])


def test_results_beyond_the_journal_get_their_trials(run: RunDirectory) -> None:
    study = opened(run)
    number, choices = study.ask()
    done = [result(number, choices), replace(result(3, (1, 2, 0)), reward=0.25)]
    done.append(replace(result(2, (0, 1, 1), "infeasible"), message="as told"))
    study.reconcile(done)
    wanted = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    for found in (study, opened(run)):
        assert states(found) == wanted
        trials = found.study.get_trials()
        assert ABANDONED in trials[1].user_attrs
        assert trials[2].user_attrs["message"] == "as told"
        assert (trials[3].values, trials[3].user_attrs["reward"]) == ([0.5, 1.5], 0.25)
        assert list(trials[3].params.values()) == [5, 6, 8]
    assert opened(run).ask()[0] == 4
    assert "lacks trials 1 to 3: brought back" in run.log_file.read_text()


def test_results_of_another_space_are_refused(run: RunDirectory) -> None:
    study = opened(run)
    number, choices = study.ask()
    done = result(number, choices)
    with pytest.raises(
        BadRun, match=r"results\.jsonl: the result of trial 0 has option 99 of stage0_kernel; .* 1$"
    ):
        study.reconcile([replace(done, choices=(99, *choices[1:]))])
    with pytest.raises(BadRun, match="has 2 choices; the space has 3"):
        study.reconcile([replace(done, choices=choices[1:])])


def test_choices_need_different_names() -> None:
    space = ToySpace(1)
    assert list(distributions(space)) == [choice.name for choice in space.choices]
    space.choices = (*space.choices, Choice(space.choices[0].name, (1, 2)))
    with pytest.raises(BadRun, match="different names"):
        distributions(space)


def test_optuna_is_quiet_only_inside() -> None:
    before = optuna.logging.get_verbosity()
    with quiet_optuna():
        assert optuna.logging.get_verbosity() == optuna.logging.WARNING
        warnings.warn("as told", ExperimentalWarning, stacklevel=1)
    assert optuna.logging.get_verbosity() == before


OBJECTIVES = ("accuracy", "latency_ms", "latency_ms:pi5", "parameters")


def of_several(run: RunDirectory | None) -> RunStudy:
    return RunStudy(
        run, SPACE, create("random", 3), OBJECTIVES, lambda r: (0.5, 1.5, r.costs["pi5"], r.costs["size"])
    )


def test_several_objectives_have_their_names_and_directions(run: RunDirectory) -> None:
    study = of_several(run)
    number, choices = study.ask()
    told = replace(result(number, choices), costs={"pi5": 7.0, "size": 1e5}, reward=0.25)
    study.tell(told)
    found = of_several(run).study
    assert found.metric_names == list(OBJECTIVES)
    assert [way.name for way in found.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE", "MINIMIZE"]
    assert found.trials[0].values == [0.5, 1.5, 7.0, 1e5]
    assert found.trials[0].user_attrs["reward"] == 0.25


def test_a_study_for_other_objectives_is_refused(run: RunDirectory) -> None:
    opened(run)
    with pytest.raises(BadRun, match=r"begun for accuracy, latency_ms; this search is for accuracy, .*pi5"):
        of_several(run)


def test_a_study_of_before_names_were_kept_still_opens(run: RunDirectory) -> None:
    storage = optuna.storages.JournalStorage(Journal(str(run.journal)))
    optuna.create_study(study_name=NAME, storage=storage, directions=["maximize", "minimize"])
    assert opened(run).study.metric_names == ["accuracy", "latency_ms"]


def test_in_memory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with quiet_optuna():
        study = RunStudy(None, SPACE, create("random", 3))
        number, choices = study.ask()
        study.tell(result(number, choices))
    assert states(study) == [TrialState.COMPLETE]
    assert list(tmp_path.iterdir()) == []
