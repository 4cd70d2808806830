"""What a measurement is: raw samples with their context; statistics are derived. Measures nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from devices.errors import BadSettings, DelegateFallback, DevicesError, by_name

NOISY_SPREAD = 0.10
FEW_SAMPLES = 20
#: what can be asked to run a model, besides `external:LIBRARY`
DELEGATES = ("xnnpack", "cpu", "gpu", "gpu-opencl", "gpu-opengl", "nnapi", "npu")


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
        cpus: cores the runtime may use, at least one per thread; None leaves the choice to the device: its
            fastest cores.
        delegate: what is to run the operators: `xnnpack`, `cpu` (the runtime's own kernels), `gpu`,
            `gpu-opencl`, `gpu-opengl`, `nnapi`, `npu`, or `external:` and the file of the delegate's library.
        delegate_options: what an external delegate is told, each `KEY:VALUE`; `{lib}` in a value stands for
            the folder on the device in which the delegate's libraries lie.
    """

    threads: int = 1
    cpus: tuple[int, ...] | None = None
    delegate: str = "xnnpack"
    delegate_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 64:
            raise BadSettings(f"threads is {self.threads}; it must lie between 1 and 64")
        if self.cpus is not None and (not self.cpus or min(self.cpus) < 0):
            raise BadSettings(f"cpus is {self.cpus}; name at least one core by its number, from 0")
        external = self.delegate.removeprefix("external:")
        if self.delegate not in DELEGATES and (external == self.delegate or not external):
            raise BadSettings(
                f"there is no delegate {self.delegate!r}; these can be asked for: {', '.join(DELEGATES)}, "
                "external:LIBRARY"
            )
        if self.delegate_options and self.delegate in DELEGATES:
            raise BadSettings(f"the delegate {self.delegate} has no options; those of external:LIBRARY have")
        keys = [_option_key(option) for option in self.delegate_options]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise BadSettings(f"the delegate's option {twice[0]!r} is given twice")


def _option_key(option: str) -> str:
    """The key of an option, if it is one that `benchmark_model` passes on as it is."""
    key, _, value = option.partition(":")
    if not key or not value or ":" in value or ";" in option or not option.isprintable():
        raise BadSettings(
            f"{option!r} is no option of a delegate: it must be KEY:VALUE, with one colon, no semicolon, and "
            "only characters that can be printed"
        )
    return key


@dataclass(frozen=True, slots=True)
class Cluster:
    """Cores of one kind: their numbers, their highest frequency, and the part of the processor they are."""

    cpus: tuple[int, ...]
    max_khz: int | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device is, as far as it tells. Unknown figures are None, never zero.

    Attributes:
        python_version: of the Python that runs the worker; None where none does.
        runtime: what runs models, for example `ai-edge-litert` or `benchmark_model`.
        runtime_sha256: of the program that runs models, where it is one file.
        abi: for example `arm64-v8a`; None where `machine` says all there is.
        soc: the system on chip, for example `SM8350`.
        clusters: kinds of cores, the slowest first.
        os_build: the build of the operating system, for example Android's fingerprint.
        identity: tells this very device from another of its kind: a digest of its serial number.
    """

    address: str
    machine: str
    cpu_model: str
    cores: int | None
    memory_bytes: int | None
    operating_system: str
    python_version: str | None
    runtime: str
    runtime_version: str
    runtime_sha256: str | None = None
    abi: str | None = None
    soc: str | None = None
    clusters: tuple[Cluster, ...] = ()
    os_build: str | None = None
    identity: str | None = None


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
        frequency_khz: the measuring cores' highest current frequency next to the burst; None if unknown.
        temperature_before_c: of the hottest of processor and skin before the burst, in degrees Celsius.
        temperature_after_c: the same after it.
        conditions: what was set for the measurement and found to hold, or could not be set, in words.
        fence: the number of the lease under which this was measured, which only grows; None without a lease.
        libraries: files that the delegate needs, each with its SHA-256: `libQnnTfLiteDelegate.so sha256:...`.
        suspect: why this is not to be trusted though it was measured, such as drift of the canary; else None.
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
    frequency_khz: int | None = None
    temperature_before_c: float | None = None
    temperature_after_c: float | None = None
    conditions: tuple[str, ...] = ()
    fence: int | None = None
    libraries: tuple[str, ...] = ()
    suspect: str | None = None


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """Mean time of one executed operator in one pass, as the runtime's own profiler reports it.

    Attributes:
        index: position in execution order.
        label: the runtime's own name, for example `Convolution (NHWC, F32) IGEMM`.
        delegated: whether a delegate ran it.
        mean_ms: of all its calls in one run, a trimmed mean over the runs of the pass.
        kind: the type of node as the runner tells it, for example `CONV_2D`; None where it tells none.
        name: what the runner calls this one, for example its output tensor; None likewise.
        times_called: in one run, rounded down: 0 is less than once a run; None likewise.
        total_ms: of all its calls in one run, by the runner's own table; None likewise.
    """

    index: int
    label: str
    delegated: bool
    mean_ms: float
    kind: str | None = None
    name: str | None = None
    times_called: int | None = None
    total_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A burst as a runner's own statistics, where it does not tell the samples themselves.

    Attributes:
        count: runs.
        median_ms: None where the runner prints none; then the mean has to stand for it.
        warmup_mean_ms: mean of the runs before those counted; None if there were none or it is not told.
        initialisation_memory_bytes: what loading the model added to the process' memory; None if not told.
    """

    count: int
    mean_ms: float
    min_ms: float
    max_ms: float
    std_ms: float | None = None
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    warmup_mean_ms: float | None = None
    initialisation_memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if (
            self.count < 1
            or not 0 <= self.min_ms <= self.max_ms < float("inf")
            or self.max_ms == 0
            or not self.quantile_ms(0.25) > 0
        ):
            raise BadSettings(
                f"{self.count} runs between {self.min_ms} and {self.max_ms} ms with a median of "
                f"{self._middle_ms} ms are no statistics of a burst"
            )

    @property
    def _middle_ms(self) -> float:
        return self.mean_ms if self.median_ms is None else self.median_ms

    def quantile_ms(self, share: float) -> float:
        """The latency below which `share` (0 to 1) of the runs lie: linear between the figures there are."""
        known = [
            (0.0, self.min_ms),
            (0.05, self.p5_ms),
            (0.5, self._middle_ms),
            (0.95, self.p95_ms),
            (1.0, self.max_ms),
        ]
        shares, values = zip(*((at, value) for at, value in known if value is not None), strict=True)
        return float(np.interp(share, shares, np.maximum.accumulate(values)))


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
            of `benchmark_model` what loading and all runs added; None where the device does not tell.
        operators: per-operator times, if asked for; from runs of their own, a little slower.
        all_preempted: every run was preempted, so that the samples are the fastest quarter of them.
        summary: the runner's statistics where it does not tell its samples: then `samples_ms` is empty.
        energy_mj: what the board drew per inference, in millijoules, its idle power included; from runs of
            their own. None where the device has no power rails that can be read.
    """

    model: str
    sha256: str
    index: int
    samples_ms: tuple[float, ...]
    dropped: int
    reference_ms: float | None
    first_inference_ms: float | None
    initialisation_ms: float | None
    peak_memory_bytes: int | None
    operators: tuple[OperatorTime, ...] | None
    context: Context
    all_preempted: bool = False
    summary: Summary | None = None
    energy_mj: float | None = None

    @property
    def distribution_ms(self) -> tuple[float, ...]:
        """The samples; where there are none, as many points along the runner's own quantiles, at most 100."""
        if self.samples_ms or self.summary is None:
            return self.samples_ms
        count = min(self.summary.count, 100)
        return tuple(self.summary.quantile_ms((i + 0.5) / count) for i in range(count))


