"""What Google's `benchmark_model` prints, for given figures, in two of its ages. Measures nothing.

The formats are those of consoles that people have published, "2.x" as LiteRT's in 2025, "2019" as TensorFlow
Lite's in that year.
"""

from __future__ import annotations

import statistics
import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stat:
    """Some runs, each in whole microseconds."""

    runs_us: tuple[int, ...]

    @property
    def average(self) -> float:
        """Their mean."""
        return statistics.fmean(self.runs_us) if self.runs_us else 0.0

    @property
    def deviation(self) -> float:
        """Their standard deviation."""
        return statistics.pstdev(self.runs_us) if self.runs_us else 0.0

    def percentile(self, percent: int) -> int:
        """As the tool takes it: the element at that position, nothing between two."""
        ordered = sorted(self.runs_us)
        return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))] if ordered else 0


@dataclass(frozen=True, slots=True)
class Node:
    """An operator that ran: its kind, name, milliseconds of the first call and on average, calls in a run."""

    kind: str
    name: str
    first_ms: float
    average_ms: float
    called: int = 1

    @property
    def total_ms(self) -> float:
        """Of all calls in a run."""
        return self.average_ms * self.called


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything a run comes to."""

    init_us: int
    warmup: Stat
    regular: Stat
    model_bytes: int
    init_kb: int
    overall_kb: int
    peak_mb: float | None = None


def number(value: float) -> str:
    """As a C++ stream prints it."""
    return f"{value:g}"


def stat(runs: Stat, console: str) -> str:
    """The line `count=...`."""
    if not runs.runs_us:
        return "count=0"
    tail = ""
    if console == "2.x":
        p5, median, p95 = (runs.percentile(percent) for percent in (5, 50, 95))
        tail = f" p5={p5} median={median} p95={p95}"
    last = runs.runs_us[-1]
    if min(runs.runs_us) == max(runs.runs_us):
        same = "(all same)" if len(runs.runs_us) > 1 else ""
        return f"count={len(runs.runs_us)} curr={last}{same}{tail}"
    return (
        f"count={len(runs.runs_us)} first={runs.runs_us[0]} curr={last} min={min(runs.runs_us)} "
        f"max={max(runs.runs_us)} avg={number(runs.average)} std={int(runs.deviation)}{tail}"
    )


def running(runs: int, least_s: float, most_s: float, console: str) -> str:
    """The line that says how long it will run."""
    line = f"Running benchmark for at least {runs} iterations and at least {number(least_s)} seconds"
    return line if console == "2019" else f"{line} but terminate if exceeding {number(most_s)} seconds."


def end(figures: Figures, console: str) -> list[str]:
    """The lines with the result."""
    first = figures.warmup.runs_us[0] if figures.warmup.runs_us else 0
    warmup, regular = number(figures.warmup.average), number(figures.regular.average)
    if console == "2019":
        return [
            f"Average inference timings in us: Warmup: {warmup}, Init: {figures.init_us}, no stats: {regular}"
        ]
    lines = [
        f"Inference timings in us: Init: {figures.init_us}, First inference: {first}, "
        f"Warmup (avg): {warmup}, Inference (avg): {regular}",
        "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to "
        "the actual memory footprint of the model at runtime. Take the information at your discretion.",
        "Memory footprint delta from the start of the tool (MB): "
        f"init={number(figures.init_kb / 1024)} overall={number(figures.overall_kb / 1024)}",
    ]
    if figures.peak_mb is not None:
        lines.append(f"Overall peak memory footprint (MB) via periodic monitoring: {number(figures.peak_mb)}")
    return lines


def profile(nodes: Sequence[Node], runs: Stat, console: str) -> str:
    """The tables of operators of one phase of the benchmark."""
    total = sum(node.total_ms for node in nodes) or 1.0
    ordered = sorted(nodes, key=lambda node: -node.total_ms)[:10]
    return "\n".join(
        [
            *_table("Run Order", nodes, total, console),
            "",
            *_table("Top by Computation Time", ordered, total, console),
            "",
            f"Number of nodes executed: {len(nodes)}",
            *_by_kind(nodes, total, console),
            "",
            f"Timings (microseconds): {stat(runs, '2019')}",
            "Memory (bytes): count=0",
            f"{len(nodes)} nodes observed",
            "\n",
        ]
    )


def _title(text: str) -> str:
    return f"{'=' * 30} {text} {'=' * 30}"


def _widths(console: str) -> tuple[int, bool]:
    """Width of the first column, and whether there is one for the start."""
    return (24, True) if console == "2019" else (40, False)


def _table(title: str, nodes: Sequence[Node], total: float, console: str) -> list[str]:
    width, starts = _widths(console)
    head = f"\t{'[node type]':>{width}}" + ("\t  [start]" if starts else "")
    lines = [
        _title(title),
        f"{head}\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]",
    ]
    begun = seen = 0.0
    for node in nodes:
        share = 100 * node.total_ms / total
        seen += share
        start = f"\t{begun:9.3f}" if starts else ""
        lines.append(
            f"\t{node.kind:>{width}}{start}\t{node.first_ms:9.3f}\t{node.average_ms:9.3f}\t{share:7.3f}%\t"
            f"{seen:7.3f}%\t{0:10.3f}\t{node.called:9d}\t{node.name}"
        )
        begun += node.total_ms
    return lines


def _by_kind(nodes: Sequence[Node], total: float, console: str) -> list[str]:
    width, _ = _widths(console)
    times: dict[str, list[float]] = {}
    called: dict[str, int] = {}
    for node in nodes:
        times.setdefault(node.kind, []).append(node.total_ms)
        called[node.kind] = called.get(node.kind, 0) + node.called
    lines = [
        _title("Summary by node type"),
        f"\t{'[Node type]':>{width}}\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]"
        "\t[times called]",
    ]
    seen = 0.0
    for kind, each in sorted(times.items(), key=lambda item: -sum(item[1])):
        share = 100 * sum(each) / total
        seen += share
        lines.append(
            f"\t{kind:>{width}}\t{len(each):9d}\t{sum(each):10.3f}\t{share:10.3f}%\t{seen:10.3f}%\t"
            f"{0:10.3f}\t{called[kind]:9d}"
        )
    return lines


def result_file(figures: Figures) -> bytes:
    """The file that `--result_file_path` asks for: a serialised `tflite.tools.benchmark.BenchmarkResult`."""
    regular, first = figures.regular, figures.warmup.runs_us[0] if figures.warmup.runs_us else 0
    runs = regular.runs_us or (0,)
    figures_us = (
        regular.average,
        min(runs),
        max(runs),
        regular.deviation,
        regular.percentile(50),
        regular.percentile(5),
        regular.percentile(95),
        figures.init_us,
        first,
        figures.warmup.average,
    )
    latency = b"".join(_float(field, value / 1000) for field, value in enumerate(figures_us, 1))
    memory = _varint_field(1, figures.init_kb) + _varint_field(2, figures.overall_kb)
    if figures.peak_mb is not None:
        memory += _float(3, figures.peak_mb)
    size_mb = figures.model_bytes / 1e6
    other = (
        _float(1, size_mb)
        + _varint_field(2, len(regular.runs_us))
        + _varint_field(3, len(figures.warmup.runs_us))
        + _float(4, size_mb / (regular.average / 1e6 or 1.0))
    )
    return b"".join(_bytes(field, each) for field, each in ((1, b""), (2, latency), (3, memory), (4, other)))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _varint_field(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
