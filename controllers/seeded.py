"""A sampler whose every proposal depends on a seed and the finished trials alone. Knows no strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

#: user attribute of a trial that was closed without an answer and is proposed again: it does not count
ABANDONED = "abandoned"


class SeededSampler(BaseSampler):
    """Makes the strategy anew for every trial, with a generator seeded by the seed and the trial's ordinal.

    A strategy that keeps its state in the study alone then proposes after a restart what it would have
    proposed without one. The ordinal is the number of earlier trials, those marked `ABANDONED` left out, so
    a trial that was interrupted and proposed again does not shift those after it.

    Args:
        name: of the strategy, for messages.
        make: makes the strategy from a 32 bit seed; a module's function, so that the sampler can be pickled.
        seed: 0 or more.
    """

    def __init__(self, name: str, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._name = name
        self._make = make
        self._seed = seed
        self._running: dict[tuple[str, int], BaseSampler] = {}

    def __str__(self) -> str:
        return f"{self._name}(seed={self._seed})"

    def reseed_rng(self) -> None:
        """Nothing to do: parallel trials have different numbers, so different generators."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the trial's strategy."""
        self._of(study, trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Ask the trial's strategy."""
        return self._of(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the trial's strategy."""
        return self._of(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the trial's strategy."""
        return self._of(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the trial's strategy learn, and let go of it."""
        self._of(study, trial).after_trial(study, trial, state, values)
        self._running.pop((study.study_name, trial.number), None)

    def _of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        key = (study.study_name, trial.number)
        if key not in self._running:
            ordinal = sum(
                other.number < trial.number and ABANDONED not in other.user_attrs
                for other in study.get_trials(deepcopy=False)
            )
            state = np.random.SeedSequence((self._seed, ordinal)).generate_state(1)
            self._running[key] = self._make(int(state[0]))
        return self._running[key]
