"""The loop: ask, look costs up, evaluate, record, tell. Knows neither training nor strategies."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from devices.errors import DeadlineExceeded, ModelRejected, WorkerCrashed
from mnas import spaces
from mnas.costs import Amount, Cost, Goal
from mnas.errors import BadInput
from mnas.evaluations import Evaluations, Finished, share
from mnas.latency import Latency
from mnas.left import Left
from mnas.problem import Correction, Scores
from mnas.results import Result
from mnas.spaces.base import SearchSpace
from mnas.spaces.sampling import points_of
from mnas.status import Status, corrected
from mnas.study import RunStudy

#: proposals made per candidate to train, before giving up: infeasible, failed and repeated ones too
PROPOSALS_PER_TRIAL = 100
#: evaluations that fail one after the other, before the search stops: then it is not the candidates' fault
FAILURES_IN_A_ROW = 5
#: proposals above a cap one after the other before the search stops, where they are made in want of others
RULED_OUT_IN_A_ROW = 20


class Records(Protocol):
    """Keeps results: a run directory, or memory."""

    def record(self, result: Result) -> None:
        """Keep a result; it is safe when this returns."""

    def log(self, message: str) -> None:
        """Note what happened, for people."""


class LiveCorrection(Correction, Protocol):
    """Measures on devices while a search runs, and corrects by it what costs are judged by."""

    def decide(self, cost: str, architecture: Any, latency: Latency, cap: float) -> float | None:
        """Measured milliseconds of a candidate near a cap; None where predicting suffices, or must suffice.

        Args:
            cost: name of the cost.
            latency: as predicted, uncorrected.
            cap: as asked for, in the device's milliseconds.
        """

    def measured(self) -> Mapping[str, Mapping[str, float]]:
        """What was measured so far: by cost, milliseconds by the architecture's text."""

    def after(self, status: Status) -> object:
        """Called at the start of a search that goes on, and whenever a candidate has been trained.

        Called again with what was there before, it must not measure again what it has measured.
        """


class InMemory:
    """Keeps nothing: the loop itself holds the results."""

    def record(self, result: Result) -> None:
        """Nothing."""

    def log(self, message: str) -> None:
        """Nothing."""


