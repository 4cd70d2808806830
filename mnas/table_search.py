"""A search over a table, judged by all that the table knows. Knows no strategy and prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnas.costs import Goal, goals_for
from mnas.feasible import require_feasible
from mnas.pareto import hypervolume, non_dominated
from mnas.reward import Exponents
from mnas.spaces.tabular import TableSpace
from mnas.status import Status

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TableResult:
    """What a search over a table came to.

    Attributes:
        evaluated: row numbers, in the order of evaluation; -1 where options without a row were evaluated.
        infeasible: rows that were proposed but not evaluated, a latency being above its cap.
        stopped: why there are fewer evaluations than asked for; None if there are not.
        exhausted: whether that is because every row that the caps allow was looked at.
        front: evaluated rows that no other evaluated row beats, by the first latency.
        front_found: how many evaluated rows are on the table's own front.
        front_size: how many rows that front has.
        curve: hypervolume of what is found as a share of that of the table's own front, after each
            evaluation, [evaluated], with the reference point (largest latencies of the table, accuracy 0);
            None where that front has no volume.
        curve_lowest: the same with the table's lowest accuracy in place of 0.
        best: the most accurate evaluated row within all targets, the cheapest of equals; None without one.
        regret: by how much the best row within them in the table is more accurate; None without `best`.
    """

    evaluated: tuple[int, ...]
    infeasible: tuple[int, ...]
    stopped: str | None
    exhausted: bool
    front: tuple[int, ...]
    front_found: int
    front_size: int
    curve: Floats | None
    curve_lowest: Floats | None
    best: int | None
    regret: float | None

    @property
    def hypervolume_ratio(self) -> float | None:
        """The end of `curve`; 0 before the first evaluation."""
        return _end(self.curve)

    @property
    def hypervolume_ratio_lowest(self) -> float | None:
        """The end of `curve_lowest`."""
        return _end(self.curve_lowest)


class TableTruth:
    """What there is to find in a table: its front and that one's hypervolume, the best row within targets.

    Only rows within all caps count; reference points are those of the whole table.

    Args:
        space: the table.
        goals: what is wanted of its latencies; those without a goal are plain objectives.

    Raises:
        Infeasible: no row is within all targets and caps.
        BadInput: a goal is about something else.
    """

    def __init__(self, space: TableSpace, goals: Sequence[Goal] = ()) -> None:
        self.space = space
        goals = goals_for(space.costs, goals)
        shown = [0, *(1 + at for at, goal in enumerate(goals) if goal.objective)]
        self._values = space.figures[:, shown]
        self._maximise = [True, *[False] * (len(shown) - 1)]
        caps = [np.inf if goal.cap is None else goal.cap for goal in goals]
        targets = [np.inf if goal.target is None else goal.target for goal in goals]
        self._allowed = np.all(space.figures[:, 1:] <= caps, axis=1)
        self._within = self._allowed & np.all(space.figures[:, 1:] <= targets, axis=1)
        require_feasible(space, space.costs, goals)
        self.best_accuracy = float(space.figures[self._within, 0].max())
        self.front = self._front_of(np.flatnonzero(self._allowed))
        largest = self._values[:, 1:].max(axis=0).tolist()
        self._references = ([0.0, *largest], [float(self._values[:, 0].min()), *largest])
        self._volumes = [self._volume(self.front, reference) for reference in self._references]

    def judge_status(self, status: Status, stopped: str | None = None) -> TableResult:
        """What a search came to, also while it goes on; `stopped` says why it does not."""
        first = [result for result in status.results if result.repeats is None]
        points = np.array([result.choices for result in first], np.int64)
        rows = self.space.numbers(points).tolist() if first else []
        named = list(zip(rows, (result.state for result in first), strict=True))
        evaluated = [row for row, state in named if state == "trained"]
        infeasible = [row for row, state in named if state == "infeasible" and row >= 0]
        return self.judge(evaluated, infeasible, stopped or status.stopped, status.exhausted)

    def judge(
        self,
        evaluated: Sequence[int],
        infeasible: Sequence[int] = (),
        stopped: str | None = None,
        exhausted: bool = False,
    ) -> TableResult:
        """What rows that were evaluated come to, in the order in which they were.

        Rows may repeat; -1 stands for an evaluation of options that have no row. Both find nothing.

        Raises:
            BadInput: there is no such row.
        """
        there = [row for row in evaluated if row != -1]
        for row in there:
            self.space.row(row)
        numbers = np.array(list(dict.fromkeys(there)), np.int64)
        within = [row for row in there if self._within[row]]
        best = min(within, key=lambda row: (-self._values[row, 0], *self._values[row, 1:]), default=None)
        regret = None if best is None else self.best_accuracy - float(self._values[best, 0])
        curves = self._curves(evaluated)
        return TableResult(
            tuple(evaluated),
            tuple(infeasible),
            stopped,
            exhausted,
            tuple(self._front_of(numbers).tolist()),
            int(np.isin(numbers, self.front).sum()),
            len(self.front),
            *curves,
            best,
            regret,
        )

    def _front_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some rows that no other of them beats, by the first latency."""
        kept = rows[non_dominated(self._values[rows], self._maximise)]
        return kept[np.lexsort((kept, -self._values[kept, 0], self._values[kept, 1]))]

    def _curves(self, evaluated: Sequence[int]) -> tuple[Floats | None, Floats | None]:
        """Both shares of the true hypervolume after each evaluation."""
        costs = np.where(self._maximise, -self._values, self._values)
        found = np.empty((2, len(evaluated)))
        front = np.empty(0, np.int64)
        volumes = [0.0, 0.0]
        for at, row in enumerate(evaluated):
            if row >= 0 and not np.any(np.all(costs[front] <= costs[row], axis=1)):
                front = np.append(front[~np.all(costs[front] >= costs[row], axis=1)], row)
                volumes = [self._volume(front, reference) for reference in self._references]
            found[:, at] = volumes
        first, lowest = (
            curve / volume if volume else None for curve, volume in zip(found, self._volumes, strict=True)
        )
        return first, lowest

    def _volume(self, rows: NDArray[np.int64], reference: Sequence[float]) -> float:
        return hypervolume(self._values[rows], self._maximise, reference)


def run_table(
    space: TableSpace,
    sampler: str | BaseSampler,
    *,
    trials: int = 40,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    goals: Sequence[Goal] = (),
    reward: str | Exponents | None = None,
    truth: TableTruth | None = None,
    on_progress: Callable[[Status], None] | None = None,
) -> TableResult:
    """Search a table and judge what was found.

    Args:
        space: the table.
        sampler: a name of the registry, or an Optuna sampler.
        trials: rows to evaluate.
        seed: of a strategy by name.
        settings: of a strategy by name.
        goals: what is wanted of the latencies; the table's own goals if left out.
        reward: what strategies for one number learn from, as `mnas.search.search` has it.
        truth: of this space and these goals, if it is at hand.
        on_progress: called at the start and for every result.

    Raises:
        Infeasible: no row is within all targets and caps; nothing was evaluated.
        BadInput: the goals or the number of trials cannot be used.
        ControllersError: there is no such strategy, or it does not take the settings.
    """
    from mnas.search import search

    truth = truth or TableTruth(space, goals)
    status = search(
        space,
        sampler,
        trials=trials,
        seed=seed,
        settings=settings,
        goals=goals,
        reward=reward,
        on_progress=on_progress,
    )
    return truth.judge_status(status)


def _end(curve: Floats | None) -> float | None:
    if curve is None:
        return None
    return float(curve[-1]) if len(curve) else 0.0
