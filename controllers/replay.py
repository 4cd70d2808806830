"""An algorithm of this package as an Optuna sampler, brought up to date by replaying the study. Knows none.

Nothing is kept but the study: a sampler that is made anew learns from the trials that it finds, in the order
of their numbers. One that is there all along learns before each proposal from what has finished since the
last. With one trial at a time that is the same order, and what is made anew proposes what the one before it
would have proposed. With several at a time an earlier trial may finish later: then the order may differ, and
with it what is proposed after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from controllers.algorithm import Algorithm, Finished, Turn
from controllers.archive import Archive, PerStudy, Place, costs_of
from controllers.problem import Point, Problem

#: values and rewards beyond which they are all the same, infinite ones too
LARGEST = 1e100

_STATES: Mapping[TrialState, Literal["complete", "infeasible", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "infeasible",
    TrialState.FAIL: "failed",
}


class Replay:
    """Makes samplers that share one algorithm's state, one per proposal; one thread at a time may propose.

    Args:
        make: the algorithm for a problem; called again where a study's choices change.
        problem: what is known beforehand; without it the choices are those that every trial of the study has.

    Raises:
        BadSetting: the algorithm does not take its settings, or the problem: one is made at once to find out.
    """

    def __init__(self, make: Callable[[Problem], Algorithm], problem: Problem | None) -> None:
        self.make = make
        self.problem = problem
        self.courses = PerStudy(_Course)
        make(problem or Problem({"choice": ("option",)}))

    def __call__(self, seed: int) -> BaseSampler:
        """A sampler for one proposal, with a generator of its own."""
        return _Proposer(self, seed)


class _Course:
    """What was learned in one study, by the names of the choices."""

    def __init__(self) -> None:
        self.common = IntersectionSearchSpace(include_pruned=True)
        self._learned: dict[tuple[str, ...], _Learned] = {}

    def learned(self, replay: Replay, search_space: Mapping[str, BaseDistribution]) -> _Learned:
        """The algorithm for these choices."""
        names = tuple(search_space)
        if names not in self._learned:
            menus = {
                name: distribution.choices
                for name, distribution in search_space.items()
                if isinstance(distribution, CategoricalDistribution)
            }
            problem = replay.problem
            if problem is None or tuple(problem.choices) != tuple(menus):
                problem = Problem(menus)  # type: ignore[arg-type] # Optuna allows None and bool as options, too
            self._learned[names] = _Learned(replay.make(problem), problem, Archive(search_space))
        return self._learned[names]


class _Learned:
    """One algorithm, and the trials that it has learned from."""

    def __init__(self, algorithm: Algorithm, problem: Problem, archive: Archive) -> None:
        self._algorithm = algorithm
        self._reward = problem.reward
        self._archive = archive
        self._costs: list[NDArray[np.float64]] = []

    def propose(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        """Learn from what has finished since, then propose."""
        past = self._archive.look(study, but=trial.number)
        for finished, place in past.fresh:
            self._algorithm.learn(self._finished(study, finished, _point(place)))
        pending = tuple(_point(place) for place in past.pending.values())
        rng = np.random.default_rng(seed)
        # these places are points: all parameters are choices
        seen = cast("Set[Point]", past.seen)
        point = self._algorithm.propose(Turn(rng, past.ordinal, pending, seen))
        return self._archive.params(point)

    def _finished(self, study: Study, trial: FrozenTrial, point: Point) -> Finished:
        state = _STATES[trial.state]
        if state != "complete":
            nothing = 0.0 if state == "infeasible" and self._reward is not None else None
            return Finished(point, state, None, nothing)
        costs = np.clip(costs_of(study, trial.values), -LARGEST, LARGEST)
        if self._reward is None:
            return Finished(point, state, costs, self._standing(costs))
        reward = np.nan_to_num(float(self._reward(trial)), nan=-LARGEST)
        return Finished(point, state, costs, float(np.clip(reward, -LARGEST, LARGEST)))

    def _standing(self, costs: NDArray[np.float64]) -> float:
        """Without a reward: of one objective its value; of several the mean rank so far, 0 to 1."""
        if len(costs) == 1:
            return float(-costs[0])
        self._costs.append(costs)
        return float(np.mean(costs <= np.array(self._costs)))


def _point(place: Place) -> Point:
    return tuple(map(int, place))


class _Proposer(BaseSampler):
    """One proposal of an algorithm."""

    def __init__(self, replay: Replay, seed: int) -> None:
        self._replay = replay
        self._seed = seed
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
    ) -> dict[str, BaseDistribution]:
        """The problem's choices; without a problem, those that every finished trial has."""
        if self._replay.problem is not None:
            return dict(self._replay.problem.distributions)
        return {
            name: distribution
            for name, distribution in self._replay.courses.of(study).common.calculate(study).items()
            if isinstance(distribution, CategoricalDistribution) and not distribution.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The algorithm's proposal."""
        if not search_space:
            return {}
        return (
            self._replay.courses.of(study)
            .learned(self._replay, search_space)
            .propose(study, trial, self._seed)
        )

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random: the first trial of a study without a problem, and parameters that are no choices."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Nothing: the algorithm learns when it proposes next."""
