"""What becomes of searches over a table: curves, front points, tests, picture, verdict. Searches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from common import Verdict
from numpy.typing import NDArray

from mnas.pareto import front

Floats = NDArray[np.float64]
#: level below which a difference in the final hypervolume of equal seeds is no chance
LEVEL = 0.05
#: whose final hypervolume is the mark: the better one of them
MARKS = ("tpe", "Optuna TPE")
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """One search: which rows it evaluated, in order; -1 for a combination that has no row."""

    table: str
    strategy: str
    seed: int
    seconds: float
    evaluated: tuple[int, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read back what the file of results has."""
        return cls(
            str(record["table"]),
            str(record["strategy"]),
            int(record["seed"]),
            float(record["seconds"]),
            tuple(record["evaluated"]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A strategy on a table, over its seeds.

    Attributes:
        curves: share of the true front's hypervolume after each evaluation, reference (largest latency,
            lowest accuracy of the table); [seeds, evaluations].
        ratio: median of the final share, reference (largest latency, accuracy 0).
        ratio_lowest: median of the last column of `curves`.
        low, high: quartiles of that.
        front_found: mean number of the true front's rows among those evaluated.
        evaluations_to_tpe: after how many the median curve reaches the median of TPE's end; None if never.
        p_above: of a paired Wilcoxon test that the final share is no higher than random's.
        p_below: the same for no lower.
        seconds: median time of a search.
    """

    table: str
    strategy: str
    curves: Floats
    ratio: float
    front_found: float
    front_size: int
    evaluations_to_tpe: int | None
    p_above: float
    p_below: float
    seconds: float

    @property
    def ratio_lowest(self) -> float:
        """Median of the final share."""
        return float(np.median(self.curves[:, -1]))

    @property
    def low(self) -> float:
        """Lower quartile of the final share."""
        return float(np.quantile(self.curves[:, -1], 0.25))

    @property
    def high(self) -> float:
        """Upper quartile of the final share."""
        return float(np.quantile(self.curves[:, -1], 0.75))

    def document(self) -> dict[str, Any]:
        """The same for scripts."""
        names = ("table", "strategy", "ratio", "ratio_lowest", "low", "high", "front_found", "front_size")
        rest = ("evaluations_to_tpe", "p_above", "p_below", "seconds")
        curve = [round(float(value), 5) for value in np.median(self.curves, axis=0)]
        return {name: getattr(self, name) for name in (*names, *rest)} | {"median_curve": curve}


def curve(figures: Floats, evaluated: Sequence[int], trials: int, lowest: float) -> Floats:
    """Share of the true front's hypervolume after each evaluation, reference (largest latency, `lowest`)."""
    reference = float(figures[:, 1].max())
    whole = _hypervolume(figures, reference, lowest)
    found = np.zeros(trials)
    for number in range(min(trials, len(evaluated))):
        rows = [row for row in evaluated[: number + 1] if row >= 0]
        found[number] = _hypervolume(figures[rows], reference, lowest) / whole
    found[len(evaluated) :] = found[len(evaluated) - 1] if evaluated else 0.0
    return found


def _hypervolume(figures: Floats, reference: float, lowest: float) -> float:
    """Area that (accuracy, latency) points dominate, [n, 2]."""
    rows = figures[front(figures[:, 0], figures[:, 1])] if len(figures) else figures
    heights = np.maximum(rows[:, 0] - lowest, 0.0)
    widths = np.diff([*rows[:, 1], reference])
    return float(np.sum(heights * widths))


def standings(table: str, figures: Floats, trials: int, outcomes: Sequence[Outcome]) -> list[Standing]:
    """Every strategy on one table, from its (accuracy, latency) rows [n, 2]; the best last."""
    own = [one for one in outcomes if one.table == table]
    lowest = float(figures[:, 0].min())
    by_name: dict[str, list[Outcome]] = {}
    for one in sorted(own, key=lambda one: one.seed):
        by_name.setdefault(one.strategy, []).append(one)
    curves = {
        name: np.array([curve(figures, one.evaluated, trials, lowest) for one in several])
        for name, several in by_name.items()
    }
    true_front = set(front(figures[:, 0], figures[:, 1]).tolist())
    marks = [float(np.median(curves[name][:, -1])) for name in MARKS if name in curves]
    found = []
    for name, several in by_name.items():
        p_above, p_below = _against(curves[name][:, -1], curves["random"][:, -1])
        mark = max(marks, default=np.inf)
        reached = np.flatnonzero(np.median(curves[name], axis=0) >= mark)
        finals = [curve(figures, one.evaluated, trials, 0.0)[-1] for one in several]
        found.append(
            Standing(
                table,
                name,
                curves[name],
                float(np.median(finals)),
                float(np.mean([len(true_front & set(one.evaluated)) for one in several])),
                len(true_front),
                int(reached[0]) + 1 if len(reached) else None,
                p_above,
                p_below,
                float(np.median([one.seconds for one in several])),
            )
        )
    return sorted(found, key=lambda one: one.ratio_lowest)


def _against(own: Floats, reference: Floats) -> tuple[float, float]:
    """Paired tests that `own` is no higher, and no lower; 1 where nothing differs."""
    from scipy.stats import wilcoxon

    pairs = min(len(own), len(reference))
    differences = own[:pairs] - reference[:pairs]
    if pairs < 2 or not np.any(differences):
        return 1.0, 1.0
    above, below = (wilcoxon(differences, alternative=way).pvalue for way in ("greater", "less"))
    return float(above), float(below)


def judge(found: Sequence[Standing], measured: Sequence[str]) -> Verdict:
    """The goals, on the measured tables."""
    held: list[str] = []
    missed: list[str] = []
    for table in measured:
        by_name = {one.strategy: one for one in found if one.table == table}
        if "predictor_guided" in by_name:
            own = by_name["predictor_guided"]
            trials = own.curves.shape[1]
            mark = max((by_name[name] for name in MARKS if name in by_name), key=lambda one: one.ratio_lowest)
            best = max(by_name[name].front_found for name in MARKS if name in by_name)
            needed = own.evaluations_to_tpe
            text = (
                f"{table}: predictor_guided reaches {mark.strategy}'s end after {needed or 'no'} of {trials}"
            )
            (held if needed is not None and 2 * needed <= trials else missed).append(text)
            text = (
                f"{table}: it finds {own.front_found:.1f} front points, TPE {best:.1f}, of {own.front_size}"
            )
            (held if own.front_found >= 2 * best else missed).append(text)
        for name in ("ppo", "regularized_evolution"):
            if name in by_name:
                text = f"{table}: {name} above random, p = {by_name[name].p_above:.3g}"
                (held if by_name[name].p_above < LEVEL else missed).append(text)
        worse = [one.strategy for one in by_name.values() if one.p_below < LEVEL]
        text = f"{table}: worse than random: {', '.join(worse) or 'none'}"
        (missed if worse else held).append(text)
    parts = [f"{word}: {'; '.join(texts)}" for word, texts in (("missed", missed), ("held", held)) if texts]
    return Verdict(not missed if measured else None, ". ".join(parts))


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
                missing = 100 * (1 - by_name[name].curves)
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
