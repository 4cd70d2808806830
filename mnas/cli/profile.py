"""`mnas profile`: what one model file costs on one device, for people and as JSON. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from math import floor, inf, log10
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from devices import errors as device_errors
from devices.errors import DevicesError, DeviceTrouble
from devices.measurement import Failure, Measurement, ModelFile, OperatorTime, Pass, Settings, gather
from devices.plan import Plan
from devices.warnings import Warning, warnings
from mnas.cli.options import Json, Quiet
from mnas.cli.output import Display, print_json, print_rich, print_table, warn
from mnas.errors import BadInput
from mnas.reports.measurement_json import latency_json

if TYPE_CHECKING:
    from latency_tables.tflite import Description, TensorInfo


def register(app: typer.Typer) -> None:
    """Add `mnas profile`."""
    app.command("profile")(profile)


def profile(
    model: Annotated[Path, typer.Argument(help="The .tflite file.")],
    *,
    device: Annotated[str, typer.Option("--device", "-d", help="Where to measure.")] = "local",
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    cpus: Annotated[
        str | None, typer.Option(help="Cores to run on, such as 1 or 0,1; the device chooses if not given.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Least number of runs in each pass.")] = 30,
    min_time: Annotated[float, typer.Option(help="Least duration of each pass, in seconds.")] = 0.5,
    passes: Annotated[int, typer.Option(help="Bursts of runs, each warmed up.")] = 3,
    deadline: Annotated[float, typer.Option(help="Longest time a pass may take, in seconds.")] = 60.0,
    per_op: Annotated[bool, typer.Option("--per-op", help="Also the time of each operator.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure one model: latency, memory, and with --per-op the time of each operator.

    Example: mnas profile model.tflite --threads 1 --cpus 1 --per-op
    """
    from devices.registry import open_device
    from latency_tables.errors import BadModel
    from latency_tables.tflite import describe

    settings = Settings(threads=threads, cpus=_cores(cpus))
    if not 0 <= min_time < deadline < inf:
        raise BadInput(
            f"--min-time {min_time:g}, --deadline {deadline:g}: the first must be less, in seconds"
        )
    plan = Plan(passes=passes, min_runs=runs, min_time_s=min_time, per_operator=per_op, deadline_s=deadline)
    file = ModelFile.from_path(model)
    try:
        description = describe(file.content)
    except BadModel as error:
        raise BadModel(f"{model}: {error}") from error
    measured: list[Pass] = []
    with closing(open_device(device, settings)) as opened, Display(quiet) as display:
        display.report(f"measuring {file.name}", 0, passes)
        for outcome in opened.stream([file], plan):
            measured.append(_or_raise(outcome))
            display.report(f"measuring {file.name}", len(measured), passes)
    measurement = gather(file, measured)
    doubts = warnings(measurement)
    if as_json:
        print_json(document(measurement, description, doubts))
    else:
        _show(measurement, description)
    for doubt in () if quiet else doubts:
        warn(doubt.message)


def operator_times(measurement: Measurement) -> tuple[OperatorTime, ...] | None:
    """Operators in execution order, each with the median of its passes' mean times; None where not asked for.

    Raises:
        DeviceTrouble: passes that executed different operators.
    """
    lists = [one.operators for one in measurement.passes if one.operators]
    if not lists:
        return None
    if len({tuple(row.label for row in rows) for rows in lists}) > 1:
        raise DeviceTrouble(f"{measurement.model} executed different operators in different passes")
    return tuple(
        OperatorTime(rows[0].index, rows[0].label, rows[0].delegated, median(row.mean_ms for row in rows))
        for rows in zip(*lists, strict=True)
    )


