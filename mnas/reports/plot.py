"""Draws the Pareto plot from plain values as PNG and SVG. Knows no run directory and computes no figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.reports.comparison import Bar
from mnas.reports.style import BLACK, BLUE, GREEN, GREY, ORANGE, STYLE, SUBTLE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

DTYPE_COLOURS = {"float32": BLUE, "int8": VERMILION}
FINALIST = "finalist"
#: left, low, right, high in pixels
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Dot:
    """A trained candidate of the search: predicted latency, accuracy on the validation split."""

    latency_ms: float
    accuracy: float
    on_front: bool
    knee: bool = False
    best: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A measured network: latency with quartiles, accuracy with the range over seeds.

    Attributes:
        label: a few characters: a finalist's trial number, a baseline's width.
    """

    label: str
    role: str
    dtype: str
    latency_ms: Bar
    accuracy: Bar
    knee: bool = False
    best: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn.

    Attributes:
        subtitle: one or two lines.
        target_ms: the search's target latency; None draws no line.
        searched: what the search's latency is, for example `float32, predicted`.
        baselines: what the baselines are, and what labels them.
    """

    title: str
    subtitle: str
    dots: tuple[Dot, ...]
    marks: tuple[Mark, ...]
    target_ms: float | None
    searched: str
    baselines: str = "MobileNetV2"


def draw(chart: Chart, paths: Iterable[Path]) -> None:
    """Write the plot to every path; the suffix (`.png`, `.svg`) names the format."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        panels = 1 + bool(chart.marks)
        figure = Figure(figsize=(1.8 + 5.3 * panels, 5.9), facecolor="white")
        FigureCanvasAgg(figure)
        axes: Sequence[Axes] = figure.subplots(1, panels, squeeze=False)[0]
        figure.subplots_adjust(
            left=0.62 / figure.get_figwidth(),
            right=1 - 0.25 / figure.get_figwidth(),
            top=0.80,
            bottom=0.215,
            wspace=0.17,
        )
        _search_panel(axes[0], chart)
        if chart.marks:
            _final_panel(axes[1], chart)
        left = 0.2 / figure.get_figwidth()
        figure.text(
            left, 0.975, chart.title, ha="left", va="top", fontsize=14, fontweight="bold", color=BLACK
        )
        figure.text(left, 0.927, chart.subtitle, ha="left", va="top", fontsize=9, color=SUBTLE)
        for path in paths:
            if path.suffix == ".svg":
                figure.savefig(path, format="svg", metadata={"Date": None})
            else:
                figure.savefig(path, format=path.suffix[1:], dpi=160)


def _search_panel(axes: Axes, chart: Chart) -> None:
    others = [dot for dot in chart.dots if not dot.on_front]
    front = sorted((dot for dot in chart.dots if dot.on_front), key=lambda dot: dot.latency_ms)
    entries: list[Line2D] = []
    if others:
        _scatter(axes, others, color=GREY, s=26, zorder=2)
        entries.append(_entry(f"trained candidate ({len(others)})", color=GREY, marker="o", markersize=5))
    if front:
        latencies, accuracies = [dot.latency_ms for dot in front], [dot.accuracy for dot in front]
        axes.step(latencies, accuracies, where="post", color=GREEN, linewidth=1.4, zorder=3)
        _scatter(axes, front, color=GREEN, s=46, zorder=4)
        entries.append(
            _entry(f"predicted front ({len(front)})", color=GREEN, marker="o", markersize=6.5, linestyle="-")
        )
    axes.set_title("Search: validation accuracy after short training", loc="left")
    axes.set_xlabel(f"latency in ms ({chart.searched})")
    _finish(axes, chart, chart.dots, entries)


def _final_panel(axes: Axes, chart: Chart) -> None:
    entries: list[Line2D] = []
    groups = sorted(
        {(mark.role, mark.dtype) for mark in chart.marks}, key=lambda group: (group[0] != FINALIST, group[1])
    )
    for role, dtype in groups:
        marks = sorted(
            (mark for mark in chart.marks if (mark.role, mark.dtype) == (role, dtype)),
            key=lambda mark: mark.latency_ms.middle,
        )
        label = f"{'finalist' if role == FINALIST else chart.baselines}, {dtype}"
        colour = DTYPE_COLOURS.get(dtype, BLACK)
        entries.append(_draw_marks(axes, marks, label, finalist=role == FINALIST, colour=colour))
    axes.set_title("Finalists: test accuracy of the .tflite", loc="left")
    axes.set_xlabel("latency in ms (measured: median, quartiles)")
    _finish(axes, chart, chart.marks, entries)
    _label(axes, chart.marks, chart.target_ms)


