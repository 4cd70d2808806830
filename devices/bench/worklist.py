"""What of a plan is still to be measured, and what of it a batch holds. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from devices.errors import UnreadableOutput
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from devices.runners.visits import schedule

#: how long a batch shall take, and its sizes in visits: at first, and at most
BATCH_S, FIRST, LARGEST = 30.0, 8, 300


@dataclass(frozen=True, slots=True)
class Visit:
    """One model in one pass, both by their number."""

    index: int
    model: int


@dataclass(slots=True)
class Batch:
    """Some visits, and what was measured of them: each once. Rows count only when the batch is settled.

    Attributes:
        rows: what is held so far.
        fence: the lease under which they were measured.
        before_c, after_c: the device's temperature before and after; None if unknown.
        throttled: whether the device said before or after that it was slowed down; None if it does not tell.
        frequency_held: whether the job itself limits the cores' frequency, so that a runner, which sees the
            limit, cannot tell whether something else slows them down.
        doubt: why the rows are not to be trusted; None if nothing speaks against them.
        measuring_s: time that measuring them took.
        stale: whether they are to be measured again.
        cut: whether the device was out of reach for long after some of them were measured.
    """

    models: Sequence[ModelFile]
    visits: tuple[Visit, ...]
    rows: dict[Visit, Pass | Failure] = field(default_factory=dict)
    fence: int | None = None
    before_c: float | None = None
    after_c: float | None = None
    throttled: bool | None = None
    frequency_held: bool = False
    doubt: str | None = None
    measuring_s: float = 0.0
    stale: bool = False
    cut: bool = False

    @property
    def failed(self) -> set[int]:
        """Models that cannot be measured."""
        return {visit.model for visit, row in self.rows.items() if isinstance(row, Failure)}

    def missing(self) -> tuple[tuple[int, ...], list[ModelFile]] | None:
        """What to ask a device for next: models, and the passes that all of them lack; None: nothing."""
        failed = self.failed
        lacking: dict[int, list[int]] = {}
        for visit in self.visits:
            if visit not in self.rows and visit.model not in failed:
                lacking.setdefault(visit.index, []).append(visit.model)
        if not lacking:
            return None
        first, *later = lacking
        indices = [first]
        for index in later:
            if set(lacking[index]) != set(lacking[first]):
                break
            indices.append(index)
        return tuple(indices), [self.models[number] for number in lacking[first]]

    def saw(self, throttled: bool | None, frequency_held: bool) -> None:
        """Told whether the device says that it is slowed down; once said, it counts for the whole batch."""
        self.throttled = _either(self.throttled, throttled)
        self.frequency_held = frequency_held

    def take(self, indices: Sequence[int], outcome: Pass | Failure) -> None:
        """Keep what a device answered when it was asked for these passes.

        Raises:
            UnreadableOutput: it was not asked for that, or has told it already.
        """
        wanted = indices[outcome.index : outcome.index + 1] if isinstance(outcome, Pass) else indices
        for visit in self.visits:
            model = self.models[visit.model]
            asked = visit.index in wanted and (model.name, model.sha256) == (outcome.model, outcome.sha256)
            if asked and visit not in self.rows and visit.model not in self.failed:
                mine = replace(outcome, index=visit.index) if isinstance(outcome, Pass) else outcome
                self.rows[visit] = mine
                return
        raise UnreadableOutput(f"the device told of {outcome.model}, for which it was not asked")

    def stamped(self, notes: Sequence[str]) -> list[Pass | Failure]:
        """The rows, each with what the batch and these notes on its conditions say of it."""
        rows = [row for visit in self.visits if (row := self.rows.get(visit)) is not None]
        return [self._stamped(row, notes) if isinstance(row, Pass) else row for row in rows]

    def _stamped(self, row: Pass, notes: Sequence[str]) -> Pass:
        runner = None if self.frequency_held else row.context.throttled
        context = replace(
            row.context,
            temperature_before_c=self.before_c,
            temperature_after_c=self.after_c,
            conditions=(*row.context.conditions, *notes),
            fence=self.fence,
            suspect=self.doubt,
            throttled=_either(self.throttled, runner),
        )
        return replace(row, context=context)

    def forget(self) -> None:
        """Measure again what is held, but for the models that cannot be measured."""
        self.rows = {visit: row for visit, row in self.rows.items() if isinstance(row, Failure)}
        self.before_c = self.after_c = self.throttled = self.doubt = None
        self.stale = self.cut = False

    def clear(self) -> None:
        """Measure everything again."""
        self.rows = {}
        self.forget()


class Worklist:
    """The visits of a plan that are not settled yet, in the order of its shuffled passes."""

    def __init__(self, models: Sequence[ModelFile], plan: Plan) -> None:
        """All of them."""
        self._models = models
        self._visits = [
            Visit(index, model) for index, order in enumerate(schedule(len(models), plan)) for model in order
        ]

    def __len__(self) -> int:
        return len(self._visits)

    def batch(self, size: int) -> Batch:
        """The next visits; they stay to be done until they are settled."""
        return Batch(self._models, tuple(self._visits[:size]))

    def settle(self, batch: Batch) -> None:
        """Strike off a batch that was measured, and what is left of its models that cannot be."""
        done, failed = set(batch.visits), batch.failed
        self._visits = [visit for visit in self._visits if visit not in done and visit.model not in failed]


def _either(one: bool | None, other: bool | None) -> bool | None:
    """Whether one of two is so; None where neither is known."""
    known = [each for each in (one, other) if each is not None]
    return any(known) if known else None


def first_size(plan: Plan) -> int:
    """How many visits to begin with, knowing no more than the plan."""
    return max(1, min(FIRST, round(BATCH_S / max(plan.min_time_s, 0.1))))


def next_size(size: int, batch: Batch) -> int:
    """So many visits that the next batch takes about half a minute; fewer after one that was doubtful."""
    if batch.doubt is not None:
        return max(1, size // 2)
    each_s = max(batch.measuring_s / max(len(batch.rows), 1), 1e-3)
    return max(1, min(round(BATCH_S / each_s), 4 * size, LARGEST))
