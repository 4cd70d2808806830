"""The loop: ask, look the latency up, evaluate, record, tell. Knows neither training nor strategies."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from devices.errors import DeadlineExceeded, ModelRejected, WorkerCrashed
from mnas import spaces
from mnas.accuracy import Evaluator
from mnas.latency import LatencySource, require_reachable
from mnas.pareto import best_under, front
from mnas.run import Result, RunDirectory
from mnas.spaces.base import Space
from mnas.study import RunStudy, quiet_optuna

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

#: proposals made per candidate to train, before giving up: infeasible, failed and repeated ones too
PROPOSALS_PER_TRIAL = 100
#: evaluations that fail one after the other, before the search stops: then it is not the candidates' fault
FAILURES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Status:
    """How far a search has come.

    Attributes:
        results: one per proposal, in order.
        trials: candidates to train.
        target_ms: the latency target.
        stopped: why the search ended before `trials` candidates were trained; None if it did not.
        exhausted: whether it ended early only because the space has no more to offer.
    """

    results: tuple[Result, ...]
    trials: int
    target_ms: float
    stopped: str | None = None
    exhausted: bool = False

    @property
    def trained(self) -> list[Result]:
        """The trained candidates, each architecture once."""
        return [result for result in self.results if result.counts]

    def count(self, state: str) -> int:
        """How many first results are in a state; repetitions do not count."""
        return sum(result.state == state and result.repeats is None for result in self.results)

    @property
    def repeated(self) -> int:
        """How many proposals repeated an earlier architecture."""
        return sum(result.repeats is not None for result in self.results)

    @property
    def front(self) -> list[Result]:
        """Trained candidates that no other beats in accuracy and latency, fastest first."""
        trained = self.trained
        return [trained[position] for position in front(*_columns(trained))]

    @property
    def best(self) -> Result | None:
        """The most accurate trained candidate at or below the target; None if there is none yet."""
        trained = self.trained
        position = best_under(*_columns(trained), self.target_ms)
        return None if position is None else trained[position]


def search(
    space: Space,
    evaluator: Evaluator,
    latency: LatencySource,
    sampler: BaseSampler,
    run: RunDirectory,
    *,
    on_progress: Callable[[Status], None] | None = None,
) -> Status:
    """Train the candidates that a strategy proposes until the run's number of trials is reached.

    A run that was begun before goes on: nothing that was recorded is evaluated again, what was being
    evaluated when its process died is evaluated first. A candidate above the run's cap is recorded infeasible
    and not trained; a training that fails is recorded and the search goes on; an architecture that comes
    again keeps its result.

    Args:
        space: what to choose from.
        evaluator: accuracy of an architecture, share 0 to 1; whatever it raises is a failed candidate.
        latency: known before training.
        sampler: the strategy, an Optuna sampler for several objectives.
        run: open for writing; its configuration has the target, the cap and the number of trials.
        on_progress: called at the start and after every proposal.

    Raises:
        Infeasible: nothing in the space reaches the target; nothing was trained.
        BadRun: the run's files do not belong together.
        MissingOperators: the latency table does not cover the space.
        DeviceTrouble: candidates cannot be measured any more.
    """
    config = run.config
    results = run.results()
    if not results:
        require_reachable(space, latency, config.target_ms)
    report = on_progress or (lambda _: None)
    limit = config.trials * PROPOSALS_PER_TRIAL
    with quiet_optuna():
        study = RunStudy(run, space, sampler)
        study.reconcile(results)
        loop = _Loop(space, evaluator, latency, run, study, results)
        report(loop.status())
        while loop.trained < config.trials:
            if len(loop.points) == spaces.size(space):
                return loop.end("every point of the space has been looked at", exhausted=True)
            if len(loop.results) >= limit:
                return loop.end(f"gave up after {limit} proposals")
            if loop.failures == FAILURES_IN_A_ROW:
                return loop.end(f"{FAILURES_IN_A_ROW} evaluations failed in a row")
            loop.step()
            report(loop.status())
    return loop.status()


@dataclass(slots=True)
class _Loop:
    """One running search: the results so far, and how to get the next."""

    space: Space
    evaluator: Evaluator
    latency: LatencySource
    run: RunDirectory
    study: RunStudy
    results: list[Result]
    failures: int = 0
    trained: int = 0
    known: dict[str, Result] = field(init=False)
    points: set[tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.known = {result.architecture: result for result in self.results if result.repeats is None}
        self.points = {result.choices for result in self.results}
        self.trained = sum(result.counts for result in self.results)

    def status(self) -> Status:
        return Status(tuple(self.results), self.run.config.trials, self.run.config.target_ms)

    def end(self, reason: str, exhausted: bool = False) -> Status:
        self.run.log(f"stopped: {reason}")
        return replace(self.status(), stopped=reason, exhausted=exhausted)

    def step(self) -> None:
        """One proposal: its result is on the disk before the study is told."""
        number, choices = self.study.ask()
        result = self._answer(number, choices)
        self.run.record(result)
        self.study.tell(result)
        self.results.append(result)
        self.points.add(choices)
        self.trained += result.counts
        self.known.setdefault(result.architecture, result)

    def _answer(self, number: int, choices: tuple[int, ...]) -> Result:
        architecture = self.space.decode(choices)
        text = str(architecture)
        self.study.note(number, {"architecture": text})
        if text in self.known:
            first = self.known[text]
            return replace(first, number=number, choices=choices, seconds=0.0, repeats=first.number)
        blank = Result(number, choices, text, None, None, "failed", 0.0)
        try:
            latency = self.latency.predict(architecture)
        except (ModelRejected, WorkerCrashed, DeadlineExceeded) as error:
            return self._failed(blank, error)
        latency_ms = latency.latency_ms
        blank = replace(blank, latency_ms=latency_ms, low_ms=latency.low_ms, high_ms=latency.high_ms)
        cap_ms = self.run.config.cap_ms
        if cap_ms is not None and latency_ms > cap_ms:
            message = f"{latency_ms:.4g} ms is above the cap of {cap_ms:g} ms"
            return replace(blank, state="infeasible", message=message)
        started = time.perf_counter()
        try:
            accuracy = float(self.evaluator(architecture))
            if not 0 <= accuracy <= 1:
                raise ValueError(f"the evaluator says {accuracy}; accuracy is a share between 0 and 1")
        except Exception as error:  # noqa: BLE001 - a search of hours outlives any one candidate
            return self._failed(replace(blank, seconds=time.perf_counter() - started), error)
        self.failures = 0
        return replace(blank, state="trained", accuracy=accuracy, seconds=time.perf_counter() - started)

    def _failed(self, blank: Result, error: Exception) -> Result:
        self.failures += 1
        self.run.log(f"trial {blank.number} failed: {''.join(traceback.format_exception(error)).rstrip()}")
        return replace(blank, message=f"{type(error).__name__}: {error}")


def _columns(trained: list[Result]) -> tuple[list[float], list[float]]:
    return [result.point[0] for result in trained], [result.point[1] for result in trained]
