"""What became of each proposal of a search, as its run keeps it. Opens no file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from mnas.errors import BadInput, BadRun
from mnas.records import (
    ABOVE_0,
    COSTS,
    COUNT,
    COUNTS,
    FROM_0,
    NOTHING,
    NUMBER,
    SHARE,
    TEXT,
    Kind,
    check,
    require_fields,
)

if TYPE_CHECKING:
    from mnas.spaces.base import Choice

State = Literal["trained", "infeasible", "failed"]
STATES: tuple[State, ...] = ("trained", "infeasible", "failed")

_KINDS = {
    "number": COUNT,
    "choices": COUNTS,
    "architecture": TEXT,
    "accuracy": SHARE | NOTHING,
    "latency_ms": ABOVE_0 | NOTHING,
    "state": Kind(f"one of {', '.join(STATES)}", lambda value: value in STATES),
    "seconds": FROM_0,
    "message": TEXT | NOTHING,
    "repeats": COUNT | NOTHING,
    "low_ms": NUMBER | NOTHING,
    "high_ms": NUMBER | NOTHING,
    "costs": COSTS,
    "measured_ms": COSTS,
    "reward": NUMBER | NOTHING,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one proposal.

    Attributes:
        number: of the trial in the study; numbers grow, but some are missing: trials that a kill closed.
        choices: one option index per choice of the space.
        architecture: the text form.
        accuracy: share 0 to 1 on the validation images; None unless trained.
        latency_ms: on the first device, predicted or measured; None where measuring it failed, or where
            another cost ruled the candidate out before.
        state: `trained`, `infeasible` (above a cap, never trained) or `failed`.
        seconds: time that training and validating took.
        message: why it is infeasible or failed; None for trained ones.
        repeats: number of the earlier result of the same architecture used again; None for a first one.
        low_ms: lower end of the 90 % interval of a predicted latency; None if unknown, or measured.
        high_ms: upper end.
        costs: all other costs by name, as they were predicted.
        measured_ms: latencies by cost that were measured before training, near a cap.
        reward: of a trained candidate when it was trained; None for others, and of older runs.
    """

    number: int
    choices: tuple[int, ...]
    architecture: str
    accuracy: float | None
    latency_ms: float | None
    state: State
    seconds: float
    message: str | None = None
    repeats: int | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    reward: float | None = None

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise BadInput(f"state is {self.state!r}; allowed: {', '.join(STATES)}")
        if self.state == "trained" and (self.accuracy is None or self.latency_ms is None):
            raise BadInput(f"result {self.number} is trained, so it needs accuracy and latency")
        if self.state != "trained" and self.accuracy is not None:
            raise BadInput(f"result {self.number} is {self.state}, so it has no accuracy")

    @property
    def counts(self) -> bool:
        """Whether this is a trained candidate that is not a repetition of an earlier one."""
        return self.state == "trained" and self.repeats is None

    @property
    def point(self) -> tuple[float, float]:
        """Accuracy and latency in milliseconds of a trained candidate."""
        if self.accuracy is None or self.latency_ms is None:
            raise BadInput(f"result {self.number} is {self.state}; only trained ones have a point")
        return self.accuracy, self.latency_ms

    def figures(self, first: str = "latency_ms") -> dict[str, float]:
        """Every known cost by name; `first` is the name of the one that `latency_ms` holds."""
        return {**({} if self.latency_ms is None else {first: self.latency_ms}), **self.costs}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `asdict` of a result became in JSON.

        Raises:
            BadRun: fields are missing, unknown or unusable.
        """
        check(record, _KINDS)
        require_fields(record, cls)  # results of before lack what has a default
        try:
            return cls(**{**record, "choices": tuple(record["choices"])})
        except BadInput as error:
            raise BadRun(str(error)) from error


def require_points(results: Iterable[Result], choices: Sequence[Choice], file: object) -> None:
    """See that the results of a file are of points of a space.

    Raises:
        BadRun: one has more or fewer options than the space has choices, or one that there is none of.
    """
    for result in results:
        where = f"{file}: the result of trial {result.number}"
        if len(result.choices) != len(choices):
            raise BadRun(f"{where} has {len(result.choices)} choices; the space has {len(choices)}")
        for choice, index in zip(choices, result.choices, strict=True):
            if not 0 <= index < len(choice.options):
                raise BadRun(
                    f"{where} has option {index} of {choice.name}; allowed: 0 to {len(choice.options) - 1}"
                )
