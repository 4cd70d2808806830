"""What becomes of searches over a table: curves, front points, tests, verdict. Searches and draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from common import Verdict
from numpy.typing import NDArray

from mnas.errors import BadInput
from mnas.table_search import TableTruth

Floats = NDArray[np.float64]
#: level below which a difference in the final hypervolume of equal seeds is no chance
LEVEL = 0.05
#: whose end is the mark: what users have. The registry's own `tpe` proposes nothing twice, which is much
#: stronger on small tables; it stands in the same table
MARK = "Optuna TPE"
#: must end above random
ABOVE = ("ppo", "regularized_evolution")


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

    There are two reference points: the table's largest latency with accuracy 0, and the same latency with the
    table's lowest accuracy (`_lowest`). With the first, any fast row has most of the volume; so the tests
    against random and the quartiles are of the second, and the goal about TPE must hold with both.

    Attributes:
        curves: share of the true front's hypervolume after each evaluation, accuracy 0, [seeds, evaluations].
        curves_lowest: the same with the lowest accuracy.
        front_found: mean number of the true front's rows among those evaluated.
        evaluations_to_tpe: after how many the median of `curves` reaches the median of TPE's end (the better
            TPE's); None if never.
        evaluations_to_tpe_lowest: the same of `curves_lowest`.
        p_above: of a paired Wilcoxon test that the final share is no higher than random's; uncorrected.
        p_below: the same for no lower.
        seconds: median time of a search.
    """

    table: str
    strategy: str
    curves: Floats
    curves_lowest: Floats
    front_found: float
    front_size: int
    evaluations_to_tpe: int | None
    evaluations_to_tpe_lowest: int | None
    p_above: float
    p_below: float
    seconds: float

    @property
    def ratio(self) -> float:
        """Median of the final share, accuracy 0."""
        return float(np.median(self.curves[:, -1]))

    @property
    def ratio_lowest(self) -> float:
        """Median of the final share, lowest accuracy."""
        return float(np.median(self.curves_lowest[:, -1]))

    @property
    def low(self) -> float:
        """Lower quartile of the final share, lowest accuracy."""
        return float(np.quantile(self.curves_lowest[:, -1], 0.25))

    @property
    def high(self) -> float:
        """Upper quartile of the final share, lowest accuracy."""
        return float(np.quantile(self.curves_lowest[:, -1], 0.75))

    def document(self) -> dict[str, Any]:
        """The same for scripts."""
        names = ("table", "strategy", "ratio", "ratio_lowest", "low", "high", "front_found", "front_size")
        rest = ("evaluations_to_tpe", "evaluations_to_tpe_lowest", "p_above", "p_below", "seconds")
        return {name: getattr(self, name) for name in (*names, *rest)} | {
            "median_curve": _median(self.curves),
            "median_curve_lowest": _median(self.curves_lowest),
        }


def _median(curves: Floats) -> list[float]:
    return [round(float(value), 5) for value in np.median(curves, axis=0)]


def curves_of(truth: TableTruth, evaluated: Sequence[int], trials: int) -> tuple[Floats, Floats]:
    """Both shares of the true front's hypervolume after each of `trials` evaluations, [trials] each.

    A search that ended early stays where it was.

    Raises:
        BadInput: no row is better than the table's largest latency and lowest accuracy, so there is no share.
    """
    result = truth.judge(evaluated[:trials])
    if result.curve is None or result.curve_lowest is None:
        raise BadInput(
            f"{truth.space.name} has no hypervolume: every row on its front has the largest latency or the "
            "lowest accuracy"
        )
    missing = trials - len(result.curve)
    first, lowest = (
        np.append(curve, np.full(missing, curve[-1] if len(curve) else 0.0))
        for curve in (result.curve, result.curve_lowest)
    )
    return first, lowest


def standings(table: str, truth: TableTruth, trials: int, outcomes: Sequence[Outcome]) -> list[Standing]:
    """Every strategy on one table; the best last. `random` must be among them."""
    by_name: dict[str, list[Outcome]] = {}
    for one in sorted(outcomes, key=lambda one: one.seed):
        if one.table == table:
            by_name.setdefault(one.strategy, []).append(one)
    curves = {
        name: np.array([curves_of(truth, one.evaluated, trials) for one in several])
        for name, several in by_name.items()
    }
    medians = {name: np.median(found, axis=0) for name, found in curves.items()}
    marks = medians[MARK][:, -1] if MARK in medians else (np.inf, np.inf)
    found = []
    for name, several in by_name.items():
        p_above, p_below = _against(curves[name][:, 1, -1], curves["random"][:, 1, -1])
        first, lowest = (_first(median >= mark) for median, mark in zip(medians[name], marks, strict=True))
        fronts = [truth.judge(one.evaluated[:trials]).front_found for one in several]
        found.append(
            Standing(
                table,
                name,
                curves[name][:, 0],
                curves[name][:, 1],
                float(np.mean(fronts)),
                len(truth.front),
                first,
                lowest,
                p_above,
                p_below,
                float(np.median([one.seconds for one in several])),
            )
        )
    return sorted(found, key=lambda one: one.ratio_lowest)


