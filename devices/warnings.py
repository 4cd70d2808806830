"""What makes a measurement doubtful, as data. Decides nothing: reports and callers show it or act on it."""

from __future__ import annotations

from dataclasses import dataclass

from devices.measurement import FEW_SAMPLES, NOISY_SPREAD, Measurement

#: share of the measuring cores' time taken by others from which a measurement is called disturbed
DISTURBED_LOAD = 0.10


@dataclass(frozen=True, slots=True)
class Warning:
    """One doubt about a measurement.

    Attributes:
        code: `noisy`, `few_samples`, `preempted`, `disturbed`, `throttled` or `delegate_not_taken`.
        message: the figure, what it should be and what would help.
    """

    code: str
    message: str


def warnings(measurement: Measurement) -> tuple[Warning, ...]:
    """Every doubt about a measurement. What the device does not tell raises none."""
    found = []
    if measurement.spread > NOISY_SPREAD:
        found.append(
            Warning(
                "noisy",
                f"the middle half of the samples spreads over {measurement.spread:.0%} of the median "
                f"(more than {NOISY_SPREAD:.0%}): stop other work on the device or measure longer",
            )
        )
    samples = len(measurement.samples_ms)
    if samples < FEW_SAMPLES:
        found.append(
            Warning(
                "few_samples", f"{samples} samples are fewer than {FEW_SAMPLES}: ask for more runs or passes"
            )
        )
    if any(burst.all_preempted for burst in measurement.passes):
        found.append(
            Warning(
                "preempted",
                "every run of a pass was preempted, and its fastest quarter was kept: stop other work there",
            )
        )
    contexts = [burst.context for burst in measurement.passes]
    load = max((context.other_load for context in contexts if context.other_load is not None), default=0.0)
    if load > DISTURBED_LOAD:
        found.append(
            Warning(
                "disturbed",
                f"other processes took up to {load:.0%} of the measuring cores' time "
                f"(more than {DISTURBED_LOAD:.0%}): stop them or measure on other cores",
            )
        )
    if any(context.throttled for context in contexts):
        found.append(
            Warning(
                "throttled",
                "heat or policy held the cores below their highest frequency: cool the device and wait",
            )
        )
    context = measurement.context
    if (
        context.total_operators is not None
        and context.delegated_operators is not None
        and context.delegated_operators < context.total_operators
    ):
        found.append(
            Warning(
                "delegate_not_taken",
                f"{context.total_operators - context.delegated_operators} of {context.total_operators} "
                f"operators are not run by the delegate ({context.delegate}): they use slower kernels",
            )
        )
    return tuple(found)