@dataclass(frozen=True, slots=True)
class Failure:
    """A model that could not be measured: a value in the results, so that the other models go on.

    Attributes:
        error: the name of the error's class in `devices.errors`.
        delegated_operators: with `DelegateFallback`, operators the delegate took; None where it is not told.
        total_operators: of so many; None likewise.
    """

    model: str
    sha256: str
    error: str
    message: str
    delegated_operators: int | None = None
    total_operators: int | None = None

    @classmethod
    def of(cls, model: ModelFile, error: DevicesError, message: str) -> Failure:
        """What an error came to for a model, in words that name it."""
        failure = cls(model.name, model.sha256, type(error).__name__, message)
        if not isinstance(error, DelegateFallback):
            return failure
        return replace(
            failure,
            delegated_operators=error.delegated_operators,
            total_operators=error.total_operators,
        )

    @property
    def code(self) -> str:
        """The kind of failure in one word, such as `TIMEOUT` (see `DevicesError.code`)."""
        return by_name(self.error).code


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model's latency on one device: all passes, with their context.

    Statistics are over the pooled samples of all passes; where the runner gives only its own statistics, they
    are the mean of the passes' own, each weighted by its runs.
    """

    model: str
    sha256: str
    model_bytes: int
    passes: tuple[Pass, ...]

    def __post_init__(self) -> None:
        if not self.passes or not any(burst.samples_ms or burst.summary for burst in self.passes):
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
        if self.samples_ms:
            return float(np.quantile(self.samples_ms, share))
        found = [burst.summary for burst in self.passes if burst.summary]
        return float(
            np.average([one.quantile_ms(share) for one in found], weights=[one.count for one in found])
        )

    @property
    def runs(self) -> int:
        """Runs that count: the samples, or what the runner's statistics are over."""
        return len(self.samples_ms) or sum(burst.summary.count for burst in self.passes if burst.summary)

    @property
    def median_ms(self) -> float:
        """Median latency."""
        return self.quantile_ms(0.5)

    @property
    def spread(self) -> float:
        """Interquartile range over the median: 0.1 is 10 %; over the upper quartile where the median is 0."""
        upper = self.quantile_ms(0.75)
        return (upper - self.quantile_ms(0.25)) / (self.median_ms or upper or 1.0)

    @property
    def dropped(self) -> int:
        """Runs left out because the thread was preempted."""
        return sum(burst.dropped for burst in self.passes)


def gather(model: ModelFile, passes: Sequence[Pass]) -> Measurement:
    """Join the passes of one model into its measurement."""
    return Measurement(model.name, model.sha256, len(model.content), tuple(passes))