def _first(reached: NDArray[np.bool_]) -> int | None:
    """Number of the first evaluation, from 1, that is so."""
    return int(np.argmax(reached)) + 1 if reached.any() else None


def _against(own: Floats, reference: Floats) -> tuple[float, float]:
    """Paired tests that `own` is no higher, and no lower; 1 where nothing differs."""
    from scipy.stats import wilcoxon

    pairs = min(len(own), len(reference))
    differences = own[:pairs] - reference[:pairs]
    if pairs < 2 or not np.any(differences):
        return 1.0, 1.0
    above, below = (wilcoxon(differences, alternative=way).pvalue for way in ("greater", "less"))
    return float(above), float(below)


def holm(p_values: Mapping[Any, float]) -> dict[Any, float]:
    """Adjusted p-values (Holm, A simple sequentially rejective multiple test procedure, 1979)."""
    adjusted: dict[Any, float] = {}
    largest = 0.0
    for rank, (key, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * value))
        adjusted[key] = largest
    return adjusted


@dataclass(frozen=True, slots=True)
class Check:
    """A goal on a table: whether it is held, None where its strategies were not run, and the figures."""

    held: bool | None
    text: str


def checks(found: Sequence[Standing], measured: Sequence[str], registered: Sequence[str]) -> list[Check]:
    """The goals, on the measured tables.

    Args:
        found: of all tables.
        measured: names of the tables that count.
        registered: strategies that may not be worse than random; peers and ablations may. Corrected by Holm
            over all of them on all these tables.
    """
    made: list[Check] = []
    for table in measured:
        by_name = {one.strategy: one for one in found if one.table == table}
        made += _against_tpe(table, by_name)
        for name in ABOVE:
            text = f"{table}: {name} above random, p = "
            one = by_name.get(name)
            made.append(
                Check(None, f"{table}: {name} was not run")
                if one is None
                else Check(one.p_above < LEVEL, f"{text}{one.p_above:.3g}")
            )
    p_values = {
        (one.table, one.strategy): one.p_below
        for one in found
        if one.table in measured and one.strategy in registered and one.strategy != "random"
    }
    if p_values:
        worse = [f"{name} ({table}, p = {p:.3g})" for (table, name), p in holm(p_values).items() if p < LEVEL]
        judged = ", ".join(dict.fromkeys(name for _, name in p_values))
        made.append(Check(not worse, f"worse than random, of {judged}: {', '.join(worse) or 'none'}"))
    return made


def _against_tpe(table: str, by_name: Mapping[str, Standing]) -> list[Check]:
    """Half of TPE's evaluations for its end, and twice its front points."""
    own = by_name.get("predictor_guided")
    mark = by_name.get(MARK)
    if own is None or mark is None:
        return [Check(None, f"{table}: {'predictor_guided' if mark else 'TPE'} was not run")]
    trials = own.curves.shape[1]
    needed = (own.evaluations_to_tpe, own.evaluations_to_tpe_lowest)
    first, lowest = (one or "no" for one in needed)
    return [
        Check(
            all(one is not None and 2 * one <= trials for one in needed),
            f"{table}: predictor_guided reaches Optuna TPE's end after {first} of {trials} evaluations by "
            f"the reference accuracy 0, {lowest} by the lowest accuracy",
        ),
        Check(
            own.front_found > 0 and own.front_found >= 2 * mark.front_found,
            f"{table}: predictor_guided finds {own.front_found:.1f} of {own.front_size} front points, "
            f"Optuna TPE {mark.front_found:.1f}",
        ),
    ]


def judge(made: Sequence[Check]) -> Verdict:
    """All goals: missed if one is, met if all are held, else not judged."""
    words = ((False, "missed"), (None, "not judged"), (True, "held"))
    groups = [(word, [one.text for one in made if one.held is held]) for held, word in words]
    text = ". ".join(f"{word}: {'; '.join(texts)}" for word, texts in groups if texts)
    states = {one.held for one in made}
    met = False if False in states else None if None in states or not states else True
    return Verdict(met, text or "no measured table took part")
