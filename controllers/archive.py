"""The points that a study has already, one tuple of option indices per trial. Proposes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

#: user attribute of a trial that was closed without an answer and is proposed again: it does not count
ABANDONED = "abandoned"

#: option indices, or for parameters that are no choices, the distribution's own numbers
Place = tuple[float, ...]

State = TypeVar("State")


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What a study had when it was looked at.

    Attributes:
        seen: where trials are that have all parameters, finished or not.
        pending: those of them that are not finished, by number.
        fresh: what has finished since the last look, in the order of the numbers.
        ordinal: of the trial that is being proposed, as `ordinal`.
    """

    seen: Set[Place]
    pending: Mapping[int, Place]
    fresh: tuple[tuple[FrozenTrial, Place], ...]
    ordinal: int


class Archive:
    """Reads each finished trial of one study once. Trials marked `ABANDONED` are not there.

    Args:
        search_space: the parameters that make a point, in their order; trials that lack some have none.
    """

    def __init__(self, search_space: Mapping[str, BaseDistribution]) -> None:
        self.search_space = dict(search_space)
        self._seen: set[Place] = set()
        self._open: list[int] = []
        self._read = 0
        self._abandoned: set[int] = set()

    def look(self, study: Study, but: int) -> Past:
        """What the study has now.

        Args:
            study: always the same one.
            but: number of a trial to leave out: the one that is being proposed.
        """
        trials = study.get_trials(deepcopy=False)
        pending: dict[int, Place] = {}
        fresh: list[tuple[FrozenTrial, Place]] = []
        still_open = []
        for at in (*self._open, *range(self._read, len(trials))):
            trial = trials[at]
            if not trial.state.is_finished():
                still_open.append(at)
            if ABANDONED in trial.user_attrs:
                self._abandoned.add(at)
                continue
            if not self.search_space.keys() <= trial.params.keys():
                continue
            if trial.state.is_finished():
                place = self.place(trial.params)
                self._seen.add(place)
                fresh.append((trial, place))
            elif trial.number != but:
                pending[trial.number] = self.place(trial.params)
        self._open, self._read = still_open, len(trials)
        ordinal = but - sum(at < but for at in self._abandoned)
        return Past(self._seen.union(pending.values()), pending, tuple(fresh), ordinal)

    def place(self, params: Mapping[str, object]) -> Place:
        """The point of parameters by name."""
        return tuple(
            distribution.to_internal_repr(params[name]) for name, distribution in self.search_space.items()
        )

    def params(self, place: Place) -> dict[str, object]:
        """The parameters by name of a point."""
        return {
            name: distribution.to_external_repr(
                int(value) if isinstance(distribution, CategoricalDistribution) else value
            )
            for (name, distribution), value in zip(self.search_space.items(), place, strict=True)
        }


def ordinal(study: Study, trial: FrozenTrial) -> int:
    """How many trials came before, those marked `ABANDONED` left out.

    So a trial that was interrupted and proposed again does not shift those after it.
    """
    before = study.get_trials(deepcopy=False)[: trial.number]
    return sum(ABANDONED not in other.user_attrs for other in before)


def costs_of(study: Study, values: ArrayLike) -> NDArray[np.float64]:
    """A study's values [..., m] turned so that less is better in every objective."""
    signs = [-1.0 if way == StudyDirection.MAXIMIZE else 1.0 for way in study.directions]
    costs: NDArray[np.float64] = np.array(signs) * np.asarray(values, np.float64)
    return costs


class PerStudy(Generic[State]):
    """Something for each study, made when it is first asked for. It stays behind in pickles."""

    def __init__(self, make: Callable[[], State]) -> None:
        self._make = make
        self._states: WeakKeyDictionary[Study, State] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[PerStudy[State]], tuple[Callable[[], State]]]:
        return type(self), (self._make,)

    def of(self, study: Study) -> State:
        """That of a study."""
        if study not in self._states:
            self._states.setdefault(study, self._make())
        return self._states[study]
