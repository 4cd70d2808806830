"""Draws what a search measured beside what was predicted, and the factor over time. Computes no factor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from mnas.gaps import Gap, Why, by_cost, fit, in_words
from mnas.reports.style import BLACK, BLUE, GREY, ORANGE, STYLE, SUBTLE, VERMILION, points_with_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: characters of a line below the title
WIDTH = 165
#: colour, shape and name of what was measured
LOOKS: dict[Why, tuple[str, str, str]] = {
    "front": (BLUE, "o", "member of the front"),
    "cap": (VERMILION, "D", "candidate near a cap"),
    "anchor": (GREY, "s", "anchor of the table"),
}


def draw(gaps: Sequence[Gap], title: str, paths: Iterable[Path]) -> None:
    """Write the picture to every path, a row for each cost; the suffix (`.png`, `.svg`) names the format.

    Args:
        gaps: one or more.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    costs = by_cost(gaps)
    with mpl.rc_context(STYLE):
        top = 0.85 + 0.31 * len(costs)
        height = top + 4.2 * len(costs)
        figure = Figure(figsize=(11.4, height), facecolor="white")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(costs), 2, squeeze=False)
        figure.subplots_adjust(
            left=0.065, right=0.985, top=1 - top / height, bottom=0.6 / height, wspace=0.17, hspace=0.42
        )
        for row, (cost, rows) in zip(panels, costs.items(), strict=True):
            name = "" if len(costs) == 1 else f": {cost}"
            _predicted(row[0], rows, name)
            _over_time(row[1], rows, name)
        figure.text(
            0.017, 1 - 0.14 / height, title, ha="left", va="top", fontsize=14, fontweight="bold", color=BLACK
        )
        words = [fill(f"{cost}: {in_words(fit(rows))}", WIDTH) for cost, rows in costs.items()]
        figure.text(0.017, 1 - 0.47 / height, "\n".join(words), ha="left", va="top", fontsize=9, color=SUBTLE)
        for path in paths:
            if path.suffix == ".svg":
                figure.savefig(path, format="svg", metadata={"Date": None})
            else:
                figure.savefig(path, format=path.suffix[1:], dpi=160)


def _predicted(axes: Axes, rows: Sequence[Gap], name: str) -> None:
    """Measured against predicted, with the intervals of predictions."""
    factor = fit(rows).factor
    ends = [ms for one in rows for ms in (one.predicted_ms, one.measured_ms, one.low_ms, one.high_ms) if ms]
    margin = 0.05 * (max(ends) - min(ends) or max(ends))
    span = (max(0.0, min(ends) - margin), max(ends) + margin)
    axes.plot(span, span, color=BLACK, linewidth=1.0, label="measured = predicted", zorder=1)
    axes.plot(
        span,
        [factor * end for end in span],
        color=ORANGE,
        linewidth=1.6,
        label=f"times the factor, {factor:.3f}",
        zorder=2,
    )
    for why, chosen in _by_reason(rows):
        colour, marker, label = LOOKS[why]
        axes.errorbar(
            [one.predicted_ms for one in chosen],
            [one.measured_ms for one in chosen],
            xerr=[
                [one.predicted_ms - (one.low_ms or one.predicted_ms) for one in chosen],
                [(one.high_ms or one.predicted_ms) - one.predicted_ms for one in chosen],
            ],
            marker=marker,
            markersize=5,
            label=f"{label} ({len(chosen)})",
            zorder=4 if why != "anchor" else 3,
            **points_with_bars(colour),
        )
    axes.set_xlim(*span)
    axes.set_ylim(*span)
    axes.set_title(f"Measured during the search{name}", loc="left")
    axes.set_xlabel("predicted latency in ms, with its 90 % interval")
    axes.set_ylabel("measured latency in ms")
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", frameon=False, fontsize=8.5)


def _over_time(axes: Axes, rows: Sequence[Gap], name: str) -> None:
    """How much longer than predicted, by how many candidates were trained, and what was made of it."""
    for why, chosen in _by_reason(rows):
        colour, marker, _ = LOOKS[why]
        axes.plot(
            [one.trained for one in chosen],
            [100 * (one.ratio - 1) for one in chosen],
            color=colour,
            marker=marker,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linestyle="none",
            zorder=4 if why != "anchor" else 3,
        )
    after = list({one.visit: one for one in rows}.values())  # the last of each visit has the factor after it
    times = [0, *(one.trained for one in after)]
    axes.step(
        times,
        [0.0, *(100 * (one.factor - 1) for one in after)],
        where="post",
        color=ORANGE,
        linewidth=1.6,
        label="factor of targets and caps",
        zorder=2,
    )
    if speeds := _speeds(rows):
        axes.step(
            [0, *(one[0] for one in speeds), times[-1]],
            [0.0, *(one[1] for one in speeds), speeds[-1][1]],
            where="post",
            color=GREY,
            linewidth=1.2,
            linestyle=(0, (4, 3)),
            label="the device alone, by anchors",
            zorder=2,
        )
    axes.axhline(0, color=BLACK, linewidth=1.0, zorder=1)
    axes.set_title(f"How much longer than predicted{name}", loc="left")
    axes.set_xlabel("trained candidates")
    axes.set_ylabel("measured over predicted, less 100 %")
    axes.margins(x=0.04, y=0.14)
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="best", frameon=False, fontsize=8.5)


def _by_reason(rows: Sequence[Gap]) -> list[tuple[Why, list[Gap]]]:
    found: list[tuple[Why, list[Gap]]] = [(why, [one for one in rows if one.why == why]) for why in LOOKS]
    return [(why, chosen) for why, chosen in found if chosen]


def _speeds(rows: Sequence[Gap]) -> list[tuple[int, float]]:
    """After each visit with anchors: trained candidates, and by how many percent the device was slower."""
    found = []
    for visit in sorted({one.visit for one in rows if one.why == "anchor"}):
        until = [one for one in rows if one.visit <= visit]
        speed = fit(until).speed
        if speed is not None:
            found.append((max(one.trained for one in until if one.visit == visit), 100 * (speed - 1)))
    return found