def document(
    measurement: Measurement, description: Description, doubts: Sequence[Warning] = ()
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas profile`."""
    operators = operator_times(measurement)
    total_ms = None if operators is None else sum(row.mean_ms for row in operators)
    return {
        "model": measurement.model,
        "sha256": measurement.sha256,
        "file_bytes": measurement.model_bytes,
        "inputs": [asdict(tensor) for tensor in description.inputs],
        "outputs": [asdict(tensor) for tensor in description.outputs],
        "operators": description.operators,
        "subgraphs": description.subgraphs,
        "parameters": description.parameters,
        "macs": description.macs,
        "macs_unknown": description.macs_unknown,
        **latency_json(measurement),
        "samples_ms": list(measurement.samples_ms),
        "peak_memory_bytes": _peak(measurement),
        "per_operator": operators and [_row(row, total_ms or 0.0) for row in operators],
        "per_operator_sum_ms": total_ms,
        "per_operator_explained_percent": total_ms and 100 * total_ms / measurement.median_ms,
        "warnings": [asdict(doubt) for doubt in doubts],
    }


def _cores(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise BadInput(
            f"--cpus {text!r}: give core numbers from 0, separated by commas, such as 0,1"
        ) from None


def _or_raise(outcome: Pass | Failure) -> Pass:
    if isinstance(outcome, Pass):
        return outcome
    kind = getattr(device_errors, outcome.error, DeviceTrouble)
    known = isinstance(kind, type) and issubclass(kind, DevicesError)
    raise (kind if known else DeviceTrouble)(" ".join(outcome.message.split()))  # runtimes speak in lines


def _peak(measurement: Measurement) -> int | None:
    return max((one.peak_memory_bytes for one in measurement.passes if one.peak_memory_bytes), default=None)


def _row(row: OperatorTime, total_ms: float) -> dict[str, Any]:
    return {**asdict(row), "share_percent": 100 * row.mean_ms / total_ms if total_ms else None}


def _show(measurement: Measurement, description: Description) -> None:
    context = measurement.context
    peak = _peak(measurement)
    taken = context.delegated_operators
    cores = context.settings.cpus
    rows = [
        (
            "latency",
            f"[bold]{_figure(measurement.median_ms)} ms[/] (median; quartiles "
            f"{_figure(measurement.quantile_ms(0.25))} and {_figure(measurement.quantile_ms(0.75))}, "
            f"p95 {_figure(measurement.quantile_ms(0.95))})",
        ),
        (
            "samples",
            f"{len(measurement.samples_ms)} in {len(measurement.passes)} passes, spread "
            f"{measurement.spread:.1%}, {measurement.dropped} more dropped (preempted)",
        ),
        ("first inference", _ms(measurement.passes[0].first_inference_ms)),
        ("initialisation", _ms(measurement.passes[0].initialisation_ms)),
        ("peak memory", "unknown" if peak is None else f"{_figure(peak / 2**20)} MiB"),
        ("file size", f"{measurement.model_bytes:,} bytes"),
        (
            "MACs",
            escape(f"unknown: {description.macs_unknown}")
            if description.macs is None
            else f"{description.macs:,}",
        ),
        ("parameters", f"{description.parameters:,}"),
        ("inputs", escape("; ".join(_print_tensor(tensor) for tensor in description.inputs) or "none")),
        (
            "run by",
            escape(f"{context.facts.runtime} {context.facts.runtime_version}, {context.delegate}")
            + ("" if taken is None else f" ({taken} of {context.total_operators} operators)"),
        ),
        (
            "on",
            escape(f"{context.facts.address}: {context.facts.cpu_model}; threads {context.settings.threads}")
            + ("" if cores is None else f", cores {','.join(map(str, cores))}"),
        ),
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    print_rich(Panel(grid, title=escape(measurement.model), title_align="left", expand=False))
    operators = operator_times(measurement)
    if operators is not None:
        _show_operators(operators, measurement.median_ms)


def _show_operators(operators: Sequence[OperatorTime], latency_ms: float) -> None:
    total_ms = sum(row.mean_ms for row in operators)
    print_table(
        f"Operators by time: {_figure(total_ms)} ms in all, {total_ms / latency_ms:.1%} of the latency",
        ("operator", "position", "ms", "share"),
        (
            (
                row.label if row.delegated else f"{row.label} (not delegated)",
                row.index,
                f"{row.mean_ms:.3f}",
                f"{row.mean_ms / total_ms:.1%}" if total_ms else "-",
            )
            for row in sorted(operators, key=lambda row: -row.mean_ms)
        ),
    )


def _print_tensor(tensor: TensorInfo) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    return f"{shape} {tensor.dtype}" + (" (dynamic sizes as 1)" if tensor.dynamic else "")


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{_figure(value)} ms"


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = 2 - floor(log10(value)) if value > 0 else 0
    return f"{value:.{min(max(digits, 0), 6)}f}"
