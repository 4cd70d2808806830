"""Measure several sets of networks in turns, pass by pass, each result kept as it comes. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from devices.device import Device
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from devices.streaming import drain
from latency_tables import tflite
from latency_tables.measuring import bursts
from latency_tables.measuring.bursts import Job


class Kept(Protocol):
    """Where results are kept, by the SHA-256 of the model's content."""

    def passes(self, sha256: str) -> tuple[Pass, ...]:
        """The passes of one model that are there."""

    def failure(self, sha256: str) -> Failure | None:
        """Why a model could not be measured when it was last tried."""

    def add(self, outcome: Pass | Failure) -> None:
        """Keep a result."""


class InMemory:
    """Keeps results as long as the process lives."""

    def __init__(self) -> None:
        self._passes: dict[str, list[Pass]] = {}
        self._failures: dict[str, Failure] = {}

    def passes(self, sha256: str) -> tuple[Pass, ...]:
        """The passes of one model that are there."""
        return tuple(self._passes.get(sha256, ()))

    def failure(self, sha256: str) -> Failure | None:
        """Why a model could not be measured when it was last tried."""
        return self._failures.get(sha256)

    def add(self, outcome: Pass | Failure) -> None:
        """Keep a result."""
        if isinstance(outcome, Failure):
            self._failures[outcome.sha256] = outcome
        else:
            self._passes.setdefault(outcome.sha256, []).append(outcome)
            self._failures.pop(outcome.sha256, None)


@dataclass(frozen=True, slots=True)
class Group:
    """Networks that are measured alike, and where their results are kept.

    Attributes:
        jobs: all different in name.
        plan: how; its `passes` count.
    """

    jobs: tuple[Job, ...]
    plan: Plan
    kept: Kept


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the measuring stands: `done` of `total` passes; `failure` says why the last one failed."""

    done: int
    total: int
    network: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of the networks, by name.

    Attributes:
        passes: of those that have all their passes.
        failures: of the others that were tried.
    """

    passes: dict[str, tuple[Pass, ...]]
    failures: dict[str, Failure]

    def samples_ms(self, name: str) -> list[tuple[float, ...]]:
        """The samples of each pass of a network that was measured."""
        return [burst.distribution_ms for burst in self.passes[name]]


def measure(
    device: Device,
    groups: Sequence[Group],
    on_progress: Callable[[Progress], None] | None = None,
) -> Measured:
    """Measure what the groups lack of their passes: a pass over each group, then the next pass.

    Within a pass a group's networks come in random order. What drifts during the run drifts for all groups.
    A network that fails is left out of the passes that follow; the next call tries it again.

    Raises:
        DeviceTrouble: the device is gone; what was measured is kept.
        KeyboardInterrupt: likewise, once what the device still held is kept.
    """
    report = on_progress or (lambda _: None)
    keys = [{job.name: _sha256(job) for job in group.jobs} for group in groups]
    there = [
        {name: {burst.index for burst in group.kept.passes(key)} for name, key in names.items()}
        for group, names in zip(groups, keys, strict=True)
    ]
    total = sum(len(group.jobs) * group.plan.passes for group in groups)
    done = sum(
        min(len(indices), group.plan.passes)
        for group, names in zip(groups, there, strict=True)
        for indices in names.values()
    )
    report(Progress(done, total))
    failed: set[str] = set()
    for index in range(max((group.plan.passes for group in groups), default=0)):
        for group, names in zip(groups, there, strict=True):

            def keep(outcome: Pass | Failure, group: Group = group, index: int = index) -> None:
                nonlocal done
                if isinstance(outcome, Failure):
                    failed.add(outcome.model)
                    group.kept.add(outcome)
                    report(Progress(done, total, outcome.model, outcome.message))
                else:
                    group.kept.add(replace(outcome, index=index))
                    done += 1
                    report(Progress(done, total, outcome.model))

            if index < group.plan.passes:
                left = [job for job in group.jobs if index not in names[job.name] and job.name not in failed]
                if left:
                    drain(bursts.stream(device, left, group.plan, index), keep)
    return _collect(groups, keys)


def _collect(groups: Sequence[Group], keys: Sequence[dict[str, str]]) -> Measured:
    passes: dict[str, tuple[Pass, ...]] = {}
    failures: dict[str, Failure] = {}
    for group, names in zip(groups, keys, strict=True):
        for name, key in names.items():
            found = group.kept.passes(key)[: group.plan.passes]
            failure = group.kept.failure(key)
            if len(found) == group.plan.passes:
                passes[name] = found
            elif failure is not None:
                failures[name] = replace(failure, model=name)
    return Measured(passes, failures)


def _sha256(job: Job) -> str:
    return ModelFile(job.name, tflite.write(job.graph, seed=job.seed)).sha256
