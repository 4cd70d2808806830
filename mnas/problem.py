"""What strategies may be told of a search beforehand, made of its costs and goals. Knows no strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from controllers.problem import Known, Problem
from mnas.costs import Cost, Figures, Goal, Points
from mnas.reward import Exponents, Reward
from mnas.spaces.base import SearchSpace
from mnas.spaces.sampling import points_of, typical

#: user attribute of a trained trial: its reward when it was trained
REWARD = "reward"
#: points that a strategy may have looked up for one proposal, where all costs are vectorised, and else
MANY, FEW = 200_000, 2_000


class Correction(Protocol):
    """What measuring during a search has told of how far predictions are off."""

    def factor(self, cost: str) -> float:
        """Measured / predicted, by which the cost's targets and caps are judged; 1 where nothing is known."""


class Scores(Protocol):
    """A reward."""

    def __call__(self, accuracy: float, costs: dict[str, float], /) -> float:
        """More is better."""


def problem_of(
    space: SearchSpace,
    costs: Sequence[Cost],
    goals: Sequence[Goal],
    correction: Correction | None = None,
    reward: Scores | None = None,
    *,
    trials: int | None = None,
) -> Problem:
    """A search as strategies know it.

    Args:
        space: to search.
        costs: of its architectures.
        goals: one for each cost, in their order.
        correction: by which caps move as the search goes on.
        reward: for trials that have none noted, as those of older runs. Without it, the default if there is a
            target; if there is none, strategies are told no reward: nobody has said how to weigh objectives.
        trials: how many the search is begun for; None if that may change while proposals must not.
    """
    objectives = [goal.cost for goal in goals if goal.objective]
    if reward is None and any(goal.target is not None for goal in goals):
        reward = default_reward(space, costs, goals)
    return Problem(
        {choice.name: choice.options for choice in space.choices},
        known_of(costs, goals, correction),
        None if reward is None else _Noted(reward, tuple(objectives)),
        points_of(space),
        trials,
    )


def known_of(
    costs: Sequence[Cost], goals: Sequence[Goal], correction: Correction | None = None
) -> Known | None:
    """What can be looked up of points; None if nothing can.

    Args:
        costs: those that are measured one by one are left out.
        goals: one for each cost, in their order; costs that are to be unknown are left out, too.
        correction: by which caps move as the search goes on.
    """
    objectives = [goal.cost for goal in goals if goal.objective]
    pairs = [pair for pair in zip(costs, goals, strict=True) if pair[0].quick and pair[1].known]
    if not pairs:
        return None
    asked = tuple(cost for cost, _ in pairs)
    return Known(
        _Columns(asked),
        tuple(1 + objectives.index(goal.cost) if goal.objective else None for _, goal in pairs),
        _Allowed(tuple(goal for _, goal in pairs), correction),
        MANY if all(cost.vectorised for cost in asked) else FEW,
    )


def default_reward(
    space: SearchSpace, costs: Sequence[Cost], goals: Sequence[Goal], exponents: Exponents | None = None
) -> Reward:
    """The paper's reward over all costs that have a target.

    Where none has, each objective is weighed against its median over random points of the space, or against 1
    where it is measured one by one or is to be unknown beforehand. The soft reward changes by it only by a
    constant factor; the hard one is about no more than that figure then.
    """
    targets = {goal.cost: goal.target for goal in goals if goal.target is not None}
    if not targets:
        targets = {
            goal.cost: float(np.median(cost.figures(typical(space)))) if cost.quick and goal.known else 1.0
            for cost, goal in zip(costs, goals, strict=True)
            if goal.objective
        }
    return Reward(targets, exponents or Exponents.of("soft"))


@dataclass(frozen=True, slots=True)
class _Columns:
    """The costs of points, side by side."""

    costs: tuple[Cost, ...]

    def __call__(self, points: Points) -> Figures:
        return np.stack([cost.figures(points) for cost in self.costs], axis=1)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Which figures are under every cap, as the correction sees them now."""

    goals: tuple[Goal, ...]
    correction: Correction | None

    def __call__(self, figures: Figures) -> NDArray[np.bool_]:
        caps = [np.inf if goal.cap is None else goal.cap for goal in self.goals]
        factors = [1.0 if self.correction is None else self.correction.factor(g.cost) for g in self.goals]
        allowed: NDArray[np.bool_] = np.all(figures * np.array(factors) <= np.array(caps), axis=1)
        return allowed


@dataclass(frozen=True, slots=True)
class _Noted:
    """The reward noted on a trial when it was trained, so that replaying is exact; else from its values."""

    reward: Scores
    objectives: tuple[str, ...]

    def __call__(self, trial: FrozenTrial) -> float:
        if REWARD in trial.user_attrs:
            return float(trial.user_attrs[REWARD])
        accuracy, *costs = trial.values
        return self.reward(accuracy, dict(zip(self.objectives, costs, strict=True)))
