"""What this project promises of every strategy in the registry, on a study in memory."""

from __future__ import annotations

import itertools
import pickle
import random
import threading
from collections.abc import Callable
from functools import cache

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from controllers import registry
from controllers.seeded import ABANDONED
from tests.controllers.contract import (
    LEARNING,
    NAMES,
    Outcome,
    Point,
    alike,
    capped,
    mixed,
    problem,
    product,
    run,
    sampler_of,
    study_of,
)

SPACE = problem(3, 3, 3, 3, 3)
TRIALS = 24


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("told", [True, False], ids=["told the problem", "from the study alone"])
def test_repeats_by_seed(name: str, told: bool) -> None:
    space = SPACE if told else None
    first, second = (run(study_of(name, space, 5), TRIALS, SPACE) for _ in range(2))
    assert first == second
    assert first != run(study_of(name, space, 6), TRIALS, SPACE)


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_after_a_restart_as_without_one(name: str) -> None:
    """At odd moments, so also in the middle of a batch or a generation."""
    whole = run(study_of(name, SPACE), TRIALS, SPACE)
    study, proposals = study_of(name, SPACE), []
    for cut in (1, 5, 8, 13, 19, TRIALS):
        proposals += run(study, cut - len(proposals), SPACE)
        study.sampler = sampler_of(name, 0, SPACE)
    assert proposals == whole


#: what a strategy may be told: known figures with a cap, a reward, points that exist, a number of trials
TOLD = problem(
    3, 3, 3, 3, 3,
    known=capped(5.0, [1.0, 1.5, 1.0, 2.0, 0.5]),
    reward=product,
    points=np.array([point for point in itertools.product(range(3), repeat=5) if sum(point) % 4]),
    trials=TRIALS,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("screened", ["no", "ruled_out", "front"])
def test_a_restart_a_cut_and_a_journey_change_nothing_of_what_it_is_told_either(
    name: str, screened: str
) -> None:
    """By figures, a reward, and points that exist. Each time a proposal is cut off, and made elsewhere."""

    def outcome(point: Point) -> Outcome:
        second = float(np.dot(point, [1.0, 1.5, 1.0, 2.0, 0.5]))
        ruled_out = second > 5.0
        return (TrialState.PRUNED, None) if ruled_out else (TrialState.COMPLETE, [float(sum(point)), second])

    whole = run(study_of(name, TOLD, screened=screened), TRIALS, TOLD, outcome)
    study, proposals = study_of(name, TOLD, screened=screened), []
    for cut in (1, 5, 8, 13, 19, TRIALS):
        proposals += run(study, cut - len(proposals), TOLD, outcome)
        trial = study.ask(dict(TOLD.distributions))
        trial.set_user_attr(ABANDONED, "cut off")
        study.tell(trial, state=TrialState.FAIL)
        study.sampler = pickle.loads(pickle.dumps(sampler_of(name, 0, TOLD, screened=screened)))
    assert proposals == whole
    assert {sum(point) % 4 for point in whole} == {1, 2, 3}
    if screened != "no":
        assert all(outcome(point)[0] == TrialState.COMPLETE for point in whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_that_was_cut_off_and_made_again_shifts_nothing(name: str) -> None:
    """As a run directory does it: closed with a mark, its proposal queued with the strategy's notes.

    Every other time the process ended before the proposal was whole: then it is made again.
    """
    whole = run(study_of(name, SPACE), TRIALS, SPACE)
    study, proposals = study_of(name, SPACE), []
    for at in range(TRIALS):
        trial = study.ask()
        for choice, options in itertools.islice(SPACE.choices.items(), 1 if at % 2 else None):
            trial.suggest_categorical(choice, options)
        trial.set_user_attr(ABANDONED, "cut off")
        noted: FrozenTrial = study.trials[-1]
        study.tell(trial, state=TrialState.FAIL)
        study.sampler = sampler_of(name, 0, SPACE)
        if at % 2 == 0:
            attributes = {**noted.system_attrs, "fixed_params": noted.params}
            study.add_trial(optuna.create_trial(state=TrialState.WAITING, system_attrs=attributes))
        proposals += run(study, 1, SPACE)
    assert proposals == whole


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", [mixed, alike])
def test_proposes_nothing_twice_while_something_is_left(
    name: str, outcome: Callable[[Point], Outcome]
) -> None:
    small = problem(3, 2, 2, 2)
    proposals = run(study_of(name, small), 26, small, outcome)
    assert sorted(proposals[:24]) == sorted(itertools.product(range(3), range(2), range(2), range(2)))
    assert set(proposals[24:]) <= set(proposals[:24])


@pytest.mark.parametrize("name", NAMES)
def test_proposes_points_that_exist_each_once(name: str) -> None:
    rows = np.random.default_rng(1).permutation(list(itertools.product(range(4), repeat=4)))[:15]
    table = problem(4, 4, 4, 4, points=rows)
    proposals = run(study_of(name, table), 15, table)
    assert sorted(proposals) == sorted(map(tuple, rows.tolist()))
    assert set(run(study_of(name, table), 17, table)[15:]) <= set(proposals)


@pytest.mark.parametrize("name", NAMES)
def test_leaves_a_failure_behind_that_looks_best(name: str) -> None:
    """Optuna's strategies forget failed trials; alone, they would propose the same one for ever."""
    space = problem(4, 4, 4, 4)

    def outcome(point: Point) -> Outcome:
        zeros = point.count(0)
        return (TrialState.FAIL, None) if zeros >= 3 else (TrialState.COMPLETE, [float(zeros), -float(zeros)])

    proposals = run(study_of(name, space), 40, space, outcome)
    assert len(set(proposals)) == len(proposals)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED])
