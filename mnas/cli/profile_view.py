"""What `mnas profile` shows people: one measurement in full, several as a table. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import floor, log10
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.panel import Panel
from rich.table import Table

from devices.measurement import Measurement, OperatorTime
from devices.sustained import plateau
from devices.warnings import warnings
from mnas.cli.output import print_rich, print_table
from mnas.cli.text import escape
from mnas.reports.profile_json import energy_mj, operator_times, peak_memory_bytes

if TYPE_CHECKING:
    from latency_tables.tflite import Description, TensorInfo


#: characters of an operator's name that a table has room for
NAME_SHOWN = 60


def show(measurement: Measurement, description: Description) -> None:
    """One measurement in full, with its operators if they were asked for."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _rows(measurement, description):
        grid.add_row(name, text)
    print_rich(Panel(grid, title=escape(measurement.model), title_align="left", expand=False))
    operators = operator_times(measurement)
    if operators is not None:
        _show_operators(operators, measurement.median_ms)


def show_several(measured: Iterable[tuple[str, Measurement]]) -> None:
    """Measurements as a table, the device's name beside each."""
    print_table(
        "Latency, median over all passes",
        ("model", "device", "ms", "quartiles", "p95", "runs", "doubts"),
        (
            (
                one.model,
                device,
                figure(one.median_ms),
                f"{figure(one.quantile_ms(0.25))} to {figure(one.quantile_ms(0.75))}",
                figure(one.quantile_ms(0.95)),
                one.runs,
                ", ".join(doubt.code for doubt in warnings(one)) or "-",
            )
            for device, one in measured
        ),
        texts=2,
    )


def show_failures(failed: Sequence[Mapping[str, Any]]) -> None:
    """Models that could not be measured, each with the kind of failure and what happened."""
    if failed:
        print_table(
            "Not measured",
            ("model", "device", "code", "what happened"),
            (
                (each["model"] or "all others", each["device"], each["code"], each["message"])
                for each in failed
            ),
            texts=4,
        )


def show_plateau(measured: Iterable[tuple[str, Measurement]]) -> None:
    """How latency went while each device was kept busy: a block for each pass, and where it ended."""
    for device, one in measured:
        found = plateau(one.passes)
        medians = [median(burst.distribution_ms) for burst in one.passes]
        settled = (
            f"settled after {found.begins_s:.0f} s at [bold]{figure(found.latency_ms)} ms[/]"
            if found.reached
            else f"did not settle; its last quarter took [bold]{figure(found.latency_ms)} ms[/]"
        )
        heat = "" if found.temperature_c is None else f", {found.temperature_c:.1f} °C at the end"
        print_rich(
            f"{escape(one.model)} on {escape(device)}, busy for {found.lasted_s:.0f} s: {settled}, "
            f"{found.slowdown:+.1%} against the first pass ({figure(found.first_ms)} ms){heat}"
        )
        print_rich(f"{_blocks(medians)}  {figure(min(medians))} to {figure(max(medians))} ms")


def _blocks(values: Sequence[float], columns: int = 60) -> str:
    """A line of blocks, low to high, of at most so many columns; each is the largest of its share."""
    width = -(-len(values) // columns)
    highs = [max(values[at : at + width]) for at in range(0, len(values), width)]
    low, high = min(highs), max(highs)
    return "".join("▁▂▃▄▅▆▇█"[int(7 * (value - low) / (high - low)) if high > low else 0] for value in highs)


def figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = 2 - floor(log10(value)) if value > 0 else 0
    return f"{value:.{min(max(digits, 0), 6)}f}"


def _rows(measurement: Measurement, description: Description) -> list[tuple[str, str]]:
    context = measurement.context
    peak = peak_memory_bytes(measurement)
    energy = energy_mj(measurement)
    taken = context.delegated_operators
    cores = context.settings.cpus
    rows = [
        (
            "latency",
            f"[bold]{figure(measurement.median_ms)} ms[/] (median; quartiles "
            f"{figure(measurement.quantile_ms(0.25))} and {figure(measurement.quantile_ms(0.75))}, "
            f"p95 {figure(measurement.quantile_ms(0.95))})",
        ),
        (
            "samples",
            f"{measurement.runs} in {len(measurement.passes)} passes, spread "
            f"{measurement.spread:.1%}, {measurement.dropped} more dropped (preempted)",
        ),
        ("first inference", _ms(measurement.passes[0].first_inference_ms)),
        ("initialisation", _ms(measurement.passes[0].initialisation_ms)),
        ("peak memory", "unknown" if peak is None else f"{figure(peak / 2**20)} MiB"),
        *(
            []
            if energy is None
            else [("energy", f"{figure(energy)} mJ an inference, the board's idle power included")]
        ),
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
            + ("" if taken is None else f" ({taken} of {_count(context.total_operators)} operators)"),
        ),
        (
            "on",
            escape(f"{context.facts.address}: {context.facts.cpu_model}; threads {context.settings.threads}")
            + ("" if cores is None else f", cores {','.join(map(str, cores))}"),
        ),
    ]
    if context.conditions:
        rows.append(("conditions", escape("; ".join(context.conditions))))
    before, after = context.temperature_before_c, measurement.passes[-1].context.temperature_after_c
    if before is not None:
        rows.append(("temperature", f"{before:.1f} °C" + ("" if after is None else f", then {after:.1f} °C")))
    return rows


def _show_operators(operators: Sequence[OperatorTime], latency_ms: float) -> None:
    total_ms = sum(row.mean_ms for row in operators)
    share = f", {total_ms / latency_ms:.1%} of the latency" if latency_ms else ""
    named = any(row.name for row in operators)
    print_table(
        f"Operators by time: {figure(total_ms)} ms in all{share}",
        ("operator", *(["name"] if named else []), "position", "ms", "share"),
        (
            (
                row.label if row.delegated else f"{row.label} (not delegated)",
                *([_end(row.name or "-")] if named else []),
                row.index,
                f"{row.mean_ms:.3f}",
                f"{row.mean_ms / total_ms:.1%}" if total_ms else "-",
            )
            for row in sorted(operators, key=lambda row: -row.mean_ms)
        ),
        texts=2 if named else 1,
    )


def _end(name: str) -> str:
    """A name's end, which tells it from its neighbours'."""
    return name if len(name) <= NAME_SHOWN else f"...{name[3 - NAME_SHOWN :]}"


def _print_tensor(tensor: TensorInfo) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    return f"{shape} {tensor.dtype}" + (" (dynamic sizes as 1)" if tensor.dynamic else "")


def _count(value: int | None) -> str:
    return "an unknown number of" if value is None else str(value)


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{figure(value)} ms"
