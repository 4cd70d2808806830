"""What became of each proposal of a search, as its run keeps it. Opens no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from mnas.errors import BadInput, BadRun

State = Literal["trained", "infeasible", "failed"]
STATES: tuple[State, ...] = ("trained", "infeasible", "failed")


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
        try:
            return cls(**{**record, "choices": tuple(int(index) for index in record["choices"])})
        except (TypeError, KeyError, ValueError, BadInput) as error:
            raise BadRun(f"not a result of a search: {error}") from error
