"""What users have today, on a table of architectures: stock Optuna samplers and pymoo's NSGA-II. No verdict.

Each gets the table as a black box of two objectives and option indices, with its library's own defaults but
for a population that fits tens of evaluations. A combination without a row gets the worst figures of the
table, and costs an evaluation like any other; so does a row that is proposed again.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from mnas.spaces.tabular import TableSpace

#: of both NSGA-IIs: the same as of this project's
POPULATION = 24


def settings(package: str, **more: Any) -> dict[str, Any]:
    """What a peer is set up with, for the record: its package's version and what is not its default."""
    return {package: version(package), **more}


class Table:
    """The black box: option indices to (accuracy, latency), and a record of the rows that were looked at."""

    def __init__(self, space: TableSpace) -> None:
        self.sizes = [len(choice.options) for choice in space.choices]
        self.rows: list[int] = []
        self._figures = space.figures
        self._places = {tuple(point): row for row, point in enumerate(space.points.tolist())}

    def __call__(self, indices: tuple[int, ...]) -> tuple[float, float]:
        """Accuracy and latency in milliseconds."""
        row = self._places.get(indices)
        self.rows.append(-1 if row is None else row)
        if row is None:
            return float(self._figures[:, 0].min()), float(self._figures[:, 1].max())
        return float(self._figures[row, 0]), float(self._figures[row, 1])


def optuna_tpe(space: TableSpace, trials: int, seed: int) -> list[int]:
    """Optuna's TPESampler, as it comes."""
    from optuna.samplers import TPESampler

    return _optuna(TPESampler(seed=seed), space, trials)


def optuna_nsga2(space: TableSpace, trials: int, seed: int) -> list[int]:
    """Optuna's NSGAIISampler."""
    from optuna.samplers import NSGAIISampler

    return _optuna(NSGAIISampler(seed=seed, population_size=POPULATION), space, trials)


def _optuna(sampler: BaseSampler, space: TableSpace, trials: int) -> list[int]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = Table(space)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        # as users write it: categorical choices
        indices = (
            trial.suggest_categorical(f"c{at}", range(size)) if size > 1 else 0
            for at, size in enumerate(table.sizes)
        )
        return table(tuple(int(index) for index in indices))

    study.optimize(objective, n_trials=trials)
    return table.rows


def pymoo_nsga2(space: TableSpace, trials: int, seed: int) -> list[int]:
    """pymoo's NSGA2 with the operators that its documentation gives for integers."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    table = Table(space)

    class Search(ElementwiseProblem):  # type: ignore[misc] # pymoo has no types
        def __init__(self) -> None:
            upper = np.array(table.sizes) - 1
            super().__init__(n_var=len(upper), n_obj=2, xl=np.zeros(len(upper)), xu=upper, vtype=int)

        def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
            accuracy, latency_ms = table(tuple(int(value) for value in x))
            out["F"] = [-accuracy, latency_ms]

    repair = RoundingRepair()
    algorithm = NSGA2(
        pop_size=min(POPULATION, trials),
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=repair),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=repair),
        eliminate_duplicates=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minimize(Search(), algorithm, ("n_eval", trials), seed=seed)
    return table.rows[:trials]
