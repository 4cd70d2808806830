"""How to measure: warm-up, bursts, shuffled passes, a drift reference, deadlines. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import BadSettings
from devices.measurement import ModelFile

#: the most of each; `sustained` takes a pass every few seconds for up to a day
PASSES, MIN_RUNS, WARMUP_RUNS, SECONDS = 100_000, 10_000_000, 1_000_000, 86_400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a set of models is measured: `passes` times over all of them, in a new random order each time.

    A burst (one model in one pass) ends when both `min_runs` and `min_time_s` are reached.

    Attributes:
        passes: times every model is visited, 1 to 100000.
        warmup_runs: runs before each burst that are not counted, at most 1000000.
        min_runs: runs of a burst, preempted ones included, at most 10000000.
        min_time_s: least duration of a burst in seconds, at most a day.
        per_operator: also collect per-operator times (slows a run by up to 10 %, so those runs are separate).
        reference: a model measured between bursts, so that drift of the machine shows.
        deadline_s: longest time one model may take in one pass, loading included; at most a day.
        seed: of the order of models and of their random inputs.
        sustained: the device is meant to get hot: passes follow each other without waiting for it to cool.
    """

    passes: int = 1
    warmup_runs: int = 3
    min_runs: int = 30
    min_time_s: float = 0.0
    per_operator: bool = False
    reference: ModelFile | None = None
    deadline_s: float = 60.0
    seed: int = 0
    sustained: bool = False

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("passes", self.passes, 1, PASSES),
            ("warmup_runs", self.warmup_runs, 0, WARMUP_RUNS),
            ("min_runs", self.min_runs, 1, MIN_RUNS),
        ):
            if not least <= value <= most:
                raise BadSettings(f"{name} is {value}; it must be a number from {least} to {most}")
        if not 0 <= self.min_time_s <= SECONDS:
            raise BadSettings(
                f"min_time_s is {self.min_time_s}; it must be a number of seconds from 0 to {SECONDS:g}"
            )
        if not 0 < self.deadline_s <= SECONDS:
            raise BadSettings(
                f"deadline_s is {self.deadline_s}; it must be more than 0 seconds, and at most {SECONDS:g}"
            )
