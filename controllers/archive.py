"""The points that a study has already, one tuple of option indices per trial. Proposes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

#: user attribute of a trial that was closed without an answer and is proposed again: it does not count
ABANDONED = "abandoned"

#: option indices, or for parameters that are no choices, the distribution's own numbers
Place = tuple[float, ...]


class Archive:
    """Reads each finished trial once.

    Args:
        search_space: the parameters that make a point, in their order.
    """

    def __init__(self, search_space: Mapping[str, BaseDistribution]) -> None:
        self.search_space = dict(search_space)
        self._finished: dict[int, Place | None] = {}

    def places(self, study: Study, but: int | None = None) -> dict[int, Place]:
        """Where each trial is that has all parameters, by number, those marked `ABANDONED` left out.

        Args:
            but: number of a trial to leave out: the one that is being proposed.
        """
        found = {}
        for trial in study.get_trials(deepcopy=False):
            place = self._place(trial)
            if place is not None and trial.number != but:
                found[trial.number] = place
        return found

    def place(self, params: Mapping[str, object]) -> Place:
        """The point of parameters by name."""
        return tuple(
            distribution.to_internal_repr(params[name]) for name, distribution in self.search_space.items()
        )

    def _place(self, trial: FrozenTrial) -> Place | None:
        if trial.number in self._finished:
            return self._finished[trial.number]
        lacks = ABANDONED in trial.user_attrs or not self.search_space.keys() <= trial.params.keys()
        place = None if lacks else self.place(trial.params)
        if trial.state.is_finished():
            self._finished[trial.number] = place
        return place


def ordinal(study: Study, trial: FrozenTrial) -> int:
    """How many trials came before, those marked `ABANDONED` left out.

    So a trial that was interrupted and proposed again does not shift those after it.
    """
    return sum(
        other.number < trial.number and ABANDONED not in other.user_attrs
        for other in study.get_trials(deepcopy=False)
    )
