"""What this project promises of every strategy in the registry, on a study in memory."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from controllers import registry
from controllers.seeded import ABANDONED

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAMES = registry.names()
Outcome = tuple[TrialState, list[float] | None]


def choices(*sizes: int) -> dict[str, BaseDistribution]:
    return {f"x{at}": CategoricalDistribution(tuple(range(size))) for at, size in enumerate(sizes)}


def sampler_of(name: str, seed: int) -> BaseSampler:
    few = {"population": 6} if "population" in registry.describe(name).settings else {}
    return registry.create(name, seed, settings=few)


def study_of(name: str, seed: int = 0) -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"], sampler=sampler_of(name, seed))


def mixed(params: dict[str, int]) -> Outcome:
    """Values that differ, and every kind of ending."""
    total = sum(value * (at + 1) for at, value in enumerate(params.values()))
    if total % 7 == 3:
        return TrialState.FAIL, None
    if total % 5 == 4:
        return TrialState.PRUNED, None
    return TrialState.COMPLETE, [float(total % 11), float(sum(params.values()))]


def run(
    study: optuna.Study,
    trials: int,
    space: dict[str, BaseDistribution],
    outcome: Callable[[dict[str, int]], Outcome] = mixed,
) -> list[tuple[int, ...]]:
    proposals = []
    for _ in range(trials):
        trial = study.ask(space)
        proposals.append(tuple(trial.params[name] for name in space))
        state, values = outcome(trial.params)
        study.tell(trial, values, state=state)
    return proposals


@pytest.mark.parametrize("name", NAMES)
def test_repeats_by_seed(name: str) -> None:
    space = choices(3, 3, 3, 3, 3)
    first, second = (run(study_of(name, 5), 40, space) for _ in range(2))
    assert first == second
    assert first != run(study_of(name, 6), 40, space)


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_after_a_restart_as_without_one(name: str) -> None:
    space = choices(3, 3, 3, 3, 3)
    whole = run(study_of(name), 40, space)
    study = study_of(name)
    parts = run(study, 17, space)
    study.sampler = sampler_of(name, 0)
    assert parts + run(study, 23, space) == whole


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_that_was_cut_off_and_made_again_shifts_nothing(name: str) -> None:
    """As a run directory does it: closed with a mark, its proposal queued with the strategy's notes."""
    space = choices(3, 3, 3, 3, 3)
    whole = run(study_of(name), 40, space)
    study, proposals = study_of(name), []
    for cut in (0, 1, 9, 14, 20):
        proposals += run(study, cut - len(proposals), space)
        trial = study.ask(space)
        trial.set_user_attr(ABANDONED, "cut off")
        noted: FrozenTrial = study.trials[-1]
        study.tell(trial, state=TrialState.FAIL)
        study.sampler = sampler_of(name, 0)
        if cut != 9:  # once, the process ended before the proposal was whole: then it is made again
            attributes = {**noted.system_attrs, "fixed_params": noted.params}
            study.add_trial(optuna.create_trial(state=TrialState.WAITING, system_attrs=attributes))
    assert proposals + run(study, 40 - len(proposals), space) == whole


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "outcome", [mixed, lambda _: (TrialState.COMPLETE, [1.0, 1.0])], ids=["mixed", "all alike"]
)
def test_proposes_nothing_twice_while_something_is_left(
    name: str, outcome: Callable[[dict[str, int]], Outcome]
) -> None:
    space = choices(3, 2, 2, 2)
    proposals = run(study_of(name), 30, space, outcome)
    assert sorted(proposals[:24]) == sorted(itertools.product(range(3), range(2), range(2), range(2)))
    assert set(proposals[24:]) <= set(proposals[:24])


@pytest.mark.parametrize("name", NAMES)
def test_leaves_a_failure_behind_that_looks_best(name: str) -> None:
    """Optuna's strategies forget failed trials; alone, they would propose the same one for ever."""
    space = choices(4, 4, 4, 4)

    def outcome(params: dict[str, int]) -> Outcome:
        zeros = sum(value == 0 for value in params.values())
        return (TrialState.FAIL, None) if zeros >= 3 else (TrialState.COMPLETE, [float(zeros), -float(zeros)])

    proposals = run(study_of(name), 60, space, outcome)
    assert len(set(proposals)) == len(proposals)


@pytest.mark.parametrize("name", NAMES)
def test_survives_when_every_trial_fails(name: str) -> None:
    run(study_of(name), 30, choices(3, 3), lambda _: (TrialState.FAIL, None))
    run(study_of(name), 30, choices(3, 3), lambda _: (TrialState.PRUNED, None))


@pytest.mark.parametrize("name", NAMES)
def test_handles_a_space_of_one_point_and_a_huge_one(name: str) -> None:
    assert run(study_of(name), 4, choices(1, 1)) == [(0, 0)] * 4
    assert run(study_of(name), 4, choices(1)) == [(0,)] * 4
    proposals = run(study_of(name), 30, choices(*[10] * 20))
    assert len(set(proposals)) == 30


@pytest.mark.parametrize("name", NAMES)
def test_answers_out_of_order(name: str) -> None:
    """Several trials at a time, told in another order than asked."""
    space, study, rng = choices(5, 5, 5), study_of(name), random.Random(1)
    asked: list[optuna.Trial] = []
    for _ in range(40):
        asked.append(study.ask(space))
        if len(asked) == 4:
            trial = asked.pop(rng.randrange(4))
            state, values = mixed(trial.params)
            study.tell(trial, values, state=state)
    proposals = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(proposals)) == len(proposals)


def test_learning_strategies_learn() -> None:
    """On a separable function, later proposals of nsga2 and tpe are better than random ones."""

    def outcome(params: dict[str, int]) -> Outcome:
        return TrialState.COMPLETE, [float(sum(params.values())), 0.0]

    def late(name: str) -> float:
        found = run(study_of(name), 60, space, outcome)[40:]
        return sum(map(sum, found)) / len(found)

    space = choices(*[4] * 8)
    reference = late("random")
    assert abs(reference - 12) < 1.5
    assert late("nsga2") > reference + 1
    assert late("tpe") > reference + 1
