"""Draws what searches over tables came to. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from comparison import Standing

#: panels of the picture: a title and who is in it
PANELS: Mapping[str, tuple[str, ...]] = {
    "strategies of the registry": (
        "random", "qmc", "nsga2", "nsga3", "tpe", "reinforce", "q_learning", "ppo", "regularized_evolution",
        "predictor_guided",
    ),
    "peers and ablations": (
        "random", "random, screened", "Optuna NSGA-II", "pymoo NSGA-II", "Optuna TPE", "tpe, screened",
        "predictor_guided, latency unknown", "predictor_guided",
    ),
}  # fmt: skip


def draw(found: Sequence[Standing], file: Path) -> None:
    """The share of hypervolume that is still missing, against evaluations: median and quartiles, to a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tables = list(dict.fromkeys(one.table for one in found))
    names = list(dict.fromkeys(name for members in PANELS.values() for name in members))
    names += [one.strategy for one in found if one.strategy not in names]
    colours = dict(zip(names, [*plt.get_cmap("tab20").colors] * 2, strict=False))  # type: ignore[attr-defined]
    colours |= {"random": "#888888", "predictor_guided": "#d62728", "tpe": "#1f77b4", "Optuna TPE": "#1f77b4"}
    figure, axes = plt.subplots(
        len(PANELS), len(tables), figsize=(4.8 * len(tables), 8.4), squeeze=False, layout="constrained"
    )
    for row, (title, members) in enumerate(PANELS.items()):
        for column, table in enumerate(tables):
            axis = axes[row][column]
            by_name = {one.strategy: one for one in found if one.table == table}
            others = [name for name in by_name if name not in {n for m in PANELS.values() for n in m}]
            for name in (*members, *(others if row == 0 else ())):
                if name not in by_name:
                    continue
                missing = 100 * (1 - by_name[name].curves_lowest)
                numbers = np.arange(1, missing.shape[1] + 1)
                low, middle, high = np.quantile(missing, [0.25, 0.5, 0.75], axis=0)
                bold = 2.4 if name == "predictor_guided" else 1.3
                dashed = "--" if "," in name or name[0].isupper() or name.startswith("pymoo") else "-"
                axis.plot(numbers, middle, dashed, label=name, color=colours[name], linewidth=bold)
                axis.fill_between(numbers, low, high, color=colours[name], alpha=0.10, linewidth=0)
            axis.set_yscale("log")
            axis.set_title(f"{table}: {title}", fontsize=10)
            axis.set_xlabel("evaluations")
            axis.grid(which="both", alpha=0.2)
            if column == 0:
                axis.set_ylabel("hypervolume missing, % of the true front's")
            if column == len(tables) - 1:
                axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    plt.close(figure)
