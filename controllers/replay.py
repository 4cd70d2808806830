"""An algorithm of this package as an Optuna sampler, brought up to date by replaying the study. Knows none.

Nothing is kept but the study: a sampler that is made anew learns from the trials that it finds, in the order
of their numbers, and proposes what the one before it would have proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from controllers.algorithm import Algorithm, Finished, Turn
from controllers.archive import Archive, ordinal
from controllers.problem import Point, Problem

_STATES: Mapping[TrialState, Literal["complete", "infeasible", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "infeasible",
    TrialState.FAIL: "failed",
}


class Replay:
    """Makes samplers that share one algorithm's state, one for each proposal.

    Args:
        make: the algorithm for a problem; called again where a study's choices change.
        problem: what is known beforehand; without it the choices are those that every trial of the study has.
    """

    def __init__(self, make: Callable[[Problem], Algorithm], problem: Problem | None) -> None:
        self._make = make
        self._problem = problem
        self._states: dict[tuple[str, tuple[str, ...]], _State] = {}

    def __call__(self, seed: int) -> BaseSampler:
        """A sampler for one proposal, with a generator of its own."""
        return _Proposer(self, self._problem, seed)

    def state(self, study: Study, search_space: Mapping[str, BaseDistribution]) -> _State:
        """The algorithm for these choices, which has learned from every finished trial of the study."""
        key = (study.study_name, tuple(search_space))
        if key not in self._states:
            self._states[key] = _State(self._make, self._problem, search_space)
        self._states[key].catch_up(study)
        return self._states[key]


class _State:
    """One algorithm, and which trials it has learned from."""

    def __init__(
        self,
        make: Callable[[Problem], Algorithm],
        problem: Problem | None,
        search_space: Mapping[str, BaseDistribution],
    ) -> None:
        menus = {
            name: distribution.choices
            for name, distribution in search_space.items()
            if isinstance(distribution, CategoricalDistribution)
        }
        if problem is None or tuple(problem.choices) != tuple(menus):
            problem = Problem(menus)  # type: ignore[arg-type] # Optuna allows None and bool as options, too
        self.archive = Archive(search_space)
        self.algorithm = make(problem)
        self._reward = problem.reward
        self._learned: set[int] = set()
        self._costs: list[NDArray[np.float64]] = []

    def catch_up(self, study: Study) -> None:
        fresh = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if trial.state in _STATES and trial.number not in self._learned
        ]
        if not fresh:
            return
        places = self.archive.places(study)
        for trial in fresh:
            self._learned.add(trial.number)
            if trial.number in places:
                point = tuple(map(int, places[trial.number]))
                self.algorithm.learn(self._finished(study, trial, point))

    def _finished(self, study: Study, trial: FrozenTrial, point: Point) -> Finished:
        state = _STATES[trial.state]
        if state != "complete":
            return Finished(point, state, None, 0.0 if state == "infeasible" else None)
        signs = [-1.0 if way == StudyDirection.MAXIMIZE else 1.0 for way in study.directions]
        costs = np.nan_to_num(np.array(signs) * np.array(trial.values))
        reward = self._standing(costs) if self._reward is None else float(self._reward(trial))
        return Finished(point, state, costs, reward)

    def _standing(self, costs: NDArray[np.float64]) -> float:
        """Without a reward: of one objective its value; of several the mean rank so far, 0 to 1."""
        if len(costs) == 1:
            return float(-costs[0])
        self._costs.append(costs)
        return float(np.mean(costs <= np.array(self._costs)))


class _Proposer(BaseSampler):
    """One proposal of an algorithm."""

    def __init__(self, replay: Replay, problem: Problem | None, seed: int) -> None:
        self._replay = replay
        self._problem = problem
        self._seed = seed
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
    ) -> dict[str, BaseDistribution]:
        """The problem's choices; without a problem, those that every finished trial has."""
        if self._problem is not None:
            return {
                name: CategoricalDistribution(tuple(options))
                for name, options in self._problem.choices.items()
            }
        known = intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)
        return {
            name: distribution
            for name, distribution in known.items()
            if isinstance(distribution, CategoricalDistribution) and not distribution.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The algorithm's proposal."""
        if not search_space:
            return {}
        state = self._replay.state(study, search_space)
        places = state.archive.places(study, but=trial.number)
        points = {number: tuple(map(int, place)) for number, place in places.items()}
        running = [
            points[other.number]
            for other in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if other.number in points
        ]
        rng = np.random.default_rng(self._seed)
        turn = Turn(rng, ordinal(study, trial), running, frozenset(points.values()))
        point = state.algorithm.propose(turn)
        return {
            name: distribution.to_external_repr(index)
            for (name, distribution), index in zip(search_space.items(), point, strict=True)
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random: the first trial of a study without a problem, and parameters that are no choices."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Nothing: the algorithm learns when it proposes next."""
