"""Optuna's samplers that need help to repeat by seed however a study is cut. Knows no strategy of ours.

Genetic samplers note each generation's parents in the study. Whoever makes that note has the parents in
another order, and another state of its generator, than whoever reads it; a proposal that was cut off in
between would be made again differently.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from importlib.util import find_spec
from threading import Lock
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from controllers.archive import PerStudy, ordinal
from controllers.errors import BadSetting, MissingExtra
from controllers.problem import Problem

#: a change of the warnings' filters is everybody's; two at a time would not end as they began
_filters = Lock()
#: the largest population and the longest start; the most parts of an objective: with five objectives, these
#: make a third of a million reference points
MOST, FINEST = 10_000, 50


@contextmanager
def _no_warning_of_experiments() -> Iterator[None]:
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


class Generations:
    """Makes genetic samplers, one per proposal, that look at each of a study's trials once.

    Args:
        make: a genetic sampler from a `seed`.
    """

    def __init__(self, make: Callable[..., BaseGASampler]) -> None:
        self.make = make
        # each sampler has one of its own, which begins with the first trial
        self.common = PerStudy(IntersectionSearchSpace)

    def __call__(self, seed: int) -> BaseSampler:
        """A sampler for one proposal."""
        return Generational(self, seed)


class Generational(BaseSampler):
    """A genetic sampler for one proposal, whose study always has the parents' note before a child is made.

    Args:
        owner: its maker.
        seed: of this proposal.
    """

    def __init__(self, owner: Generations, seed: int) -> None:
        self._common = owner.common
        self._selecting = owner.make(seed=seed)
        self._breeding = owner.make(seed=seed)

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
    ) -> dict[str, BaseDistribution]:
        """What all complete trials have, less choices of one option, as the sampler."""
        common = self._common.of(study).calculate(study)
        return {name: distribution for name, distribution in common.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler, after the parents have been noted."""
        generation = self._selecting.get_trial_generation(study, trial)
        self._selecting.get_parent_population(study, generation)
        return self._breeding.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler."""
        return self._breeding.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the sampler."""
        self._breeding.after_trial(study, trial, state, values)


def nsga2(*, population: int) -> Callable[[int], BaseSampler]:
    """Makes Optuna's NSGA-II, one for each proposal."""
    _within(2, MOST, "population of nsga2", population)
    return Generations(partial(NSGAIISampler, population_size=population))


def nsga3(*, population: int, divisions: int) -> Callable[[int], BaseSampler]:
    """Makes Optuna's NSGA-III, one for each proposal, with `divisions` parts of each objective."""
    _within(2, MOST, "population of nsga3", population)
    _within(1, FINEST, "divisions of nsga3", divisions)
    return Generations(partial(_nsga3, population_size=population, dividing_parameter=divisions))


def _nsga3(**settings: Any) -> BaseGASampler:
    with _no_warning_of_experiments():
        return NSGAIIISampler(**settings)


def tpe(seed: int, *, startup: int) -> BaseSampler:
    """Optuna's TPE for one proposal; the first `startup` complete trials are random."""
    _within(1, MOST, "startup of tpe", startup)
    return TPESampler(seed=seed, n_startup_trials=startup)


def gp(seed: int, *, startup: int) -> BaseSampler:
    """Optuna's Gaussian processes for one proposal; the first `startup` complete trials are random.

    Raises:
        MissingExtra: PyTorch is not installed.
    """
    _within(1, MOST, "startup of gp", startup)
    if find_spec("torch") is None:
        raise MissingExtra("gp needs PyTorch, which is not installed: pip install 'mnas[gp]'")
    return GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)


def _within(least: int, most: int, what: str, value: int) -> None:
    if not least <= value <= most:
        raise BadSetting(f"{what} is {value}; allowed: {least} to {most}")


class _Numbered(QMCSampler):
    """Takes a trial's ordinal for its place in the sequence.

    Optuna's own counts places in the study: a proposal that was cut off would leave a hole.
    """

    place = 0

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:  # noqa: ARG002 - Optuna's interface
        return self.place


class QuasiRandom:
    """Makes samplers, one per proposal, that share one scrambled Sobol sequence (Optuna's QMCSampler).

    Each choice takes one coordinate of the unit cube, cut into as many equal parts as it has options.

    Args:
        problem: the choices; without it, those of the study's first finished trial, which is random itself.
        seed: of the scrambling.
    """

    def __init__(self, problem: Problem | None, seed: int) -> None:
        with _no_warning_of_experiments():
            self.sequence = _Numbered(scramble=True, seed=seed, warn_independent_sampling=False)
        self.choices = None if problem is None else problem.distributions

    def __call__(self, seed: int) -> BaseSampler:
        """A sampler for one proposal."""
        return _Quasi(self, seed)


class _Quasi(BaseSampler):
    def __init__(self, owner: QuasiRandom, seed: int) -> None:
        self._sequence = copy(owner.sequence)
        self._choices = owner.choices
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._choices is not None:
            return dict(self._choices)
        return self._sequence.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._sequence.place = ordinal(study, trial)
        return self._sequence.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)
