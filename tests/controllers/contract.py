"""What tests of every strategy share: their names, studies over a few choices, outcomes that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from controllers import registry
from controllers.problem import Figures, Known, Points, Problem

optuna.logging.set_verbosity(optuna.logging.WARNING)

Outcome = tuple[TrialState, list[float] | None]
Point = tuple[int, ...]

#: what needs a package that is not installed by default
EXTRAS = {"gp": "torch"}


def _named(name: str) -> Any:
    if name not in EXTRAS:
        return name
    missing = pytest.mark.skipif(find_spec(EXTRAS[name]) is None, reason=f"{EXTRAS[name]} is not installed")
    # minutes where others take seconds
    return pytest.param(name, marks=[pytest.mark.gp, pytest.mark.timeout(3600), missing])


#: every strategy, for `parametrize`: a new one is tested as soon as it is in the registry
NAMES = [_named(name) for name in registry.names()]
#: those that do not learn: nothing that they propose depends on results
BLIND = ("random", "qmc")
LEARNING = [_named(name) for name in registry.names() if name not in BLIND]

#: settings, of strategies that have them, with which they have begun to learn after a few trials
EARLY: Mapping[str, int] = {
    "population": 6,
    "tournament": 3,
    "startup": 5,
    "initial": 5,
    "batch": 2,
    "trials": 20,
}


def problem(*sizes: int, **known: Any) -> Problem:
    """Choices of so many options each."""
    return Problem({f"x{at}": tuple(range(size)) for at, size in enumerate(sizes)}, **known)


def sampler_of(name: str, seed: int, space: Problem | None, **settings: Any) -> BaseSampler:
    """A strategy that soon begins to learn."""
    has = registry.describe(name).settings
    early = {key: value for key, value in EARLY.items() if key in has}
    return registry.create(name, seed, space, early | settings)


def study_of(name: str, space: Problem | None, seed: int = 0, **settings: Any) -> optuna.Study:
    return optuna.create_study(
        directions=["maximize", "minimize"], sampler=sampler_of(name, seed, space, **settings)
    )


def mixed(point: Point) -> Outcome:
    """Values that differ, and every kind of ending."""
    total = sum(value * (at + 1) for at, value in enumerate(point))
    if total % 7 == 3:
        return TrialState.FAIL, None
    if total % 5 == 4:
        return TrialState.PRUNED, None
    return TrialState.COMPLETE, [float(total % 11), float(sum(point))]


def alike(point: Point) -> Outcome:
    """The same for all."""
    return TrialState.COMPLETE, [1.0, 1.0]


def run(
    study: optuna.Study, trials: int, space: Problem, outcome: Callable[[Point], Outcome] = mixed
) -> list[Point]:
    """One trial after the other: what was proposed."""
    proposals = []
    for _ in range(trials):
        trial = study.ask(dict(space.distributions))
        proposals.append(tuple(trial.params[name] for name in space.choices))
        state, values = outcome(proposals[-1])
        study.tell(trial, values, state=state)
    return proposals


def capped(cap: float, weights: Sequence[float], pool: int = 2000) -> Known:
    """A known second objective, the weighted sum of a point's indices, that may not be above a cap."""
    return Known(partial(_weighted, weights=tuple(weights)), (1,), partial(_under, cap=cap), pool)


def _weighted(points: Points, weights: Sequence[float]) -> Figures:
    return (points @ np.array(weights, dtype=float))[:, None]


def _under(figures: Figures, cap: float) -> NDArray[np.bool_]:
    return figures[:, 0] <= cap


def product(trial: FrozenTrial) -> float:
    """A reward of two objectives."""
    first, second = trial.values
    return first / (1 + second)
