"""Draws what searches over tables came to. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from comparison import Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: rows of the picture: a title and who is in it
PANELS: Mapping[str, tuple[str, ...]] = {
    "Models, evolution, plain sampling": (
        "random", "qmc", "nsga2", "nsga3", "regularized_evolution", "tpe", "gp", "predictor_guided",
    ),
    "Learned policies": (
        "random", "q_learning", "reinforce", "ppo", "ppo, small", "ppo, small, independent",
        "predictor_guided",
    ),
    "Other libraries, and what knowing latency is worth": (
        "random", "random, screened", "pymoo NSGA-II", "Optuna NSGA-II", "Optuna TPE", "tpe", "tpe, screened",
        "predictor_guided, latency unknown", "predictor_guided",
    ),
}  # fmt: skip
#: kin share a colour; dashed: another library, or other numbers; dotted: knows more or less than its
#: kin, or has another policy
LOOKS: Mapping[str, tuple[str, str]] = {
    "random": ("#7f7f7f", "-"),
    "random, screened": ("#7f7f7f", ":"),
    "qmc": ("#17a2b8", "-"),
    "nsga2": ("#2ca02c", "-"),
    "Optuna NSGA-II": ("#2ca02c", "--"),
    "pymoo NSGA-II": ("#8c6d1f", "--"),
    "nsga3": ("#a6c100", "-"),
    "regularized_evolution": ("#ff7f0e", "-"),
    "tpe": ("#1f4fd8", "-"),
    "Optuna TPE": ("#1f4fd8", "--"),
    "tpe, screened": ("#1f4fd8", ":"),
    "gp": ("#000000", "-"),
    "q_learning": ("#8c564b", "-"),
    "reinforce": ("#e377c2", "-"),
    "ppo": ("#7b3fb5", "-"),
    "ppo, small": ("#7b3fb5", "--"),
    "ppo, small, independent": ("#7b3fb5", ":"),
    "predictor_guided": ("#d62728", "-"),
    "predictor_guided, latency unknown": ("#d62728", ":"),
}
#: lower end of the axis, percent; what is below is drawn on it
FLOOR = 0.2
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Line:
    """How a strategy looks everywhere."""

    name: str

    @property
    def colour(self) -> str:
        """Of line and band."""
        return LOOKS.get(self.name, ("#555555", "-."))[0]

    @property
    def dashes(self) -> str:
        """Of the line."""
        return LOOKS.get(self.name, ("#555555", "-."))[1]

    @property
    def width(self) -> float:
        """In points."""
        return 2.6 if self.name == "predictor_guided" else 1.6

    def draw(self, axis: Axes, standing: Standing) -> None:
        """Median and quartiles of what is still missing."""
        missing = np.maximum(100 * (1 - standing.curves_lowest), FLOOR)
        low, middle, high = np.quantile(missing, [0.25, 0.5, 0.75], axis=0)
        numbers = np.arange(1, missing.shape[1] + 1)
        axis.fill_between(numbers, low, high, color=self.colour, alpha=0.07, linewidth=0)
        axis.plot(numbers, middle, self.dashes, label=self.name, color=self.colour, linewidth=self.width)


def draw(found: Sequence[Standing], file: Path) -> None:
    """The share of hypervolume that is still missing, against evaluations: median and quartiles, to a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tables = list(dict.fromkeys(one.table for one in found))
    there = {one.strategy for one in found}
    placed = {name for members in PANELS.values() for name in members}
    rows = {title: [name for name in members if name in there] for title, members in PANELS.items()}
    rows["Others"] = sorted(there - placed)
    rows = {title: members for title, members in rows.items() if members}
    figure, axes = plt.subplots(
        len(rows),
        len(tables),
        figsize=(1.0 + 4.6 * len(tables) + 2.6, 3.7 * len(rows) + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for row, (title, members) in zip(axes, rows.items(), strict=True):
        for axis, table in zip(row, tables, strict=True):
            by_name = {one.strategy: one for one in found if one.table == table}
            for name in members:
                if name in by_name:
                    Line(name).draw(axis, by_name[name])
            _frame(axis, f"{title}\n{table}")
        row[0].set_ylabel("hypervolume not found yet, %")
        handles = {
            text: line for axis in row for line, text in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        shown = [name for name in members if name in handles]
        row[-1].legend(
            [handles[name] for name in shown],
            shown,
            fontsize=10,
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            frameon=False,
            handlelength=2.6,
        )
    for axis in axes[-1]:
        axis.set_xlabel("evaluations")
    figure.suptitle("Lower is better. Lines: median over seeds; bands: quartiles.", fontsize=11)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _frame(axis: Axes, title: str) -> None:
    """Plain numbers on a logarithmic axis that holds all that is drawn."""
    axis.set_yscale("log")
    axis.set_ylim(bottom=FLOOR, top=100)
    axis.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS], minor=False)
    axis.set_yticks([], minor=True)
    axis.set_xlim(left=1)
    axis.set_title(title, fontsize=11)
    axis.grid(alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
