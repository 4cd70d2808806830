"""Reasons to doubt a measurement: noise, few samples, throttling, load, no delegate. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from devices.measurement import FEW_SAMPLES, NOISY_SPREAD, Measurement

#: the last third of the runs this much slower than the first is called throttled
SLOWDOWN = 0.10
#: a share of the measuring cores' time above which other processes disturb
DISTURBED = 0.10


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason to doubt a measurement.

    Attributes:
        kind: for programs: `noisy`, `few_samples`, `throttled`, `disturbed` or `delegate_not_taken`.
        message: for people: what was found and what helps.
    """

    kind: str
    message: str


def doubts_about(measurement: Measurement) -> tuple[Doubt, ...]:
    """Every reason to doubt a measurement; empty when there is none."""
    return tuple(_doubts(measurement))


def other_load(measurement: Measurement) -> float | None:
    """Largest share (0 to 1) of the measuring cores' time that others took in a pass; None if unknown."""
    known = (one.context.other_load for one in measurement.passes)
    return max((load for load in known if load is not None), default=None)


def _doubts(measurement: Measurement) -> Iterator[Doubt]:
    samples = measurement.samples_ms
    if measurement.spread > NOISY_SPREAD:
        yield Doubt(
            "noisy",
            f"the spread (interquartile range over median) is {measurement.spread:.0%}, more than "
            f"{NOISY_SPREAD:.0%}: stop other programs, or measure longer",
        )
    if len(samples) < FEW_SAMPLES:
        yield Doubt("few_samples", f"{len(samples)} samples are fewer than {FEW_SAMPLES}: make more runs")
    else:
        third = len(samples) // 3
        slowdown = median(samples[-third:]) / median(samples[:third]) - 1
        if slowdown > SLOWDOWN:
            yield Doubt(
                "throttled",
                f"the last third of the runs took {slowdown:.0%} longer than the first: the processor slowed "
                "down (heat, power) or others took its time; let it rest and measure again",
            )
    load = other_load(measurement)
    if load is not None and load > DISTURBED:
        yield Doubt("disturbed", f"other processes took {load:.0%} of the measuring cores' time: stop them")
    context = measurement.context
    taken, total = context.delegated_operators, context.total_operators
    if taken is not None and total is not None and taken < total:
        yield Doubt(
            "delegate_not_taken",
            f"{context.delegate} took {taken} of {total} operators: the others run on the runtime's own, "
            "mostly slower kernels",
        )
