"""Measure model files on several devices side by side, and go on where an earlier job ended.

Knows journals and interruptions. Does not know how a device measures or how results are shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from devices.device import Device
from devices.errors import DevicesError
from devices.measurement import Failure, Measurement, ModelFile, Pass, gather
from devices.plan import Plan
from devices.streaming import drain
from mnas.journal import Journal
from mnas.lanes import side_by_side


@dataclass(frozen=True, slots=True)
class Lane:
    """One device's share of a job: how to open it, and where its results are kept."""

    device: str
    open: Callable[[], Device]
    journal: Journal


@dataclass(frozen=True, slots=True)
class LaneResult:
    """What came of a lane.

    Attributes:
        measurements: of the models that have all their passes, in the order asked for.
        failures: of the others that were tried.
        trouble: what ended the lane before its work was done; None if nothing did.
    """

    device: str
    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...]
    trouble: DevicesError | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a lane stands: `done` of `total` passes; `note` says what there is to say of the last."""

    device: str
    done: int
    total: int
    note: str = ""


Report = Callable[[Progress], None]


def measure(
    lanes: Sequence[Lane], models: Sequence[ModelFile], plan: Plan, on_progress: Report
) -> list[LaneResult]:
    """Measure what the journals lack of a plan, every device in a lane of its own.

    Results are kept in the lanes' journals as they come. A device in trouble ends its own lane only.

    Raises:
        KeyboardInterrupt: once every lane has filed what it was measuring.
    """
    return side_by_side([(lane.device, partial(_run, lane, models, plan, on_progress)) for lane in lanes])


def _run(
    lane: Lane, models: Sequence[ModelFile], plan: Plan, on_progress: Report, stop: threading.Event
) -> LaneResult:
    trouble = None
    try:
        _fill(lane, models, plan, on_progress, stop)
    except DevicesError as error:
        trouble = error
    measurements, failures = [], []
    for model in models:
        passes = lane.journal.passes(model.sha256)
        failure = lane.journal.failure(model.sha256)
        if len(passes) >= plan.passes:
            measurements.append(gather(model, passes[: plan.passes]))
        elif failure is not None:
            failures.append(replace(failure, model=model.name))
    return LaneResult(lane.device, tuple(measurements), tuple(failures), trouble)


def _fill(
    lane: Lane, models: Sequence[ModelFile], plan: Plan, on_progress: Report, stop: threading.Event
) -> None:
    """Measure what a journal lacks. Models that lack the same passes are measured together."""
    groups: dict[tuple[int, ...], list[ModelFile]] = {}
    unique = {model.sha256: model for model in models}
    total = len(unique) * plan.passes
    for key, model in unique.items():
        there = {burst.index for burst in lane.journal.passes(key)}
        groups.setdefault(tuple(i for i in range(plan.passes) if i not in there), []).append(model)
    done = len(groups.pop((), ())) * plan.passes
    done += sum(len(group) * (plan.passes - len(missing)) for missing, group in groups.items())
    on_progress(Progress(lane.device, done, total))
    if not groups:
        return
    with closing(lane.open()) as device:
        for missing, group in groups.items():

            def file(outcome: Pass | Failure, missing: tuple[int, ...] = missing) -> None:
                nonlocal done
                if isinstance(outcome, Pass):
                    lane.journal.add(replace(outcome, index=missing[outcome.index]))
                    done += 1
                    on_progress(Progress(lane.device, done, total))
                else:
                    lane.journal.add(outcome)
                    on_progress(Progress(lane.device, done, total, f"{outcome.model}: {outcome.code}"))

            whole = drain(device.stream(group, replace(plan, passes=len(missing))), file, stop.is_set)
            if not whole:
                raise KeyboardInterrupt
