"""What known figures say about a proposal before it is evaluated. Proposes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from controllers.problem import Known


class Screen:
    """Whether a point is worth evaluating: it is allowed, and could still be on the front.

    A point that is no better in any known objective than a trial that is the best so far in all unknown ones
    could be on the front only as a new record in an unknown objective: that is not worth a draw.
    """

    def __init__(self, known: Known, study: Study) -> None:
        self._known = known
        self._columns = [at for at, objective in enumerate(known.objectives) if objective is not None]
        self._best: list[np.ndarray] = []
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trials or not self._columns:
            return
        signs = np.array([-1.0 if way == StudyDirection.MAXIMIZE else 1.0 for way in study.directions])
        costs = signs * np.array([trial.values for trial in trials])
        known_objectives = [known.objectives[at] for at in self._columns]
        unknown = [at for at in range(costs.shape[1]) if at not in known_objectives]
        best = np.all(costs[:, unknown] <= costs[:, unknown].min(axis=0), axis=1)
        self._best = list(costs[best][:, np.array(known_objectives, int)])

    def __call__(self, place: Sequence[float]) -> bool:
        """Whether the point at a place passes."""
        figures = self._known.figures(np.array([place], dtype=np.int64))
        if not self._known.allowed(figures)[0]:
            return False
        own = figures[0, self._columns]
        return not any(np.all(own >= best) for best in self._best)
