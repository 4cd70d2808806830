"""`mnas profile`: what models cost on devices, for people and as JSON. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devices.errors import DevicesError, DeviceTrouble, by_name
from devices.measurement import Failure, Measurement, ModelFile
from devices.plan import Plan
from devices.state import file_name
from devices.sustained import FEWEST_PASSES, plateau
from devices.warnings import warnings
from mnas.cli.app import Exit
from mnas.cli.options import Bench, Json, Quiet, Wait
from mnas.cli.output import Display, keeping, print_json, warn
from mnas.cli.profile_view import show, show_failures, show_plateau, show_several
from mnas.errors import BadInput
from mnas.journal import Journal, Memory
from mnas.measuring import Lane, LaneResult, Progress, measure
from mnas.reports.profile_json import failure_json, profile_json

if TYPE_CHECKING:
    from latency_tables.tflite import Description

#: length of a pass while a device is kept busy for minutes
SUSTAINED_PASS_S = 5.0


def register(app: typer.Typer) -> None:
    """Add `mnas profile`."""
    app.command("profile")(profile)


def profile(
    models: Annotated[list[Path], typer.Argument(help="The .tflite files.")],
    *,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device", "-d", help="Where to measure: a name of bench.toml or an address. May be repeated."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime; the device's own number if not given, or 1.")
    ] = None,
    cpus: Annotated[
        str | None, typer.Option(help="Cores to run on, such as 4-7 or 0,1 or 0xf0; else its fastest.")
    ] = None,
    delegate: Annotated[
        str | None,
        typer.Option(help="xnnpack (default), cpu, gpu, gpu-opencl, gpu-opengl, nnapi, npu, external:FILE."),
    ] = None,
    delegate_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY:VALUE", help="What an external delegate is told. May be repeated."),
    ] = None,
    runs: Annotated[int, typer.Option(help="Least number of runs in each pass.")] = 30,
    min_time: Annotated[float, typer.Option(help="Least duration of each pass, in seconds.")] = 0.5,
    passes: Annotated[int, typer.Option(help="Bursts of runs, each warmed up.")] = 3,
    deadline: Annotated[float, typer.Option(help="Longest time a pass may take, in seconds.")] = 60.0,
    per_op: Annotated[bool, typer.Option("--per-op", help="Also the time of each operator.")] = False,
    sustained: Annotated[
        float | None,
        typer.Option(help="Keep each device busy for so many seconds, and report the plateau it ends on."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder that keeps every result; the same command goes on there."
        ),
    ] = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure models: latency, memory, and with --per-op the time of each operator.

    Example: mnas profile model.tflite -d pixel -d pi5 --per-op
    """
    from devices.registry import open_device, settings_for

    if not 0 <= min_time < deadline < inf:
        raise BadInput(
            f"--min-time {min_time:g}, --deadline {deadline:g}: the first must be less, in seconds"
        )
    plan = Plan(passes=passes, min_runs=runs, min_time_s=min_time, per_operator=per_op, deadline_s=deadline)
    if sustained is not None:
        plan = _sustained(sustained, plan, len(models))
    names = _once(device or ["local"])
    cores = _cores(cpus)
    told = tuple(delegate_option) if delegate_option else None
    settings = {
        name: settings_for(name, bench, threads, cores, delegate, delegate_options=told) for name in names
    }
    files = [ModelFile.from_path(path) for path in models]
    descriptions = _descriptions(models, files)
    with Display(quiet) as display, ExitStack() as stack:

        def journal(name: str) -> Journal:
            if output is None:
                return Memory()
            path = output / f"{file_name(name)}.jsonl"
            return stack.enter_context(Journal.held(path, name, settings[name], plan))

        lanes = [
            Lane(
                name,
                lambda name=name: open_device(  # type: ignore[misc] # a lambda's default has no type
                    name, settings[name], bench=bench, wait_s=wait, on_event=None if quiet else warn
                ),
                journal(name),
            )
            for name in names
        ]
        title = files[0].name if len(files) == 1 else f"{len(files)} models"
        labels = {name: f"measuring {title}" + (f" on {name}" if len(names) > 1 else "") for name in names}

        def on_progress(progress: Progress) -> None:
            display.report(labels[progress.device], progress.done, progress.total, progress.note)

        if output is None:
            results = measure(lanes, files, plan, on_progress)
        else:
            with keeping("the same command goes on from there"):
                results = measure(lanes, files, plan, on_progress)
    shown = _Shown(descriptions, sustained is not None, as_json, quiet)
    if len(files) == len(names) == 1:
        shown.one(results[0])
    else:
        shown.several(results)