def _label(axes: Axes, marks: Sequence[Mark], target_ms: float | None) -> None:
    """Name every mark beside it, where the name covers the fewest other things."""
    points = [_pixel(axes, *_place(mark)) for mark in marks]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    taken += [box for mark in marks for box in _bars(axes, mark)]
    taken += [(x - 2, y - 2, x + 2, y + 2) for x, y in _on_lines(axes, marks)]
    if target_ms is not None:
        x, _ = _pixel(axes, target_ms, 0)
        taken.append((x - 2, 0, x + 2, 1e4))
    for mark, (x, y) in zip(marks, points, strict=True):
        width, height = 6.2 * len(mark.label), 9.0
        boxes: list[Box] = []
        for right, up in ((1, -1), (1, 1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0)):
            left = x + right * 9 - (width if right < 0 else width / 2 if right == 0 else 0)
            low = y + up * 8 - (height if up < 0 else height / 2 if up == 0 else 0)
            boxes.append((left, low, left + width, low + height))
        best = min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(best)
        left, low = axes.transData.inverted().transform((best[0], best[1]))
        axes.annotate(
            mark.label,
            (float(left), float(low)),
            color=DTYPE_COLOURS.get(mark.dtype, BLACK),
            fontsize=7.5,
            fontweight="bold" if mark.role == FINALIST else "normal",
            annotation_clip=False,
            zorder=7,
        )


def _on_lines(axes: Axes, marks: Sequence[Mark]) -> list[tuple[float, float]]:
    """Pixels along the lines that join the baselines."""
    lines = []
    for dtype in sorted({mark.dtype for mark in marks}):
        places = sorted(_place(mark) for mark in marks if mark.role != FINALIST and mark.dtype == dtype)
        for start, end in pairwise(_pixel(axes, *place) for place in places):
            steps = max(1, int(hypot(end[0] - start[0], end[1] - start[1]) / 4))
            lines += [
                (start[0] + (end[0] - start[0]) * step / steps, start[1] + (end[1] - start[1]) * step / steps)
                for step in range(steps + 1)
            ]
    return lines


def _bars(axes: Axes, mark: Mark) -> list[Box]:
    """The boxes of a mark's two error bars, in pixels."""
    x, y = _pixel(axes, *_place(mark))
    left, low = _pixel(axes, mark.latency_ms.low, mark.accuracy.low)
    right, high = _pixel(axes, mark.latency_ms.high, mark.accuracy.high)
    return [(left, y - 2, right, y + 2), (x - 2, low, x + 2, high)]


def _pixel(axes: Axes, latency_ms: float, accuracy: float) -> tuple[float, float]:
    x, y = axes.transData.transform((latency_ms, accuracy))
    return float(x), float(y)


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _draw_marks(axes: Axes, marks: Sequence[Mark], label: str, *, finalist: bool, colour: str) -> Line2D:
    x = [mark.latency_ms.middle for mark in marks]
    y = [mark.accuracy.middle for mark in marks]
    look: dict[str, Any] = {
        "marker": "o" if finalist else "s",
        "markerfacecolor": colour if finalist else "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.4,
    }
    line = "none" if finalist else (0, (4, 3))
    axes.errorbar(
        x,
        y,
        xerr=_lengths([mark.latency_ms for mark in marks]),
        yerr=_lengths([mark.accuracy for mark in marks]),
        color=colour,
        markersize=7.5 if finalist else 6,
        elinewidth=1.3,
        capsize=2.5,
        linewidth=1.0,
        linestyle=line,
        zorder=4 if finalist else 3,
        **look,
    )
    return _entry(label, color=colour, linestyle=line, markersize=8 if finalist else 6, **look)


def _finish(axes: Axes, chart: Chart, shown: Sequence[Dot] | Sequence[Mark], entries: list[Line2D]) -> None:
    from matplotlib.ticker import FuncFormatter

    for marked, look, label in (
        ([one for one in shown if one.knee], {"marker": "D", "markeredgecolor": BLACK}, "knee"),
        (
            [one for one in shown if one.best],
            {"marker": "o", "markeredgecolor": ORANGE},
            f"best under {chart.target_ms:g} ms" if chart.target_ms is not None else "",
        ),
    ):
        if not marked:
            continue
        ring: dict[str, Any] = {
            "linestyle": "none",
            "markerfacecolor": "none",
            "markeredgewidth": 1.8,
            **look,
        }
        size = 11.5 if look["marker"] == "D" else 15
        axes.plot(*zip(*map(_place, marked), strict=True), markersize=size, zorder=6, **ring)
        entries.append(_entry(label, markersize=8, **ring))
    if chart.target_ms is not None:
        axes.axvline(chart.target_ms, color=BLACK, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
        entries.append(
            _entry(f"target, {chart.target_ms:g} ms", color=BLACK, linewidth=1.2, linestyle=(0, (1, 2)))
        )
    axes.margins(x=0.1, y=0.12)
    axes.set_ylabel("accuracy in %")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(0.0, -0.15),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        columnspacing=1.5,
        handletextpad=0.6,
        handlelength=1.8,
        borderaxespad=0.0,
    )


def _place(one: Dot | Mark) -> tuple[float, float]:
    if isinstance(one, Dot):
        return one.latency_ms, one.accuracy
    return one.latency_ms.middle, one.accuracy.middle


def _entry(label: str, **look: Any) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **{"linestyle": "none", **look})


def _scatter(axes: Axes, dots: Sequence[Dot], **look: Any) -> None:
    axes.scatter(
        [dot.latency_ms for dot in dots],
        [dot.accuracy for dot in dots],
        edgecolors="white",
        linewidths=0.6,
        **look,
    )


def _lengths(bars: Sequence[Bar]) -> tuple[list[float], list[float]]:
    return [bar.middle - bar.low for bar in bars], [bar.high - bar.middle for bar in bars]