def test_survives_when_no_trial_succeeds(name: str, state: TrialState) -> None:
    space = problem(3, 3)
    assert len(set(run(study_of(name, space), 14, space, lambda _: (state, None))[:9])) == 9


#: those that learn from one number
REWARDED = ("ppo", "reinforce", "q_learning")


@pytest.mark.parametrize("name", REWARDED)
def test_what_is_infeasible_is_no_aim_of_a_search_that_minimises(name: str) -> None:
    """Costs are above 0, so that no reward of 0 may be had by being ruled out; by chance, a third is."""
    space = problem(*[3] * 8)
    study = optuna.create_study(direction="minimize", sampler=sampler_of(name, 0, space))

    def outcome(point: Point) -> Outcome:
        ruled_out = point[0] == 0
        return (TrialState.PRUNED, None) if ruled_out else (TrialState.COMPLETE, [5.0 + sum(point)])

    proposals = run(study, 80, space, outcome)
    assert sum(point[0] == 0 for point in proposals[40:]) <= 25


@pytest.mark.parametrize("name", ["regularized_evolution", *REWARDED])
@pytest.mark.parametrize("endless", [np.inf, -np.inf])
def test_one_endless_value_spoils_nothing(name: str, endless: float) -> None:
    """What cannot be computed with would come out as the first option of every choice."""
    space = problem(*[4] * 20)
    study = optuna.create_study(direction="maximize", sampler=sampler_of(name, 0, space))
    rng = np.random.default_rng(2)
    values = np.where(np.arange(24) == 5, endless, rng.random(24))
    proposals = [
        run(study, 1, space, lambda _, at=at: (TrialState.COMPLETE, [values[at]])) for at in range(24)
    ]
    assert 1 < np.mean(proposals[12:]) < 2


@pytest.mark.parametrize("name", NAMES)
def test_handles_a_space_of_one_point_and_a_huge_one(name: str) -> None:
    for one in (problem(1, 1), problem(1)):
        assert run(study_of(name, one), 3, one) == [(0,) * len(one.choices)] * 3
    huge = problem(*[10] * 20)
    assert len(set(run(study_of(name, huge), 16, huge))) == 16


@pytest.mark.parametrize("name", NAMES)
def test_proposes_nothing_that_is_ruled_out_while_other_points_are_left(name: str) -> None:
    """23 of 243 points are allowed; the 24th proposal cannot be."""
    small = problem(3, 3, 3, 3, 3, known=capped(2.5, [1.0, 1.5, 1.0, 2.0, 0.5]))
    allowed = {
        point
        for point in itertools.product(range(3), repeat=5)
        if np.dot(point, [1.0, 1.5, 1.0, 2.0, 0.5]) <= 2.5
    }
    proposals = run(study_of(name, small), len(allowed) + 1, small)
    assert set(proposals[:-1]) == allowed
    assert len(set(proposals)) == len(proposals)


@pytest.mark.parametrize(("screened", "dearer"), [("no", True), ("ruled_out", True), ("front", False)])
def test_what_only_a_new_record_could_bring_to_the_front_is_drawn_unless_that_is_unwanted(
    screened: str, dearer: bool
) -> None:
    """All are as good, so that dearer points than the cheapest so far are beaten."""
    space = problem(*[3] * 4, known=capped(100.0, [1.0] * 4))
    proposals = run(
        study_of("random", space, screened=screened), 5, space, lambda p: (TrialState.COMPLETE, [1.0, sum(p)])
    )
    sums = [sum(point) for point in proposals]
    assert any(later > sums[0] for later in sums[1:]) == dearer
    assert sums[0] > 0


