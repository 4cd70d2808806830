"""A run's Optuna study: its journal, and bringing it in line with recorded results. Evaluates nothing."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from controllers.seeded import ABANDONED
from mnas.errors import BadRun
from mnas.problem import REWARD
from mnas.results import Result, require_points
from mnas.run import RunDirectory
from mnas.spaces.base import SearchSpace

NAME = "search"
OBJECTIVES = ("accuracy", "latency_ms")
#: user attribute of a trial that proposes again what an abandoned one proposed: that one's number
RETRY_OF = "retry_of"

#: the journal's codes for a new trial, its parameters and its strategy's notes: a proposal that is cut off
#: can be made again, so these need not be on the disk before the next step
PROPOSING = frozenset({4, 5, 9})


class Journal(JournalFileBackend):
    """Optuna's journal file, flushed to the disk once per step rather than once per parameter.

    It takes no lock: the run directory is locked as a whole, and Optuna's own would stay behind after a kill.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations, one line each."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with open(self._file_path, "ab", buffering=0) as file:  # noqa: PTH123 - as the parent class holds it
            file.write(text.encode())
            if not all(log["op_code"] in PROPOSING for log in logs):
                os.fsync(file.fileno())


class RunStudy:
    """A search's study: accuracy up, every objective cost down.

    Args:
        run: that keeps it; None keeps it in memory.
        space: to search.
        sampler: the strategy.
        objectives: `accuracy`, then the costs; the study's metric names.
        values: of a trained result, in the order of the objectives.

    Raises:
        BadRun: the run's journal is none of a search, or of one with other objectives.
    """

    def __init__(
        self,
        run: RunDirectory | None,
        space: SearchSpace,
        sampler: BaseSampler,
        objectives: Sequence[str] = OBJECTIVES,
        values: Callable[[Result], Sequence[float]] = lambda result: result.point,
    ) -> None:
        self._distributions = distributions(space)
        self._values = values
        self._space = space
        self._journal = "the study" if run is None else str(run.journal)
        self._results_file = "the results" if run is None else str(run.results_file)
        self._storage: BaseStorage
        try:
            self._storage = InMemoryStorage() if run is None else JournalStorage(Journal(str(run.journal)))
            self.study = _open(self._storage, sampler, objectives)
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise BadRun(f"{self._journal} is not the journal of a search: {error}") from error
        found = self.study.metric_names
        if found != list(objectives):
            raise BadRun(
                f"{self._journal} was begun for {', '.join(found or ['?'])}; this search is for "
                f"{', '.join(objectives)}. Go on with the costs it was begun with, or begin another run"
            )

    def ask(self) -> tuple[int, tuple[int, ...]]:
        """The next proposal: the trial's number and one option index per choice."""
        trial = self.study.ask(self._distributions)
        return trial.number, tuple(
            int(distribution.to_internal_repr(trial.params[name]))
            for name, distribution in self._distributions.items()
        )

    def note(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Attach user attributes to a trial."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(
            self._storage.get_study_id_from_name(NAME), number
        )
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def tell(self, result: Result) -> None:
        """Finish a trial with its result."""
        told = {
            "state": result.state,
            "message": result.message,
            "repeats": result.repeats,
            REWARD: result.reward,
        }
        self.note(result.number, {key: value for key, value in told.items() if value is not None})
        if result.state == "trained":
            self.study.tell(result.number, list(self._values(result)))
        else:
            self.study.tell(
                result.number, state=TrialState.PRUNED if result.state == "infeasible" else TrialState.FAIL
            )

    def reconcile(self, results: Sequence[Result]) -> None:
        """Bring the study in line with what was recorded before the process that wrote it died.

        A recorded result that the study was not told is told. A trial without a result is closed as failed,
        and its proposal, if it was complete, is the next to be made.

        Raises:
            BadRun: journal, results and space do not belong together.
        """
        require_points(results, self._space.choices, self._results_file)
        recorded = {result.number: result for result in results}
        trials = self.study.get_trials(deepcopy=False)
        if recorded and max(recorded) >= len(trials):
            raise BadRun(f"{self._journal} knows {len(trials)} trials, but results go up to {max(recorded)}")
        for trial in trials:
            for name, distribution in trial.distributions.items():
                if self._distributions.get(name) != distribution:
                    raise BadRun(f"the space's choice {name} has changed since {self._journal} was begun")
            if trial.state is TrialState.RUNNING:
                if trial.number in recorded:
                    self.tell(recorded[trial.number])
                else:
                    self._abandon(trial, trials)
            elif (
                trial.state.is_finished()
                and ABANDONED not in trial.user_attrs
                and trial.number not in recorded
            ):
                raise BadRun(f"{self._journal} has trial {trial.number} finished, but its result is missing")

    def _abandon(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> None:
        """Close a trial that was cut off; in this order, so that being cut off here in turn loses nothing."""
        proposal = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        retried = any(other.user_attrs.get(RETRY_OF) == trial.number for other in trials)
        if proposal.keys() == self._distributions.keys() and not retried:
            # as Study.enqueue_trial does, but with what the strategy noted on the trial: its generation, say
            self.study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.WAITING,
                    system_attrs={**trial.system_attrs, "fixed_params": proposal},
                    user_attrs={RETRY_OF: trial.number},
                )
            )
        self.note(trial.number, {ABANDONED: "the process ended before there was a result"})
        self.study.tell(trial.number, state=TrialState.FAIL)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space's choices as Optuna's distributions, over the options themselves, for dashboards to read."""
    found: dict[str, BaseDistribution] = {
        choice.name: CategoricalDistribution(choice.options) for choice in space.choices
    }
    if len(found) != len(space.choices):
        raise BadRun(f"the choices of {space.name} need different names")
    return found


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log to warnings, and its experimental features from warning, while a search runs."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _open(storage: BaseStorage, sampler: BaseSampler, objectives: Sequence[str]) -> Study:
    if NAME in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=NAME, storage=storage, sampler=sampler)
    else:
        ways = [StudyDirection.MAXIMIZE, *(StudyDirection.MINIMIZE for _ in objectives[1:])]
        study = optuna.create_study(study_name=NAME, storage=storage, sampler=sampler, directions=ways)
    if study.metric_names is None:  # new, or cut off before it had names
        names = objectives if len(study.directions) == len(objectives) else OBJECTIVES
        study.set_metric_names(list(names))
    return study
