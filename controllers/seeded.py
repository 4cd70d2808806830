"""A sampler whose every proposal is new and follows from seed and finished trials. Knows no strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from controllers.archive import ABANDONED, Archive, Place, ordinal
from controllers.known import Screen
from controllers.problem import Point, Problem

__all__ = ["ABANDONED", "SeededSampler"]

#: how often a strategy is asked again when it proposes what the study has already
REDRAWS = 8
#: then, how many random neighbours of its last proposal are tried, farther and farther away
NEIGHBOURS = 200
#: then, the largest space whose points are listed to pick one of those left
LISTABLE = 100_000

Proposal = dict[str, Any]


class SeededSampler(BaseSampler):
    """Makes the strategy anew for every trial, with a generator seeded by the seed and the trial's ordinal.

    A strategy that keeps its state in the study alone then proposes after a restart what it would have
    proposed without one. The ordinal is the number of earlier trials, those marked `ABANDONED` left out, so
    a trial that was interrupted and proposed again does not shift those after it.

    A proposal that the study has already, or that does not exist, is drawn again, then moved: strategies that
    forget failed trials, as Optuna's do, would propose the same failure for ever.

    Args:
        name: of the strategy, for messages.
        make: makes the strategy from a 32 bit seed.
        seed: 0 or more.
        problem: the choices, and which points exist; without it, all that the study's trials have in common.
        screened: whether to draw again, too, what the problem's known figures rule out or make pointless.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[int], BaseSampler],
        seed: int,
        problem: Problem | None = None,
        *,
        screened: bool = False,
    ) -> None:
        self._name = name
        self._make = make
        self._seed = seed
        self._problem = problem
        self._screened = screened
        self._running: dict[tuple[str, int], BaseSampler] = {}
        self._archives: dict[tuple[str, tuple[str, ...]], Archive] = {}

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
            return {
                name: CategoricalDistribution(tuple(options))
                for name, options in self._problem.choices.items()
            }
        known = intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)
        return {name: distribution for name, distribution in known.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Proposal:
        """The strategy's proposal, or where the study has it already, another one."""
        if not search_space:
            return {}
        archive = self._archive(study, search_space)
        seen = set(archive.places(study, but=trial.number).values())
        problem = self._problem
        screen = Screen(problem.known, study) if self._screened and problem and problem.known else None
        proposal: Proposal = {}
        for attempt in range(1 + REDRAWS):
            strategy = self._of(study, trial) if not attempt else self._new(study, trial, attempt)
            proposal = _draw(strategy, study, trial, search_space)
            place = archive.place(proposal)
            if place in seen or (screen and not screen(place)):
                continue
            if problem is None or problem.existing is None or place in problem.existing:
                return proposal
            break  # points that exist may be few: not one of a thousand draws may be among them
        rng = np.random.default_rng((self._seed, ordinal(study, trial), 1 + REDRAWS))
        if problem is not None and problem.existing is not None:
            left = [point for point in problem.existing if point not in seen]
            return _nearest(archive.place(proposal), left, archive, rng, screen) if left else proposal
        return _moved(proposal, archive, seen, rng, screen)

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
        self._running.pop((study.study_name, trial.number), None)

    def _archive(self, study: Study, search_space: dict[str, BaseDistribution]) -> Archive:
        return self._archives.setdefault((study.study_name, tuple(search_space)), Archive(search_space))

    def _of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        key = (study.study_name, trial.number)
        if key not in self._running:
            self._running[key] = self._new(study, trial, 0)
        return self._running[key]

    def _new(self, study: Study, trial: FrozenTrial, attempt: int) -> BaseSampler:
        entropy = (self._seed, ordinal(study, trial), attempt)
        return self._make(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def _draw(
    strategy: BaseSampler, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
) -> Proposal:
    """What a strategy proposes for all parameters, whether it samples them together or one by one."""
    together = strategy.infer_relative_search_space(study, trial)
    proposal = strategy.sample_relative(study, trial, together)
    return {
        name: proposal[name]
        if name in proposal
        else strategy.sample_independent(study, trial, name, distribution)
        for name, distribution in search_space.items()
    }


def _moved(
    proposal: Proposal,
    archive: Archive,
    seen: set[Place],
    rng: np.random.Generator,
    screen: Screen | None,
) -> Proposal:
    """An unseen neighbour, else any unseen point of a small space, else the proposal itself."""
    menus = {
        name: distribution.choices
        for name, distribution in archive.search_space.items()
        if isinstance(distribution, CategoricalDistribution)
    }
    names = list(menus)
    unscreened: Proposal | None = None
    for attempt in range(NEIGHBOURS if names else 0):
        changes = min(len(names), 1 + attempt * len(names) // NEIGHBOURS)
        changed = rng.choice(len(names), size=changes, replace=False)
        other = proposal | {
            names[at]: menus[names[at]][rng.integers(len(menus[names[at]]))] for at in changed
        }
        place = archive.place(other)
        if place in seen:
            continue
        if screen is None or screen(place):
            return other
        unscreened = unscreened or other
    if unscreened is not None:
        return unscreened
    if len(menus) == len(archive.search_space) and len(seen) < prod(map(len, menus.values())) <= LISTABLE:
        points = (dict(zip(menus, values, strict=True)) for values in product(*menus.values()))
        left = [point for point in points if archive.place(point) not in seen]
        if left:
            return left[rng.integers(len(left))]
    return proposal


def _nearest(
    place: Place, left: list[Point], archive: Archive, rng: np.random.Generator, screen: Screen | None
) -> Proposal:
    """Of the points that exist and are left, one of those that differ from a place in the fewest choices."""
    if screen is not None:
        left = [point for point in left if screen(point)] or left
    points = np.array(sorted(left))
    apart = np.count_nonzero(points != np.array(place), axis=1)
    nearest = points[apart == apart.min()]
    chosen = nearest[rng.integers(len(nearest))].tolist()
    return {
        name: distribution.to_external_repr(index)
        for (name, distribution), index in zip(archive.search_space.items(), chosen, strict=True)
    }
