"""What makes a measurement doubtful, as data. Decides nothing: reports and callers show it or act on it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

from devices.measurement import FEW_SAMPLES, NOISY_SPREAD, Context, Measurement, Pass

#: share of the measuring cores' time taken by others from which a measurement is called disturbed
DISTURBED_LOAD = 0.10
#: how much longer the runs at the end of a pass take than those at its beginning when the cores slow down
SLOWING = 0.10
#: below this many ms a latency counted in whole microseconds is known to no better than 2 %
COARSE_MS = 0.05
#: how far the operators' sum may lie from the median latency, as a share of it
PROFILE_OFF = 0.25
#: samples of a pass of which thirds can be compared
SLOWING_SAMPLES = 30


@dataclass(frozen=True, slots=True)
class Warning:
    """One doubt about a measurement.

    Attributes:
        code: `noisy`, `few_samples`, `preempted`, `disturbed`, `throttled`, `slowing`, `suspect`,
            `average_only`, `coarse`, `profile_off`, `deprecated` or `delegate_not_taken`.
        message: the figure, what it should be and what would help.
    """

    code: str
    message: str


def slows(burst: Pass) -> bool | None:
    """Whether a pass' last third is slower than its first by more than 10 %; None where it is too short.

    Noise alone does not do: the medians must differ by that much, and the thirds' middle halves not overlap.
    """
    count = len(burst.samples_ms)
    if count < SLOWING_SAMPLES:
        return None
    first = np.quantile(burst.samples_ms[: count // 3], [0.5, 0.75])
    last = np.quantile(burst.samples_ms[-(count // 3) :], [0.5, 0.25])
    return bool(last[0] > (1 + SLOWING) * first[0] and last[1] > first[1])


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
    samples = measurement.runs
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
    slowing = [answer for answer in map(slows, measurement.passes) if answer is not None]
    if 2 * sum(slowing) > len(slowing):
        found.append(
            Warning(
                "slowing",
                f"in {sum(slowing)} of {len(slowing)} passes the last third of the runs took over "
                f"{SLOWING:.0%} longer than the first third, as on cores that get hot: cool the device, or "
                "measure in more and shorter passes",
            )
        )
    if doubted := list(dict.fromkeys(context.suspect for context in contexts if context.suspect)):
        found.append(Warning("suspect", f"{'; '.join(doubted)}: measure again"))
    if any(burst.summary and burst.summary.median_ms is None for burst in measurement.passes):
        found.append(
            Warning(
                "average_only",
                "the runner prints no median, so the mean stands for it: a newer benchmark_model prints both",
            )
        )
    if any(burst.summary for burst in measurement.passes) and measurement.median_ms < COARSE_MS:
        found.append(
            Warning(
                "coarse",
                f"a run takes {1000 * measurement.median_ms:.1f} us (less than {1000 * COARSE_MS:.0f} us), "
                "and the runner counts whole microseconds: a larger model is measured better",
            )
        )
    if (off := profile_share(measurement)) is not None and abs(off - 1) > PROFILE_OFF:
        found.append(
            Warning(
                "profile_off",
                f"the operators' times add up to {off:.0%} of the median latency, more than "
                f"{PROFILE_OFF:.0%} off: they are no account of it; "
                "profile a larger model, or on a quieter device",
            )
        )
    context = measurement.context
    if context.settings.delegate == "nnapi":
        found.append(
            Warning(
                "deprecated",
                "NNAPI is deprecated since Android 15, and newer phones may run it on the processor: "
                "ask for gpu, npu or the maker's own delegate",
            )
        )
    if untaken := _untaken(context):
        found.append(Warning("delegate_not_taken", untaken))
    return tuple(found)


def profile_share(measurement: Measurement) -> float | None:
    """What the operators' times add up to, over the median latency; None where no operators were timed."""
    sums = [sum(row.mean_ms for row in burst.operators) for burst in measurement.passes if burst.operators]
    return median(sums) / measurement.median_ms if sums and measurement.median_ms else None


def _untaken(context: Context) -> str:
    """What of a model the delegate that was asked for did not take, in words; empty where it took all."""
    taken, total = context.delegated_operators, context.total_operators
    if taken is None or context.settings.delegate == "cpu":
        return ""
    if total is None:
        told = "" if taken else f"the delegate ({context.delegate}) took no operator"
    elif taken == total:
        told = ""
    elif taken:
        told = f"{total - taken} of {total} operators are not run by the delegate ({context.delegate})"
    else:
        told = f"the delegate ({context.delegate}) took 0 of {total} operators"
    return told and f"{told}: they use slower kernels"