@pytest.mark.parametrize("name", NAMES)
def test_finds_what_is_allowed_where_hardly_anything_is(name: str) -> None:
    """One in a hundred million points of a space of 10^20."""
    huge = problem(*[10] * 20, known=capped(45.0, [1.0] * 20))
    proposals = run(study_of(name, huge), 8, huge)
    assert max(map(sum, proposals)) <= 45
    assert len(set(proposals)) == 8


@pytest.mark.parametrize("name", NAMES)
def test_answers_out_of_order(name: str) -> None:
    """Several trials at a time, told in another order than asked."""
    space, rng = problem(4, 4, 4), random.Random(1)
    study = study_of(name, space)
    asked: list[optuna.Trial] = []
    for _ in range(30):
        asked.append(study.ask(dict(space.distributions)))
        if len(asked) == 4:
            trial = asked.pop(rng.randrange(4))
            state, values = mixed(tuple(trial.params.values()))
            study.tell(trial, values, state=state)
    proposals = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(proposals)) == len(proposals)


@pytest.mark.parametrize("name", NAMES)
def test_threads_lose_nothing_and_double_nothing(name: str) -> None:
    space = problem(4, 4, 4)
    study = study_of(name, space)
    together = threading.Barrier(4)

    def search() -> None:
        together.wait()
        for _ in range(8):
            trial = study.ask(dict(space.distributions))
            state, values = mixed(tuple(trial.params.values()))
            study.tell(trial, values, state=state)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proposals = [tuple(trial.params.values()) for trial in study.trials]
    assert [trial.number for trial in study.trials] == list(range(32))
    assert all(trial.state.is_finished() for trial in study.trials)
    assert len(set(proposals)) == 32


@pytest.mark.parametrize("name", NAMES)
def test_travels_to_other_processes_and_goes_on_there(name: str) -> None:
    """Without what known figures are read from, which may not travel."""
    whole = run(study_of(name, SPACE), 16, SPACE)
    study = study_of(name, SPACE)
    proposals = run(study, 9, SPACE)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    assert str(study.sampler) == f"{name}(seed=0)"
    assert proposals + run(study, 7, SPACE) == whole


@pytest.mark.parametrize("name", NAMES)
def test_one_sampler_searches_two_studies_as_if_each_were_its_only_one(name: str) -> None:
    whole = run(study_of(name, SPACE), 12, SPACE)
    first = study_of(name, SPACE)
    second = optuna.create_study(directions=["maximize", "minimize"], sampler=first.sampler)
    found: tuple[list[Point], list[Point]] = ([], [])
    for _ in range(12):
        found[0].extend(run(first, 1, SPACE))
        found[1].extend(run(second, 1, SPACE))
    assert found == (whole, whole)


#: evaluations after which a strategy with its default settings has to be better than chance; fewer for those
#: that take long themselves, and need fewer
EVALUATIONS = 150
FEWER = {"ppo": 100, "reinforce": 100, "q_learning": 100, "tpe": 80, "gp": 40, "predictor_guided": 40}
OPTIONS = 4


@cache
def _best(name: str, seed: int, evaluations: int) -> float:
    """The best that a strategy finds of a sum over 20 choices, whose optimum is 1."""
    terms = np.random.default_rng((77, seed)).normal(size=(20, OPTIONS))
    terms /= terms.max(axis=1).sum()
    space = problem(*[OPTIONS] * 20)
    study = optuna.create_study(direction="maximize", sampler=registry.create(name, seed, space))
    for _ in range(evaluations):
        trial = study.ask(dict(space.distributions))
        study.tell(trial, float(terms[range(20), list(trial.params.values())].sum()))
    return study.best_value


@pytest.mark.parametrize("name", LEARNING)
def test_is_better_than_chance_at_what_can_be_learned(name: str) -> None:
    """Ten pairs of searches of equal length, each pair of another function (Wilcoxon's signed ranks)."""
    from scipy.stats import wilcoxon

    evaluations = FEWER.get(name, EVALUATIONS)
    ours, theirs = ([_best(one, seed, evaluations) for seed in range(10)] for one in (name, "random"))
    assert wilcoxon(ours, theirs, alternative="greater").pvalue < 0.01
