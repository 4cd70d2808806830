"""What a measurement is: raw samples with their context; statistics are derived. Measures nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from devices.errors import BadSettings

NOISY_SPREAD = 0.10
FEW_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A `.tflite` model to measure: a name for people and the file's bytes."""

    name: str
    content: bytes = field(repr=False)

    @classmethod
    def from_path(cls, path: Path | str) -> ModelFile:
        """Read a model file; its name is the file's.

        Raises:
            BadSettings: there is no such file, or it cannot be read.
        """
        path = Path(path)
        try:
            return cls(path.name, path.read_bytes())
        except OSError as error:
            raise BadSettings(f"cannot read the model file {path}: {error.strerror}") from error

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the content: the model's identity."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is run on a device.

    Attributes:
        threads: threads of the runtime, 1 or more.
        cpus: cores the runtime may use, at least one per thread; None leaves the choice to the device (the
            local one takes the last `threads` cores that it may use).
    """

    threads: int = 1
    cpus: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 64:
            raise BadSettings(f"threads is {self.threads}; it must lie between 1 and 64")
        if self.cpus is not None and (not self.cpus or min(self.cpus) < 0):
            raise BadSettings(f"cpus is {self.cpus}; name at least one core by its number, from 0")


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device is, as far as it tells. Unknown figures are None, never zero."""

    address: str
    machine: str
    cpu_model: str
    cores: int
    memory_bytes: int | None
    operating_system: str
    python_version: str
    runtime: str
    runtime_version: str


@dataclass(frozen=True, slots=True)
class Context:
    """Under which conditions samples were taken. Without it two latencies cannot be compared.

    Attributes:
        settings: as used: its cores are those the worker was pinned to.
        started_at: ISO 8601 time in UTC.
        delegate: what ran the operators, for example `xnnpack`.
        delegated_operators: operators the delegate took; None where the runtime does not tell.
        total_operators: operators the runtime executes; None likewise.
        other_load: share of the measuring cores' time (0 to 1) that other processes took during the burst, or
            during the last half second where the burst was shorter; None if unknown.
        throttled: whether heat or policy held the cores below their highest frequency; None if unknown.
        governor: how the kernel chose the cores' frequency, such as `performance`; None if unknown.
    """

    facts: DeviceFacts
    settings: Settings
    started_at: str
    delegate: str
    delegated_operators: int | None = None
    total_operators: int | None = None
    other_load: float | None = None
    throttled: bool | None = None
    governor: str | None = None


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """Mean time of one executed operator in one pass, as the runtime's own profiler reports it.

    Attributes:
        index: position in execution order.
        label: the runtime's own name, for example `Convolution (NHWC, F32) IGEMM`.
        delegated: whether a delegate ran it.
        mean_ms: trimmed mean over the runs of the pass.
    """

    index: int
    label: str
    delegated: bool
    mean_ms: float


@dataclass(frozen=True, slots=True)
class Pass:
    """One burst of runs of one model: the unit in which samples arrive and are kept.

    Attributes:
        samples_ms: raw latencies in time order, preempted runs already left out.
        dropped: runs left out because the thread was preempted.
        reference_ms: lower quartile of the reference model's latency next to this burst; None without one.
        first_inference_ms: the first run after the model was loaded.
        initialisation_ms: time to load the model and prepare it, its file being in memory already.
        peak_memory_bytes: what loading and the first run added to the worker's resident memory at their peak;
            None where the device does not tell.
        operators: per-operator times, if asked for; from runs of their own, a little slower.
        all_preempted: every run was preempted, so that the samples are the fastest quarter of them.
    """

    model: str
    sha256: str
    index: int
    samples_ms: tuple[float, ...]
    dropped: int
    reference_ms: float | None
    first_inference_ms: float
    initialisation_ms: float
    peak_memory_bytes: int | None
    operators: tuple[OperatorTime, ...] | None
    context: Context
    all_preempted: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A model that could not be measured: a value in the results, so that the other models go on."""

    model: str
    sha256: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model's latency on one device: all passes, with their context.

    Statistics are over the pooled samples of all passes.
    """

    model: str
    sha256: str
    model_bytes: int
    passes: tuple[Pass, ...]

    def __post_init__(self) -> None:
        if not self.passes or not any(burst.samples_ms for burst in self.passes):
            raise BadSettings(f"a measurement of {self.model} needs at least one sample")

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """All samples, pass by pass, in time order."""
        return tuple(sample for burst in self.passes for sample in burst.samples_ms)

    @property
    def context(self) -> Context:
        """The context of the first pass."""
        return self.passes[0].context

    def quantile_ms(self, share: float) -> float:
        """The latency below which `share` (0 to 1) of the samples lie."""
        return float(np.quantile(self.samples_ms, share))

    @property
    def median_ms(self) -> float:
        """Median latency."""
        return self.quantile_ms(0.5)

    @property
    def spread(self) -> float:
        """Interquartile range over the median: 0.1 is 10 %."""
        return (self.quantile_ms(0.75) - self.quantile_ms(0.25)) / self.median_ms

    @property
    def dropped(self) -> int:
        """Runs left out because the thread was preempted."""
        return sum(burst.dropped for burst in self.passes)


def gather(model: ModelFile, passes: Sequence[Pass]) -> Measurement:
    """Join the passes of one model into its measurement."""
    return Measurement(model.name, model.sha256, len(model.content), tuple(passes))
