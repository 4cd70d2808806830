"""A run's Optuna study: its journal, and bringing it in line with recorded results. Evaluates nothing."""

from __future__ import annotations

import json
import logging
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
from mnas.study_log import ended_trials, lost_result

NAME = "search"
OBJECTIVES = ("accuracy", "latency_ms")
#: user attribute of a trial that proposes again what an abandoned one proposed: that one's number
RETRY_OF = "retry_of"

#: the journal's codes for a new trial, its parameters and its strategy's notes: a proposal that is cut off
#: can be made again, so these need not be on the disk before the next step
PROPOSING = frozenset({4, 5, 9})

_STATES = {"trained": TrialState.COMPLETE, "infeasible": TrialState.PRUNED, "failed": TrialState.FAIL}
_LOG = logging.getLogger(__name__)


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


class _Study(Study):
    """A study that its sampler may end, as `GridSampler` does, though nobody called `optimize`."""

    stopped = False

    def stop(self) -> None:
        """Note it."""
        self.stopped = True


class RunStudy:
    """A search's study: accuracy up, every objective cost down.

    Args:
        run: that keeps it; None keeps it in memory.
        space: to search.
        sampler: the strategy.
        objectives: `accuracy`, then the costs; the study's metric names.
        values: of a trained result, in the order of the objectives.

    Raises:
        BadRun: the run's journal is damaged, none of a search, or of one with other objectives; nothing is
            written to it.
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
        self._space, self._run = space, run
        self._journal = "the study" if run is None else str(run.journal)
        if run is not None:
            ended_trials(run.journal)  # refuses what Optuna would write on behind
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

    @property
    def stopped(self) -> bool:
        """Whether the sampler has ended the study."""
        return self.study.stopped

    def ask(self) -> tuple[int, tuple[int, ...]]:
        """The next proposal: the trial's number and one option index per choice."""
        trial = self.study.ask(self._distributions)
        return trial.number, tuple(
            int(distribution.to_internal_repr(trial.params[name]))
            for name, distribution in self._distributions.items()
        )

    def note(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Attach user attributes to a trial."""
        trial_id = self._id(number)
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def _id(self, number: int) -> int:
        """The storage's own number of a trial."""
        study = self._storage.get_study_id_from_name(NAME)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def tell(self, result: Result) -> None:
        """Finish a trial with its result."""
        self.note(result.number, _notes(result))
        state = _STATES[result.state]
        if state is TrialState.COMPLETE:
            self.study.tell(result.number, list(self._values(result)))
        else:
            self.study.tell(result.number, state=state)

    def reconcile(self, results: Sequence[Result]) -> None:
        """Bring the study in line with what was recorded before the process that wrote it died.

        A recorded result that the study was not told is told, and one that it has no trial of, because its
        journal went lost or was cut, gets one; the log says so. A trial without a result is closed as failed,
        and its proposal, if it was complete, is the next to be made.

        Raises:
            BadRun: journal, results and space do not belong together.
        """
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            for name, distribution in trial.distributions.items():
                if self._distributions.get(name) != distribution:
                    raise BadRun(f"the space's choice {name} has changed since {self._journal} was begun")
        where = "the results" if self._run is None else self._run.results_file
        require_points(results, self._space.choices, where)
        recorded = {result.number: result for result in results}
        for trial in trials:
            self._require(trial, recorded.get(trial.number))
        self._bring_back(recorded)
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state.is_finished():
                continue
            if trial.number in recorded:
                self._complete(trial, recorded[trial.number])
            elif trial.state is TrialState.RUNNING:
                self._abandon(trial, trials)

    def _require(self, trial: FrozenTrial, result: Result | None) -> None:
        """See that a trial is the one that a result was recorded of."""
        if result is not None:
            params = self._params(result)
            if any(params[name] != value for name, value in trial.params.items()):
                raise BadRun(
                    f"trial {trial.number} of {self._journal} is not the one that has a result; "
                    "restore the journal, or the results, from the same search"
                )
        elif trial.state.is_finished() and ABANDONED not in trial.user_attrs and self._run is not None:
            raise BadRun(lost_result(self._run, trial.number))

    def _params(self, result: Result) -> dict[str, Any]:
        """The options that a result is of, by the choice's name."""
        pairs = zip(self._space.choices, result.choices, strict=True)
        return {choice.name: choice.options[index] for choice, index in pairs}

    def _bring_back(self, recorded: Mapping[int, Result]) -> None:
        """Add the trials that results go beyond, those between without a result as abandoned ones."""
        known = len(self.study.get_trials(deepcopy=False))
        lost = [
            self._as_trial(recorded.get(number)) for number in range(known, max(recorded, default=-1) + 1)
        ]
        if not lost:
            return
        message = (
            f"{self._journal} lacks trials {known} to {known + len(lost) - 1}: brought back from the results"
        )
        _LOG.warning(message)
        if self._run is not None:
            self._run.log(message)
        for trial in lost:
            self.study.add_trial(trial)

    def _as_trial(self, result: Result | None) -> FrozenTrial:
        """The trial of a result; without one, a trial that was cut off."""
        if result is None:
            notes = {ABANDONED: "the journal was lost, and there is no result"}
            return optuna.trial.create_trial(state=TrialState.FAIL, user_attrs=notes)
        state = _STATES[result.state]
        return optuna.trial.create_trial(
            state=state,
            values=list(self._values(result)) if state is TrialState.COMPLETE else None,
            params=self._params(result),
            distributions=self._distributions,
            user_attrs={"architecture": result.architecture, **_notes(result)},
        )

    def _complete(self, trial: FrozenTrial, result: Result) -> None:
        """Tell a result of a trial that a kill, or a cut journal, left before that."""
        trial_id = self._id(trial.number)
        if trial.state is TrialState.WAITING:
            self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name, value in self._params(result).items():
            if name not in trial.params:
                distribution = self._distributions[name]
                internal = distribution.to_internal_repr(value)
                self._storage.set_trial_param(trial_id, name, internal, distribution)
        self.tell(result)

    def _abandon(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> None:
        """Close a trial that was cut off; in this order, so that being cut off here in turn loses nothing."""
        proposal = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        retried = any(
            other.user_attrs.get(RETRY_OF) == trial.number
            or (other.number > trial.number and other.params == proposal)  # brought back
            for other in trials
        )
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


def _notes(result: Result) -> dict[str, Any]:
    """What the study keeps of a result besides its values."""
    notes = {
        "state": result.state,
        "message": result.message,
        "repeats": result.repeats,
        REWARD: result.reward,
    }
    return {key: value for key, value in notes.items() if value is not None}


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


def _open(storage: BaseStorage, sampler: BaseSampler, objectives: Sequence[str]) -> _Study:
    if NAME not in optuna.get_all_study_names(storage):
        ways = [StudyDirection.MAXIMIZE, *(StudyDirection.MINIMIZE for _ in objectives[1:])]
        optuna.create_study(study_name=NAME, storage=storage, directions=ways)
    study = _Study(NAME, storage, sampler)
    if study.metric_names is None:  # new, or cut off before it had names
        names = objectives if len(study.directions) == len(objectives) else OBJECTIVES
        study.set_metric_names(list(names))
    return study
