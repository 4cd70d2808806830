"""What one run of `benchmark_model` tells, as values. Does not know how it is printed."""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import DeviceTrouble, UnreadableOutput
from devices.measurement import Summary


@dataclass(frozen=True, slots=True)
class Statistics:
    """Latencies of the runs of one phase, warm-up or measured, as the tool sums them up. Absent is None.

    Attributes:
        first_ms: the first run of the phase.
    """

    mean_ms: float
    count: int | None = None
    first_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    p5_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the tool's table of operators, in execution order.

    Attributes:
        index: position in the table.
        kind: the type of node, for example `CONV_2D` or `Convolution (NHWC, QC8) IGEMM`.
        name: what the tool calls this one, for example its output tensor.
        mean_ms: of one call.
        times_called: in one run, rounded down: 0 is less than once a run.
        total_ms: of one run: mean of a call times the calls in a run.
        delegated: whether a delegate ran it.
    """

    index: int
    kind: str
    name: str
    mean_ms: float
    times_called: int
    total_ms: float
    delegated: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """How many nodes of a graph a delegate took.

    Attributes:
        delegate: its own name, for example `TfLiteGpuDelegateV2`.
        taken: nodes it took.
        nodes: of so many; None where the version does not tell.
        partitions: connected groups of nodes it took them in; None where not told.
    """

    delegate: str
    taken: int
    nodes: int | None = None
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What the tool says of a delegate that it applied by request.

    Attributes:
        delegate: the tool's name for it: `GPU`, `NNAPI`, `XNNPACK`, `EXTERNAL`, ...
        how: `completely`, `partially` or `not` executed by it.
        kernels: partitions the delegate runs; None where not told.
    """

    delegate: str
    how: str
    kernels: int | None = None


@dataclass(frozen=True, slots=True)
class Delegates:
    """Every word of a console on who runs the nodes.

    Attributes:
        gpu_kernels: partitions the GPU delegate made kernels for; None where it says nothing.
        gpu_backend: `OpenCL` or `OpenGL`; None where it says nothing.
        accelerators: what NNAPI offers; None where not told.
        xnnpack_created: the runtime made an XNNPACK delegate, by request or by default.
        refused: lines in which a delegate says that it cannot be had.
        unconsumed: flags that the tool did not know and passed over.
    """

    taken: tuple[Taken, ...] = ()
    applied: tuple[Applied, ...] = ()
    gpu_kernels: int | None = None
    gpu_backend: str | None = None
    accelerators: tuple[str, ...] | None = None
    xnnpack_created: bool = False
    refused: tuple[str, ...] = ()
    unconsumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the tool that came to its end. What the version at hand does not print is None or empty.

    Attributes:
        inference: over the measured runs.
        warmup: over the runs before them.
        model: the path it was given.
        init_ms: time to load the model and prepare it.
        first_inference_ms: the first run after that, the first of the warm-up.
        init_memory_bytes: what loading added to the process' memory.
        overall_memory_bytes: what loading and all runs added.
        peak_memory_bytes: the process' memory at its peak.
        operators: per operator, where profiling was asked for.
        initialisation_operators: the same for loading.
    """

    inference: Statistics
    warmup: Statistics | None = None
    model: str | None = None
    init_ms: float | None = None
    first_inference_ms: float | None = None
    init_memory_bytes: int | None = None
    overall_memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    operators: tuple[Operator, ...] = ()
    initialisation_operators: tuple[Operator, ...] = ()
    delegates: Delegates = Delegates()

    def summary(self) -> Summary:
        """The measured runs as `devices.measurement` keeps them.

        Raises:
            UnreadableOutput: it does not say how many runs there were, or between what latencies.
            DeviceTrouble: a run takes less than the microsecond that the tool counts in.
        """
        found = self.inference
        if found.count is None or found.min_ms is None or found.max_ms is None:
            raise UnreadableOutput(
                f"benchmark_model says that a run takes {found.mean_ms:g} ms, but not how many runs there "
                "were and between what latencies: use a version that prints them"
            )
        middle_ms = found.mean_ms if found.median_ms is None else found.median_ms
        if middle_ms == 0:
            raise DeviceTrouble(
                "a run takes less than a microsecond, and benchmark_model counts whole microseconds (1 us): "
                "measure a larger model, or this one with the runner litert"
            )
        return Summary(
            count=found.count,
            mean_ms=found.mean_ms,
            min_ms=found.min_ms,
            max_ms=found.max_ms,
            std_ms=found.std_ms,
            median_ms=found.median_ms,
            p5_ms=found.p5_ms,
            p95_ms=found.p95_ms,
            warmup_mean_ms=self.warmup.mean_ms if self.warmup else None,
            initialisation_memory_bytes=self.init_memory_bytes,
        )