@dataclass(slots=True)
class Loop:
    """One running search: the results so far, and how to get the next."""

    space: SearchSpace
    costs: Sequence[Cost]
    goals: tuple[Goal, ...]
    reward: Scores
    evaluations: Evaluations
    correction: LiveCorrection | None
    records: Records
    study: RunStudy
    left: Left
    trials: int
    reference: Mapping[str, float]
    results: list[Result]
    #: whether the strategy proposes what known figures rule out only where it finds nothing else
    screens: bool = False
    failures: int = 0
    #: proposals in a row that known figures ruled out
    ruled_out: int = 0
    trained: int = 0
    known: dict[str, Result] = field(init=False)
    points: set[tuple[int, ...]] = field(init=False)
    running: dict[int, Result] = field(default_factory=dict)
    #: proposals of what is being evaluated: they wait for its result
    waiting: dict[str, list[Result]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {result.architecture: result for result in self.results if result.repeats is None}
        there = points_of(self.space)
        existing = None if there is None else set(map(tuple, there.tolist()))
        self.points = {r.choices for r in self.results if existing is None or r.choices in existing}
        self.trained = sum(result.counts for result in self.results)

    def run(self, report: Callable[[Status], None]) -> Status:
        """Until enough candidates are trained, or there is a reason to stop."""
        if self.correction is not None and self.results:
            self.correction.after(self.status())
        report(self.status())
        while True:
            reason = self._reason()
            if reason is None and self._wanted():
                recorded = self._propose()
            elif self.running:
                recorded = self._collect()
            elif reason is None:
                return self.status()
            else:
                self.records.log(f"stopped: {reason[0]}")
                return replace(self.status(), stopped=reason[0], exhausted=reason[1])
            if recorded:
                report(self.status())

    def status(self) -> Status:
        """How far it has come."""
        return Status(
            tuple(self.results),
            self.trials,
            self.goals,
            factors=self._factors(),
            measured={} if self.correction is None else self.correction.measured(),
            reference=self.reference,
            running=tuple(self.running),
        )

    def _wanted(self) -> bool:
        """Whether to propose now: a slot is free, and what runs would not be enough."""
        busy = len(self.running)
        return busy < self.evaluations.slots and self.trained + busy < self.trials

    def _reason(self) -> tuple[str, bool] | None:
        """Why no more is to be proposed though candidates lack, and whether the space is exhausted."""
        if self.trained >= self.trials:
            return None
        limit = self.trials * PROPOSALS_PER_TRIAL
        if len(self.points) == spaces.size(self.space):
            return "every point of the space has been looked at", True
        if self.ruled_out and self.left.none(self.points):
            return "every point of the space that the caps allow has been looked at", True
        if self.screens and self.ruled_out >= RULED_OUT_IN_A_ROW:
            return f"nothing that the caps allow was found, {RULED_OUT_IN_A_ROW} times in a row", False
        if self.study.stopped:
            return "the strategy has ended the search", False
        if len(self.results) + len(self.running) + sum(map(len, self.waiting.values())) >= limit:
            return f"gave up after {limit} proposals", False
        if self.failures >= FAILURES_IN_A_ROW:
            return f"{FAILURES_IN_A_ROW} evaluations failed in a row", False
        return None

    def _propose(self) -> int:
        """One proposal; how many results it led to at once: 0 if it is evaluated or waits."""
        number, choices = self.study.ask()
        missing = None
        try:
            architecture: Any = self.space.decode(choices)
        except BadInput as error:
            if points_of(self.space) is None:
                raise
            architecture, missing = f"point {','.join(map(str, choices))}", str(error)
        else:
            self.points.add(choices)
        text = str(architecture)
        self.study.note(number, {"architecture": text})
        blank = Result(number, choices, text, None, None, "failed", 0.0)
        if text in self.known:
            return self._keep(self._repetition(blank))
        if any(other.architecture == text for other in self.running.values()):
            self.waiting.setdefault(text, []).append(blank)
            return 0
        if missing is not None:
            return self._keep(replace(blank, state="infeasible", message=missing))
        judged = self._judge(blank, architecture)
        if judged.message is not None:
            self.ruled_out += judged.state == "infeasible" and not judged.measured_ms
            return self._keep(judged)
        self.ruled_out = 0
        self.running[number] = judged
        self.evaluations.submit(number, architecture)
        return 0

    def _collect(self) -> int:
        """Wait for an evaluation; how many results it led to, with those that waited for it."""
        finished = self.evaluations.next()
        result = self._evaluated(self.running[finished.number], finished)
        del self.running[finished.number]
        if result.state == "trained":
            try:
                result = replace(result, reward=self._rewarded(result))
            except BaseException:
                self._keep(result)  # it was dear
                raise
        self._keep(result)
        waited = self.waiting.pop(result.architecture, [])
        for blank in waited:
            self._keep(self._repetition(blank))
        if self.correction is not None and result.state == "trained":
            self.correction.after(self.status())
        return 1 + len(waited)

    def _keep(self, result: Result) -> int:
        """A result is on the disk before the study is told."""
        self.records.record(result)
        self.study.tell(result)
        self.results.append(result)
        self.trained += result.counts
        self.known.setdefault(result.architecture, result)
        return 1

    def _repetition(self, blank: Result) -> Result:
        first = self.known[blank.architecture]
        return replace(first, number=blank.number, choices=blank.choices, seconds=0.0, repeats=first.number)

    def _judge(self, blank: Result, architecture: Any) -> Result:
        """The result with its costs; with a message if it is not to be evaluated. Cheap before dear."""
        pairs = list(zip(self.costs, self.goals, strict=True))
        quick = [pair for pair in pairs if pair[0].quick]
        over: list[str] = []
        for group in (quick, *([pair] for pair in pairs if not pair[0].quick)):
            if over:
                break
            amounts = []
            for cost, goal in group:
                # what hinders pausing is not the candidate's fault, so it is raised
                with nullcontext() if cost.quick else self.evaluations.paused():
                    try:
                        amount = cost.predict(architecture)
                    except (ModelRejected, WorkerCrashed, DeadlineExceeded) as error:
                        trace = "".join(traceback.format_exception(error)).rstrip()
                        return self._failed(blank, f"{type(error).__name__}: {error}", trace)
                if not (math.isfinite(amount.value) and amount.value > 0):
                    told = f"{cost.name} is {amount.value}; costs must be numbers above 0"
                    return self._failed(blank, told, told)
                blank = self._with(blank, cost, amount)
                if goal.cap is not None:
                    amounts.append((cost, goal.cap, amount))
            for cost, cap, amount in sorted(amounts, key=lambda one: one[2].low is not None):
                blank, message = self._against(cap, blank, cost, amount, None if over else architecture)
                over += message
        return replace(blank, state="infeasible", message="; ".join(over)) if over else blank

    def _with(self, blank: Result, cost: Cost, amount: Amount) -> Result:
        if cost.name == self.costs[0].name:
            return replace(blank, latency_ms=amount.value, low_ms=amount.low, high_ms=amount.high)
        return replace(blank, costs={**blank.costs, cost.name: amount.value})

    def _against(
        self, cap: float, blank: Result, cost: Cost, amount: Amount, architecture: Any
    ) -> tuple[Result, list[str]]:
        """Compare a cost with its cap: measured if its error bar leaves that open, else corrected.

        Args:
            architecture: None if it is ruled out already, so that nothing is measured for it.
        """
        name, factor, measured = cost.name, 1.0, None
        if self.correction is not None:
            factor = self.correction.factor(name)
            latency = Latency(amount.value, amount.low, amount.high)
            if architecture is not None:
                measured = self.correction.decide(name, architecture, latency, cap)
        value = amount.value * factor
        how = "" if factor == 1 else f", {amount.value:.4g} as predicted times {factor:.4g} as measured,"
        if measured is not None:
            blank = replace(blank, measured_ms={**blank.measured_ms, name: measured})
            value, how = measured, f" as measured, {amount.value:.4g} as predicted,"
        if value <= cap:
            return blank, []
        return blank, [f"{value:.4g} {cost.unit}{how} is above the cap of {cap:g} {cost.unit}"]

    def _evaluated(self, begun: Result, finished: Finished) -> Result:
        begun = replace(begun, seconds=finished.seconds)
        error, accuracy = finished.error, finished.accuracy
        if error is None:
            try:
                accuracy = share(float("nan") if accuracy is None else accuracy)
            except ValueError as wrong:
                error = f"ValueError: {wrong}"
        if error is not None:
            return self._failed(begun, error, finished.trace or error)
        assert accuracy is not None
        self.failures = 0
        return replace(begun, state="trained", accuracy=accuracy)

    def _rewarded(self, trained: Result) -> float:
        accuracy, _ = trained.point
        costs = corrected(trained.figures(self.goals[0].cost), trained.measured_ms, self._factors())
        reward = float(self.reward(accuracy, costs))
        if not math.isfinite(reward):
            raise BadInput(
                f"the reward is {reward} for an accuracy of {accuracy} and {costs}; it must be finite"
            )
        return reward

    def _failed(self, blank: Result, message: str, trace: str) -> Result:
        self.failures += 1
        self.records.log(f"trial {blank.number} failed: {trace}")
        return replace(blank, message=message)

    def _factors(self) -> dict[str, float]:
        if self.correction is None:
            return {}
        factors = {goal.cost: self.correction.factor(goal.cost) for goal in self.goals}
        return {name: factor for name, factor in factors.items() if factor != 1}
