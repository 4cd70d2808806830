"""Colours and looks that all pictures here share. Draws nothing."""

from __future__ import annotations

from typing import Any

#: Okabe and Ito's palette, told apart by people who see red and green alike; shapes differ as well
BLUE, ORANGE, GREEN, VERMILION, BLACK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#222222"
GREY = "#A8ADB3"
SUBTLE = "#5F666D"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.edgecolor": SUBTLE,
    "axes.labelcolor": BLACK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#3C4248",
    "ytick.color": "#3C4248",
    "grid.color": "#E4E7EA",
    "svg.hashsalt": "mnas",
    "svg.fonttype": "none",
}


def points_with_bars(colour: str) -> dict[str, Any]:
    """How `Axes.errorbar` is to draw single points of a colour, each with a paler bar."""
    return {
        "color": colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "elinewidth": 1.0,
        "ecolor": f"{colour}80",
        "linestyle": "none",
    }
