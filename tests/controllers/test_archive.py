"""What a study has, read once."""

from __future__ import annotations

import gc
import pickle

import optuna
from optuna.trial import TrialState

from controllers.archive import ABANDONED, Archive, PerStudy, ordinal
from tests.controllers.contract import problem

SPACE = problem(2, 3)
DISTRIBUTIONS = dict(SPACE.distributions)


def asked(study: optuna.Study, *point: int) -> optuna.Trial:
    study.enqueue_trial(dict(zip(SPACE.choices, point, strict=True)))
    return study.ask(DISTRIBUTIONS)


def test_what_has_finished_is_told_once_whatever_the_order() -> None:
    study = optuna.create_study()
    archive = Archive(DISTRIBUTIONS)
    trials = [asked(study, 0, at) for at in range(3)]
    own = asked(study, 1, 2)
    past = archive.look(study, but=own.number)
    assert (past.seen, past.pending, past.fresh) == (
        {(0, 0), (0, 1), (0, 2)},
        {0: (0, 0), 1: (0, 1), 2: (0, 2)},
        (),
    )
    study.tell(trials[2], 1.0)
    study.tell(trials[0], state=TrialState.FAIL)
    past = archive.look(study, but=own.number)
    assert [(trial.number, place) for trial, place in past.fresh] == [(0, (0, 0)), (2, (0, 2))]
    assert past.pending == {1: (0, 1)}
    assert past.seen == {(0, 0), (0, 1), (0, 2)}
    study.tell(trials[1], 1.0)
    assert [trial.number for trial, _ in archive.look(study, but=own.number).fresh] == [1]
    assert archive.look(study, but=own.number).fresh == ()


def test_what_lacks_parameters_or_was_abandoned_is_not_there() -> None:
    study = optuna.create_study()
    study.tell(study.ask({"x0": DISTRIBUTIONS["x0"]}), 1.0)
    trial = asked(study, 1, 1)
    trial.set_user_attr(ABANDONED, "cut off")
    study.tell(trial, state=TrialState.FAIL)
    last = asked(study, 0, 0)
    archive = Archive(DISTRIBUTIONS)
    past = archive.look(study, but=last.number)
    assert (past.seen, past.pending, past.fresh) == (set(), {}, ())
    assert ordinal(study, study.trials[last.number]) == past.ordinal == 1


def test_the_ordinal_is_the_same_by_either_way_whatever_was_abandoned_and_however_late() -> None:
    study, archive = optuna.create_study(), Archive(DISTRIBUTIONS)
    trials = [asked(study, at % 2, at % 3) for at in range(9)]
    for at in (4, 1, 7, 0):
        trials[at].set_user_attr(ABANDONED, "cut off")
        for trial in study.trials:
            assert archive.look(study, but=trial.number).ordinal == ordinal(study, trial)
        study.tell(trials[at], state=TrialState.FAIL)


def test_places_and_parameters_are_the_same_in_two_words() -> None:
    archive = Archive({"a": optuna.distributions.CategoricalDistribution(("x", "y")), **DISTRIBUTIONS})
    place = archive.place({"a": "y", "x0": 0, "x1": 2})
    assert place == (1, 0, 2)
    assert archive.params(place) == {"a": "y", "x0": 0, "x1": 2}


def test_each_study_has_its_own_and_none_is_kept_alive_or_taken_along() -> None:
    lists: PerStudy[list[object]] = PerStudy(list)
    one, other = optuna.create_study(), optuna.create_study()
    lists.of(one).append(1)
    assert (lists.of(one), lists.of(other)) == ([1], [])
    assert pickle.loads(pickle.dumps(lists)).of(one) == []
    del one
    gc.collect()
    assert len(lists._states) == 1
