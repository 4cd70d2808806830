"""The runtime's own kernels, without XNNPACK, as a device: whole latencies, no profile. Judges nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from devices.errors import ProfilerUnavailable
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan


class ReferenceKernels:
    """This machine with TFLite's interpreter of one thread, which leaves all operators to its own kernels."""

    def __init__(self, facts: DeviceFacts, cpus: Sequence[int]) -> None:
        """As another device than that of `facts`, on the cores it is to use."""
        self.facts = replace(facts, address="reference-kernels")
        self.settings = Settings(threads=1, cpus=tuple(cpus), delegate="cpu")

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        """Measure each model once; raises ProfilerUnavailable where the plan asks for operators."""
        if plan.per_operator:
            raise ProfilerUnavailable(f"{self.facts.address}: the interpreter has no profiler for Python")
        usual = os.sched_getaffinity(0)
        for model in models:
            os.sched_setaffinity(0, self.settings.cpus or usual)
            try:
                yield self._measure(model, plan)
            finally:
                os.sched_setaffinity(0, usual)

    def _measure(self, model: ModelFile, plan: Plan) -> Pass:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        begin = time.perf_counter()
        interpreter = Interpreter(
            model_content=model.content,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        rng = np.random.default_rng(plan.seed)
        for each in interpreter.get_input_details():
            values = rng.random(each["shape"]) * (100 if each["dtype"] is np.int8 else 1)
            interpreter.set_tensor(each["index"], values.astype(each["dtype"]))
        loaded = time.perf_counter()
        runs: list[float] = []
        while len(runs) < 1 + plan.warmup_runs + plan.min_runs or (
            sum(runs[1 + plan.warmup_runs :]) < 1e3 * plan.min_time_s
        ):
            start = time.perf_counter()
            interpreter.invoke()
            runs.append(1e3 * (time.perf_counter() - start))
        return Pass(
            model=model.name,
            sha256=model.sha256,
            index=0,
            samples_ms=tuple(runs[1 + plan.warmup_runs :]),
            dropped=0,
            reference_ms=None,
            first_inference_ms=runs[0],
            initialisation_ms=1e3 * (loaded - begin),
            peak_memory_bytes=None,
            operators=None,
            context=Context(self.facts, self.settings, started, "cpu"),
        )

    def close(self) -> None:
        """Nothing is kept."""
