"""Draws a validation: predicted against measured, errors against latency and depth. Computes no figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from textwrap import fill
from typing import TYPE_CHECKING

from latency_tables.judging.residuals import Trend
from latency_tables.judging.validation import HeldOut, Validation
from mnas.reports.style import BLACK, BLUE, GREY, ORANGE, STYLE, SUBTLE, VERMILION, points_with_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: the lines beside the diagonal
PERCENT = 10.0


def draw(found: Validation, title: str, headline: str, paths: Iterable[Path]) -> None:
    """Write the picture to every path; the suffix (`.png`, `.svg`) names the format."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 6.0), facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            2,
            2,
            width_ratios=(1.12, 1),
            left=0.07,
            right=0.985,
            top=0.81,
            bottom=0.095,
            wspace=0.2,
            hspace=0.42,
        )
        _predicted(figure.add_subplot(grid[:, 0]), found.details)
        upper, lower = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
        _errors(upper, found, [one.predicted_ms for one in found.details], found.latency)
        upper.set_title("Error by latency", loc="left")
        upper.set_xlabel("predicted latency in ms")
        _errors(lower, found, [float(one.operators) for one in found.details], found.depth)
        lower.set_title("Error by depth", loc="left")
        lower.set_xlabel("operators in the network")
        figure.text(0.017, 0.975, title, ha="left", va="top", fontsize=14, fontweight="bold", color=BLACK)
        figure.text(0.017, 0.925, fill(headline, 150), ha="left", va="top", fontsize=9.5, color=SUBTLE)
        for path in paths:
            if path.suffix == ".svg":
                figure.savefig(path, format="svg", metadata={"Date": None})
            else:
                figure.savefig(path, format=path.suffix[1:], dpi=160)


def _predicted(axes: Axes, details: Sequence[HeldOut]) -> None:
    measured = [one.measured_ms for one in details]
    predicted = [one.predicted_ms for one in details]
    ends_of_bars = [ms for one in details for ms in (one.low_ms, one.high_ms) if ms is not None]
    least, most = min(measured + predicted + ends_of_bars), max(measured + predicted + ends_of_bars)
    margin = 0.05 * (most - least or most)
    ends = [max(0.0, least - margin), most + margin]
    for factor, label in ((1 - PERCENT / 100, None), (1 + PERCENT / 100, f"{PERCENT:g} % off")):
        axes.plot(
            ends,
            [factor * end for end in ends],
            color=GREY,
            linewidth=1.1,
            linestyle=(0, (4, 3)),
            label=label,
            zorder=1,
        )
    axes.plot(ends, ends, color=BLACK, linewidth=1.0, label="predicted = measured", zorder=1)
    _points(axes, details, measured, [(one.predicted_ms, one.low_ms, one.high_ms) for one in details])
    axes.set_xlim(ends[0], ends[1])
    axes.set_ylim(ends[0], ends[1])
    axes.set_title("Predicted against measured", loc="left")
    axes.set_xlabel("measured latency in ms")
    axes.set_ylabel("predicted latency in ms")
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", frameon=False, fontsize=8.5)


def _errors(axes: Axes, found: Validation, against: Sequence[float], trend: Trend | None) -> None:
    def percent(one: HeldOut, ms: float | None) -> float | None:
        return None if ms is None else 100 * (ms / one.measured_ms - 1)

    details = found.details
    half = found.noise.perfect_width_percent / 2
    axes.axhspan(-half, half, color="#EEF1F4", zorder=0, label="noise: 9 in 10 repetitions")
    axes.axhline(0, color=BLACK, linewidth=1.0, zorder=1)
    bars = [(one.error_percent, percent(one, one.low_ms), percent(one, one.high_ms)) for one in details]
    _points(axes, details, against, bars, label=False)
    if trend is not None and trend.clear:  # through the means, as every line of least squares
        middle, level = mean(against), mean(one.error_percent for one in details)
        ends = [min(against), max(against)]
        axes.plot(
            ends,
            [level + trend.slope_percent * (end - middle) for end in ends],
            color=ORANGE,
            linewidth=1.6,
            label=f"trend: {trend.across_percent:+.1f} points",
            zorder=2,
        )
    most = max([PERCENT, *(abs(value) for bar in bars for value in bar if value is not None)])
    if most > PERCENT:
        for end in (-PERCENT, PERCENT):
            axes.axhline(end, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_ylim(-1.08 * most, 1.08 * most)
    axes.margins(x=0.04)
    axes.set_ylabel("error in %")
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(  # beside the title
        loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, borderaxespad=0.2, ncols=2
    )


def _points(
    axes: Axes,
    details: Sequence[HeldOut],
    x: Sequence[float],
    bars: Sequence[tuple[float, float | None, float | None]],
    label: bool = True,
) -> None:
    """Points with their intervals; those whose interval missed the measurement differ in colour and shape."""
    for held, colour, marker, name in (
        (True, BLUE, "o", "network with its 90 % interval"),
        (False, VERMILION, "D", "measured outside the interval"),
    ):
        chosen = [(at, bar) for one, at, bar in zip(details, x, bars, strict=True) if _held(one) is held]
        if not chosen:
            continue
        lows = [bar[0] - (bar[0] if bar[1] is None else bar[1]) for _, bar in chosen]
        highs = [(bar[0] if bar[2] is None else bar[2]) - bar[0] for _, bar in chosen]
        axes.errorbar(
            [at for at, _ in chosen],
            [bar[0] for _, bar in chosen],
            yerr=[lows, highs],
            marker=marker,
            markersize=4.5,
            label=f"{name} ({len(chosen)})" if label else None,
            zorder=3,
            **points_with_bars(colour),
        )


def _held(one: HeldOut) -> bool:
    """Whether the measurement lies in the interval; also where there is none to miss."""
    return one.low_ms is None or one.high_ms is None or one.low_ms <= one.measured_ms <= one.high_ms
