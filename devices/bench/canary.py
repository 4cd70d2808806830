"""A small model of always the same latency: when it drifts, the device is not as it was. Knows no schedule.

Each measurement of it is judged against the device's own history, which the first jobs on the device build.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from devices.device import Device
from devices.errors import BadSettings, DeviceTrouble, by_name
from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.records import from_plain, to_plain
from devices.state import file_name, state_directory

#: how one reading is taken
PLAN = Plan(warmup_runs=5, min_runs=20, min_time_s=0.2)
#: readings before which nothing is judged; readings back to which it is
LEAST, WINDOW = 5, 50
#: a reading drifts when it is further from the history's median than this share of it and than so many
#: standard deviations, as the median absolute deviation tells them; half of the median is drift in any case
FLOOR, DEVIATIONS, CEILING = 0.10, 5.0, 0.5
MAD_TO_DEVIATION = 1.4826
#: so many readings in a row that all drift, and agree with each other, are the device's new way
NEW_WAY = 12
LINES_KEPT, LINE_BYTES = 300, 1000


def canary_model() -> ModelFile:
    """The canary that this package ships."""
    return ModelFile.from_path(Path(__file__).with_name("canary.tflite"))


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement of the canary, as the history keeps it.

    Attributes:
        at: ISO 8601 time in UTC.
        temperature_c: of the device then; None if unknown.
        drifts: whether it was out of the history of its time.
    """

    median_ms: float
    at: str
    temperature_c: float | None = None
    drifts: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A reading beside its history.

    Attributes:
        expected_ms: median of the history; None while it has too few readings to judge by.
        limit_ms: how far from it a reading may lie; None likewise.
    """

    median_ms: float
    expected_ms: float | None
    limit_ms: float | None

    @property
    def drifts(self) -> bool:
        """Whether the device is not as it was."""
        if self.expected_ms is None or self.limit_ms is None:
            return False
        return abs(self.median_ms - self.expected_ms) > self.limit_ms

    def __str__(self) -> str:
        said = f"the canary takes {self.median_ms:.3g} ms"
        if self.expected_ms is None or self.limit_ms is None:
            return f"{said}; its history is too short to judge by"
        return f"{said}, by its history {self.expected_ms:.3g} ms within {self.limit_ms:.2g} ms"


def judge(median_ms: float, history: Sequence[Reading]) -> Verdict:
    """Judge a reading by those before it, the oldest first."""
    relevant = _relevant(history)
    if len(relevant) < LEAST:
        return Verdict(median_ms, None, None)
    expected_ms = float(np.median(relevant))
    deviation_ms = MAD_TO_DEVIATION * float(np.median(np.abs(np.array(relevant) - expected_ms)))
    limit_ms = min(max(FLOOR * expected_ms, DEVIATIONS * deviation_ms), CEILING * expected_ms)
    return Verdict(median_ms, expected_ms, limit_ms)


def _relevant(history: Sequence[Reading]) -> list[float]:
    """The latencies that count: those that did not drift, unless the device has found a new way."""
    for end in range(len(history), NEW_WAY - 1, -1):
        run = [one.median_ms for one in history[end - NEW_WAY : end]]
        drifted = all(one.drifts for one in history[end - NEW_WAY : end])
        middle = float(np.median(run))
        if drifted and max(abs(one - middle) for one in run) <= FLOOR * middle:
            later = [one.median_ms for one in history[end:] if not one.drifts]
            return [*run, *later][-WINDOW:]
    return [one.median_ms for one in history if not one.drifts][-WINDOW:]


class History:
    """The readings of one canary on one device with one way of running it, in a file of this host."""

    def __init__(self, path: Path) -> None:
        """Reads nothing yet."""
        self._path = path
        self._readings: list[Reading] | None = None

    @classmethod
    def of(cls, facts: DeviceFacts, settings: Settings, canary: ModelFile) -> History:
        """The history of a device as it is now: another runtime or system build begins another one."""
        way = [
            canary.sha256,
            facts.runtime,
            facts.runtime_version,
            facts.runtime_sha256,
            facts.os_build,
            facts.machine,
            to_plain(settings),
        ]
        key = hashlib.sha256(json.dumps(way).encode()).hexdigest()[:16]
        return cls(state_directory("canary") / f"{file_name(facts.address)[:180]}-{key}.jsonl")

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All readings, the oldest first. Lines that a kill tore, or that make no sense, are left out."""
        if self._readings is None:
            try:
                lines = self._path.read_bytes().split(b"\n")
            except OSError:
                lines = []
            self._readings = [found for line in lines if (found := _read(line))]
        return tuple(self._readings)

    def take(self, median_ms: float, temperature_c: float | None = None) -> Verdict:
        """Judge a reading and keep it.

        Raises:
            DeviceTrouble: the file cannot be written.
        """
        before = self.readings
        verdict = judge(median_ms, before)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        reading = Reading(median_ms, at, temperature_c, verdict.drifts)
        kept = [*before, reading][-LINES_KEPT:]
        draft = self._path.with_suffix(f".{os.getpid()}")
        try:
            draft.write_bytes(b"".join(map(_line, kept)))
            draft.replace(self._path)
        except OSError as error:
            raise DeviceTrouble(
                f"cannot write the canary's history {self._path}: {error.strerror}"
            ) from error
        self._readings = kept
        return verdict


def read(device: Device, canary: ModelFile, plan: Plan = PLAN) -> float:
    """Measure a canary's median latency in milliseconds.

    Raises:
        TransientError: the link broke.
        DevicesError: the device cannot measure it; the kind that the device reports.
    """
    outcome: Pass | Failure | None = None
    for outcome in device.stream([canary], plan):  # noqa: B007 - a stream is followed to its end
        pass
    if isinstance(outcome, Pass) and outcome.distribution_ms:
        return float(np.median(outcome.distribution_ms))
    if isinstance(outcome, Failure):
        raise by_name(outcome.error)(f"the canary {canary.name}: {outcome.message}")
    raise DeviceTrouble(f"the canary {canary.name} gave no latency")


def _line(reading: Reading) -> bytes:
    return json.dumps(to_plain(reading)).encode() + b"\n"


def _read(line: bytes) -> Reading | None:
    if not line or len(line) > LINE_BYTES:
        return None
    try:
        found = from_plain(Reading, json.loads(line))
    except (ValueError, TypeError, AttributeError, RecursionError, BadSettings):
        return None
    sane = isinstance(found.median_ms, float | int) and 0 < found.median_ms < math.inf
    return found if sane else None
