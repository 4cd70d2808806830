"""A sampler whose every proposal is new and follows from seed and finished trials. Knows no strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from controllers.archive import ABANDONED, Archive, PerStudy, Place, ordinal
from controllers.known import RULED_OUT, WORTHWHILE, Screen
from controllers.nearby import Nearby, nearby
from controllers.problem import Problem

__all__ = ["ABANDONED", "SeededSampler"]

#: how often a strategy is asked again when it proposes what the study has already
REDRAWS = 8
#: what is drawn again: nothing; what is ruled out; also what could be on the front only as a new record
SCREENS = ("no", "ruled_out", "front")

Proposal = dict[str, Any]


class SeededSampler(BaseSampler):
    """Makes the strategy anew for every trial, with a generator seeded by the seed and the trial's ordinal.

    A strategy that keeps its state in the study alone then proposes after a restart what it would have
    proposed without one. The ordinal is the number of earlier trials, those marked `ABANDONED` left out, so
    a trial that was interrupted and proposed again does not shift those after it.

    A proposal that the study has already, or that does not exist, is drawn again, then moved: strategies that
    forget failed trials, as Optuna's do, would propose the same failure for ever.

    Threads may share one, for one study or several: proposals are made one at a time. It goes to another
    process without what it remembers of studies, and reads that there again.

    Args:
        name: of the strategy, for messages.
        make: makes the strategy from a 32 bit seed.
        seed: 0 or more.
        problem: the choices, and which points exist; without it, all that the study's trials have in common.
        screened: what is drawn again, too, by the problem's known figures; one of `SCREENS`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[int], BaseSampler],
        seed: int,
        problem: Problem | None = None,
        *,
        screened: str = "no",
    ) -> None:
        self._name = name
        self._make = make
        self._seed = seed
        self._problem = problem
        self._screened = screened
        self._screened_by = None if problem is None or screened == "no" else problem.known
        self._memories = PerStudy(_Memory)

    @property
    def screens(self) -> bool:
        """Whether what is ruled out is proposed only where nothing else was found, near or by chance."""
        return self._screened_by is not None

    def __str__(self) -> str:
        return f"{self._name}(seed={self._seed})"

    def reseed_rng(self) -> None:
        """Nothing to do: parallel trials have different numbers, so different generators."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the trial's strategy."""
        self._of(study, trial).before_trial(study, trial)

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
    ) -> dict[str, BaseDistribution]:
        """All parameters that are proposed together: the problem's, else what every finished trial has."""
        if self._problem is not None:
            return dict(self._problem.distributions)
        memory = self._memories.of(study)
        with memory.lock:
            known = memory.common.calculate(study)
        return {name: distribution for name, distribution in known.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Proposal:
        """The strategy's proposal, or where the study has it already, another one."""
        if not search_space:
            return {}
        memory = self._memories.of(study)
        with memory.lock:
            space = memory.space(search_space, self._problem)
            space.made.pop(trial.number, None)
            place = self._place(study, trial, space)
            space.made[trial.number] = place
            return space.archive.params(place)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the trial's strategy: in the first trial, and for parameters that not every trial has."""
        return self._of(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the trial's strategy learn, and let go of it."""
        self._of(study, trial).after_trial(study, trial, state, values)
        self._memories.of(study).forget(trial.number)

    def _place(self, study: Study, trial: FrozenTrial, space: _Space) -> Place:
        past = space.archive.look(study, but=trial.number)
        made = {place for number, place in space.made.items() if number not in past.pending}
        seen = past.seen | made
        problem = self._problem
        exists = None if problem is None else problem.existing
        screen = None
        if self._screened_by is not None:
            screen = Screen(self._screened_by, study, front=self._screened == "front")
        place: Place | None = None
        best: Place | None = None
        best_grade = RULED_OUT - 1
        for attempt in range(1 + REDRAWS):
            strategy = self._of(study, trial) if not attempt else self._new(past.ordinal, attempt)
            before, place = place, space.archive.place(_draw(strategy, study, trial, space.archive))
            if place == before or (exists is not None and place not in exists):
                break  # it has nothing else to say; or too few exist to be met by chance
            if place in seen:
                continue
            grade = WORTHWHILE if screen is None else screen.grade(place)
            if grade == WORTHWHILE:
                return place
            if grade > best_grade:
                best, best_grade = place, grade
        assert place is not None  # it was drawn at least once
        rng = np.random.default_rng((self._seed, past.ordinal, 1 + REDRAWS))
        other = space.nearby.find(place, seen, rng, screen)
        if other is None and exists is not None:
            other = space.nearby.find(place, frozenset(), rng, None)  # nothing is left: one that exists
        if best is None:
            return place if other is None else other
        return other if other is not None and screen and screen.grade(other) > best_grade else best

    def _of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        running = self._memories.of(study).running
        if trial.number not in running:
            running[trial.number] = self._new(ordinal(study, trial), 0)
        return running[trial.number]

    def _new(self, earlier: int, attempt: int) -> BaseSampler:
        entropy = (self._seed, earlier, attempt)
        return self._make(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


class _Memory:
    """What is remembered of one study: nothing that the study does not say, but for what is being made."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.running: dict[int, BaseSampler] = {}
        self.common = IntersectionSearchSpace(include_pruned=True)
        self._spaces: dict[tuple[str, ...], _Space] = {}

    def space(self, search_space: dict[str, BaseDistribution], problem: Problem | None) -> _Space:
        names = tuple(search_space)
        if names not in self._spaces:
            sizes = [
                len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 0
                for distribution in search_space.values()
            ]
            points = None if problem is None else problem.points
            self._spaces[names] = _Space(Archive(search_space), nearby(sizes, points), {})
        return self._spaces[names]

    def forget(self, number: int) -> None:
        self.running.pop(number, None)
        for space in self._spaces.values():
            space.made.pop(number, None)


@dataclass(frozen=True, slots=True)
class _Space:
    """Parameters that are proposed together.

    Attributes:
        archive: which of their points the study has.
        nearby: how to find others.
        made: proposals by number of trials that are not finished, which the study may not have yet.
    """

    archive: Archive
    nearby: Nearby
    made: dict[int, Place]


def _draw(strategy: BaseSampler, study: Study, trial: FrozenTrial, archive: Archive) -> Proposal:
    """What a strategy proposes for all parameters, whether it samples them together or one by one."""
    together = strategy.infer_relative_search_space(study, trial)
    proposal = strategy.sample_relative(study, trial, together)
    return {
        name: proposal[name]
        if name in proposal
        else strategy.sample_independent(study, trial, name, distribution)
        for name, distribution in archive.search_space.items()
    }
