"""Optuna's samplers, where this project helps them to repeat."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from controllers import registry
from tests.controllers.contract import alike, problem, run, study_of


@pytest.mark.parametrize("seed", [0, 1])
def test_quasi_random_takes_every_option_equally_often(seed: int) -> None:
    space = problem(*[4] * 12)
    proposals = run(study_of("qmc", space, seed), 64, space, alike)
    for column in zip(*proposals, strict=True):
        assert set(Counter(column).values()) == {16}
    for one in range(11):
        pairs = Counter((proposal[one], proposal[one + 1]) for proposal in proposals)
        assert (
            len(pairs) >= 13
        )  # 16 pairs at 4 each would be perfect; by chance, about one in fifty is missing


def test_chance_takes_them_less_evenly() -> None:
    space = problem(*[4] * 12)
    proposals = run(study_of("random", space), 64, space, alike)
    assert any(set(Counter(column).values()) != {16} for column in zip(*proposals, strict=True))


def test_quasi_random_counts_what_failed_and_not_what_was_cut_off() -> None:
    space = problem(*[4] * 12)
    whole = run(study_of("qmc", space), 10, space, alike)
    assert run(study_of("qmc", space), 10, space, lambda _: (TrialState.FAIL, None)) == whole


@pytest.mark.parametrize("name", ["qmc", "nsga3"])
def test_experiments_of_the_library_do_not_warn(name: str) -> None:
    space = problem(3, 3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(study_of(name, space), 10, space)


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_a_generation_is_as_large_as_the_population(name: str) -> None:
    space = problem(*[3] * 8)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=registry.create(name, 0, space, {"population": 5})
    )
    run(study, 20, space, lambda point: (TrialState.COMPLETE, [float(point[0]), float(sum(point))]))
    notes = [
        value
        for trial in study.trials
        for key, value in trial.system_attrs.items()
        if key.endswith(":generation")
    ]
    assert notes == [at // 5 for at in range(20)]


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_each_trial_is_compared_with_the_others_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison takes as long as a choice has options; with 200000 options, 30 trials took minutes."""
    compared = 0
    really = CategoricalDistribution.__eq__

    def counted(self: CategoricalDistribution, other: Any) -> bool:
        nonlocal compared
        compared += 1
        return really(self, other)

    space = problem(3, 3, 3, 3)
    counts = []
    for trials in (10, 40):
        compared = 0
        monkeypatch.setattr(CategoricalDistribution, "__eq__", counted)
        run(study_of(name, space), trials, space)
        monkeypatch.undo()
        counts.append(compared)
    assert counts[1] < 5 * counts[0]