@dataclass(frozen=True, slots=True)
class _Shown:
    """How results are told: for people or as JSON, with warnings or without."""

    descriptions: dict[str, Description]
    sustained: bool
    as_json: bool
    quiet: bool

    def one(self, result: LaneResult) -> None:
        """A single measurement in full; what went wrong is the command's own error."""
        if result.trouble is not None:
            raise result.trouble
        for failure in result.failures:
            raise by_name(failure.error)(" ".join(failure.message.split()))  # runtimes speak in lines
        (measurement,) = result.measurements
        if self.as_json:
            print_json(self.document(measurement))
        else:
            show(measurement, self.descriptions[measurement.sha256])
            if self.sustained:
                show_plateau([(result.device, measurement)])
        for doubt in () if self.quiet else warnings(measurement):
            warn(doubt.message)

    def several(self, results: Sequence[LaneResult]) -> None:
        """Everything that was measured, then everything that was not; the exit code tells whether all was."""
        measured = [(result.device, one) for result in results for one in result.measurements]
        failed = [failure_json(result.device, failure) for result in results for failure in result.failures]
        failed += [
            _trouble(result.device, result.trouble) for result in results if result.trouble is not None
        ]
        if self.as_json:
            print_json({"measurements": [self.document(one) for _, one in measured], "failures": failed})
        else:
            if measured:
                show_several(measured)
            if self.sustained:
                show_plateau(measured)
            show_failures(failed)
        for name, one in () if self.quiet else measured:
            for doubt in warnings(one):
                warn(f"{one.model} on {name}: {doubt.message}")
        if any(isinstance(result.trouble, DeviceTrouble) for result in results):
            raise typer.Exit(Exit.DEVICE_TROUBLE)
        if any(result.trouble is not None for result in results):
            raise typer.Exit(Exit.BAD_INPUT)
        if failed:
            raise typer.Exit(Exit.FAILURES)

    def document(self, measurement: Measurement) -> dict[str, Any]:
        """One measurement as JSON."""
        found = plateau(measurement.passes) if self.sustained else None
        return profile_json(measurement, self.descriptions[measurement.sha256], warnings(measurement), found)


def _trouble(device: str, error: DevicesError) -> dict[str, Any]:
    """What ended a device's lane, as a failure of no model in particular."""
    failure = Failure("", "", type(error).__name__, " ".join(str(error).split()))
    return failure_json(device, failure) | {"model": None, "sha256": None}


def _descriptions(paths: Sequence[Path], files: Sequence[ModelFile]) -> dict[str, Description]:
    from latency_tables.errors import BadModel
    from latency_tables.tflite import describe

    found = {}
    for path, file in zip(paths, files, strict=True):
        try:
            found[file.sha256] = describe(file.content)
        except BadModel as error:
            raise BadModel(f"{path}: {error}") from error
    return found


def _sustained(seconds: float, plan: Plan, models: int) -> Plan:
    least = SUSTAINED_PASS_S * FEWEST_PASSES
    if models > 1:
        raise BadInput(f"--sustained keeps a device busy with one model; {models} were given")
    if not least <= seconds <= 86400:
        raise BadInput(
            f"--sustained {seconds:g}: give seconds between {least:g} and 86400; "
            "phones need minutes to get as hot as they will"
        )
    return Plan(
        passes=ceil(seconds / SUSTAINED_PASS_S),
        warmup_runs=0,
        min_runs=1,
        min_time_s=SUSTAINED_PASS_S,
        deadline_s=max(plan.deadline_s, 2 * SUSTAINED_PASS_S),
        sustained=True,
    )


def _once(names: Sequence[str]) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{', '.join(twice)} is given twice: name every device once")
    return list(names)


def _cores(text: str | None) -> tuple[int, ...] | None:
    from devices.inventory.entry import Unfit, read_cpus

    try:
        return None if text is None else read_cpus(text)
    except Unfit as error:
        raise BadInput(f"--cpus {text!r}: {error}") from error
