"""What known figures say about points before they are evaluated. Proposes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import TrialState

from controllers.archive import costs_of
from controllers.problem import Figures, Known

#: grades of points: ruled out; allowed, but on the front only as a new record; worth evaluating
RULED_OUT, POINTLESS, WORTHWHILE = range(3)


class Screen:
    """Grades points: whether they are allowed, and where that is asked, whether they are worth it.

    A point that is no better in any known objective than a trial that is the best so far in all unknown ones
    could be on the front only as a new record in an unknown objective. That is pointless for a front that is
    nearly found; before, it is where better accuracies are.

    Args:
        known: figures of points, and which are allowed.
        study: whose trials points are compared with.
        front: whether what could be on the front only as a new record is pointless.
    """

    def __init__(self, known: Known, study: Study, *, front: bool) -> None:
        self.known = known
        self._columns = [at for at, objective in enumerate(known.objectives) if objective is not None]
        self._best = np.empty((0, len(self._columns)))
        if not front or not self._columns:
            return
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trials:
            return
        costs = costs_of(study, [trial.values for trial in trials])
        known_objectives = [known.objectives[at] for at in self._columns]
        unknown = [at for at in range(costs.shape[1]) if at not in known_objectives]
        best = np.all(costs[:, unknown] <= costs[:, unknown].min(axis=0), axis=1)
        self._best = costs[best][:, np.array(known_objectives, int)]

    def grades(self, figures: Figures) -> NDArray[np.int64]:
        """Of each point with figures [n, k], one of the grades above, [n]."""
        own = figures[:, self._columns]
        beaten = np.zeros(len(own), dtype=bool)
        for best in self._best:
            beaten |= np.all(own >= best, axis=1)
        allowed = self.known.allowed(figures)
        return np.where(allowed, np.where(beaten, POINTLESS, WORTHWHILE), RULED_OUT)

    def grade(self, place: Sequence[float]) -> int:
        """That of one point."""
        return int(self.grades(self.known.figures(np.array([place], dtype=np.int64)))[0])
