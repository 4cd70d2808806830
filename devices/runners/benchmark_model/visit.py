"""One model in one pass: the commands that measure it, and what their consoles say. Starts no shell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from devices.errors import DeadlineExceeded, DevicesError, DeviceTrouble, ProfilerUnavailable
from devices.measurement import Context, DeviceFacts, ModelFile, OperatorTime, Pass, Settings
from devices.plan import Plan
from devices.runners.benchmark_model.command import Offers, command
from devices.runners.benchmark_model.console import parse
from devices.runners.benchmark_model.delegates import fallback, share
from devices.runners.benchmark_model.failures import failure
from devices.runners.benchmark_model.program import NAME
from devices.runners.benchmark_model.result_file import completed, read
from devices.runners.benchmark_model.values import Result
from devices.runners.program_loop import CoreState, Ended, ProgramLoop

#: what starting the program and handing out its output may take beyond the plan's deadline
GRACE_S = 2.0
#: runs of the reference model next to a burst
REFERENCE_WARMUP_RUNS, REFERENCE_RUNS = 2, 8


@dataclass(frozen=True, slots=True)
class Program:
    """A `benchmark_model` on a device and how it is to run models.

    Attributes:
        path: where it lies there.
        offers: what it can.
        libraries: paths there of the files that the delegate needs.
        cpus: the cores it is pinned to; None where it is not.
    """

    path: str
    settings: Settings
    offers: Offers
    libraries: tuple[str, ...] = ()
    cpus: tuple[int, ...] | None = None

    def command(self, model_path: str, plan: Plan, result_path: str | None = None) -> list[str]:
        """The command that measures a model (see `command`)."""
        return command(
            self.path,
            model_path,
            self.settings,
            plan,
            self.offers,
            result_path=result_path,
            libraries=self.libraries,
        )


@dataclass(slots=True)
class Visit:
    """One model in one pass.

    Attributes:
        number: of the model in its batch.
        sent: whether the shell on the device has its commands.
    """

    program: Program
    model: ModelFile
    model_path: str
    reference_path: str | None
    number: int
    index: int
    plan: Plan
    sent: bool = False

    def send(self, loop: ProgramLoop) -> None:
        """Give the shell what there is to run for it, once."""
        if not self.sent:
            for path, plan in self._runs():
                loop.send(self.program.command(path, plan, loop.result_path))
            self.sent = True

    def wait(self, loop: ProgramLoop) -> list[Ended]:
        """How its programs ended: of the reference, of the burst, of the profile, as far as there are.

        Raises:
            DeadlineExceeded: they did not within the plan's deadline.
            DevicesError: the shell did not go on.
        """
        begin = time.monotonic()
        deadline = begin + self.plan.deadline_s + GRACE_S
        try:
            return [loop.wait(deadline - time.monotonic()) for _ in self._runs()]
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"{NAME} did not end, and was stopped after {time.monotonic() - begin:.1f} s"
            ) from error

    def outcome(self, ended: Sequence[Ended], facts: DeviceFacts, libraries: tuple[str, ...]) -> Pass:
        """The pass, out of the consoles of its programs.

        Args:
            ended: as `wait` gives them.
            facts: of the device.
            libraries: as `Context.libraries` has them.

        Raises:
            DevicesError: a run failed, was not one of the delegate asked for, or cannot be understood.
        """
        rest = list(ended)
        reference_ms = None
        if self.reference_path is not None:
            try:
                reference_ms = self._result(rest.pop(0)).summary().quantile_ms(0.25)
            except DevicesError as error:
                raise type(error)(f"the reference model next to it: {error}") from error
        burst = rest.pop(0)
        result = self._result(burst)
        operators = operator_times(self._result(rest.pop(0))) if self.plan.per_operator else None
        settings = self.program.settings
        taken, nodes = share(result, settings) or (None, None)
        return Pass(
            model=self.model.name,
            sha256=self.model.sha256,
            index=self.index,
            samples_ms=(),
            dropped=0,
            reference_ms=reference_ms,
            first_inference_ms=result.first_inference_ms,
            initialisation_ms=result.init_ms,
            peak_memory_bytes=result.overall_memory_bytes,
            operators=operators,
            context=Context(
                facts=facts,
                settings=replace(settings, cpus=self.program.cpus),
                started_at=datetime.fromtimestamp(burst.began_s, UTC).isoformat(timespec="milliseconds"),
                delegate=settings.delegate,
                delegated_operators=taken,
                total_operators=nodes,
                throttled=throttled(burst.cores),
                governor=", ".join(sorted({core.governor for core in burst.cores if core.governor})) or None,
                frequency_khz=max((core.current_khz or 0 for core in burst.cores), default=0) or None,
                libraries=libraries,
            ),
            summary=result.summary(),
        )

    def _runs(self) -> list[tuple[str, Plan]]:
        """The models to run and how: reference, burst, profile."""
        plain = replace(self.plan, per_operator=False)
        runs = [(self.model_path, plain)]
        if self.reference_path is not None:
            short = replace(plain, warmup_runs=REFERENCE_WARMUP_RUNS, min_runs=REFERENCE_RUNS, min_time_s=0.0)
            runs.insert(0, (self.reference_path, short))
        if self.plan.per_operator:
            runs.append((self.model_path, replace(self.plan, per_operator=True)))
        return runs

    def _result(self, ended: Ended) -> Result:
        if ended.exit_code:
            raise failure(ended.exit_code, ended.console, "")
        try:
            result = parse(ended.console)
        except DeviceTrouble as error:
            raise failure(ended.exit_code, ended.console, "") from error
        if ended.result is not None:
            result = completed(result, read(ended.result))
        if (fell_back := fallback(result, self.program.settings)) is not None:
            raise fell_back
        return result


def operator_times(result: Result) -> tuple[OperatorTime, ...]:
    """The operators of a run, as `devices.measurement` keeps them.

    Raises:
        ProfilerUnavailable: there are none.
    """
    if not result.operators:
        raise ProfilerUnavailable("benchmark_model printed no operators, though it was asked to")
    return tuple(
        OperatorTime(
            i,
            one.kind,
            one.delegated,
            one.total_ms,
            kind=one.kind,
            name=one.name,
            times_called=one.times_called,
            total_ms=one.total_ms,
        )
        for i, one in enumerate(result.operators)
    )


def throttled(cores: Sequence[CoreState]) -> bool | None:
    """Whether heat or policy held a core below its highest frequency; None if unknown."""
    known = [
        core.limit_khz < core.highest_khz
        for core in cores
        if core.limit_khz is not None and core.highest_khz is not None
    ]
    return any(known) if known else None
