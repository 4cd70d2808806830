"""How far a search has come: its results, and what is read from them. Searches nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mnas.costs import Goal
from mnas.errors import BadRun
from mnas.gaps import factors_of, gaps_of, measured_of
from mnas.pareto import hypervolume, non_dominated
from mnas.records import COSTS
from mnas.results import Result
from mnas.run import RunConfig, RunDirectory
from mnas.wanted import LATENCY


@dataclass(frozen=True, slots=True)
class Status:
    """How far a search has come.

    Attributes:
        results: one per proposal, in the order in which they came.
        trials: candidates to train.
        goals: what is wanted of each cost; the first one is the cost that results have as `latency_ms`.
        stopped: why the search ended before `trials` candidates were trained; None if it did not.
        exhausted: whether it ended early only because the space has no more to offer.
        factors: measured / predicted by cost, where measuring has told; others are 1.
        measured: by cost, milliseconds of architectures by their text, measured near a cap or on the front.
        reference: the hypervolume's reference point by objective cost, with accuracy 0; fixed for the whole
            search. Empty where it is not known.
        running: numbers of the trials that are being evaluated.
    """

    results: tuple[Result, ...]
    trials: int
    goals: tuple[Goal, ...]
    stopped: str | None = None
    exhausted: bool = False
    factors: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reference: Mapping[str, float] = field(default_factory=dict)
    running: tuple[int, ...] = ()

    @property
    def trained(self) -> list[Result]:
        """The trained candidates, each architecture once."""
        return [result for result in self.results if result.counts]

    def count(self, state: str) -> int:
        """How many first results are in a state; repetitions do not count."""
        return sum(result.state == state and result.repeats is None for result in self.results)

    @property
    def repeated(self) -> int:
        """How many proposals repeated an earlier architecture."""
        return sum(result.repeats is not None for result in self.results)

    @property
    def feasible_share(self) -> float | None:
        """Of the architectures whose costs are known, how many are under every cap; None if there is none."""
        first = [one for one in self.results if one.repeats is None]
        known = sum(one.state == "infeasible" or one.latency_ms is not None for one in first)
        return None if not known else 1 - self.count("infeasible") / known

    @property
    def objectives(self) -> tuple[str, ...]:
        """The costs that are objectives."""
        return tuple(goal.cost for goal in self.goals if goal.objective)

    def costs(self, result: Result) -> dict[str, float]:
        """The known costs of a result by name, as they were predicted."""
        return result.figures(self.goals[0].cost)

    def corrected(self, result: Result) -> dict[str, float]:
        """The same as they are on the devices: measured where they were, else predicted and corrected."""
        return corrected(self.costs(result), self.measured_of(result), self.factors)

    def measured_of(self, result: Result) -> dict[str, float]:
        """What was measured of a result's architecture, by cost: before it was trained, or on the front."""
        text = result.architecture
        later = {cost: networks[text] for cost, networks in self.measured.items() if text in networks}
        return {**result.measured_ms, **later}

    def point(self, result: Result) -> tuple[float, ...]:
        """Accuracy and the objective costs of a trained result, as the study has them."""
        return values(result, self.goals)

    @property
    def front(self) -> list[Result]:
        """Trained candidates that no other beats in all objectives; least of the first cost first."""
        trained = self.trained
        if not trained:
            return []
        points = np.array([self.point(result) for result in trained])
        ways = [True, *(False for _ in self.objectives)]
        kept: list[int] = np.flatnonzero(non_dominated(points, ways)).tolist() if trained else []
        return sorted((trained[at] for at in kept), key=lambda result: self.point(result)[1:])

    @property
    def best(self) -> Result | None:
        """The most accurate trained candidate at or under every target, the cheapest of equals; else None."""
        targets = {goal.cost: goal.target for goal in self.goals if goal.target is not None}
        under = []
        for result in self.trained:
            costs = self.corrected(result)
            _require(result, costs, targets)
            if all(costs[name] <= target for name, target in targets.items()):
                under.append(result)
        return min(under, key=lambda r: (-self.point(r)[0], self.point(r)[1:]), default=None)

    @property
    def hypervolume(self) -> float | None:
        """Of the trained candidates, over all objectives, to accuracy 0 and `reference`.

        It only grows while a search goes on. None where the reference is not known.
        """
        if not set(self.objectives) <= self.reference.keys():
            return None
        corner = [0.0, *(self.reference[name] for name in self.objectives)]
        points = [self.point(result) for result in self.trained]
        return hypervolume(points, [True, *(False for _ in self.objectives)], corner)


def values(result: Result, goals: Sequence[Goal]) -> tuple[float, ...]:
    """Accuracy and the objective costs of a trained result: the study's values.

    Raises:
        BadInput: it is not trained.
        BadRun: it lacks one of the costs.
    """
    accuracy, _ = result.point
    costs = result.figures(goals[0].cost)
    names = [goal.cost for goal in goals if goal.objective]
    _require(result, costs, names)
    return (accuracy, *(costs[name] for name in names))


def _require(result: Result, costs: Mapping[str, float], names: Iterable[str]) -> None:
    if missing := [name for name in names if name not in costs]:
        raise BadRun(
            f"result {result.number} has no {', '.join(missing)}; it is from a search for other costs"
        )


def corrected(
    costs: Mapping[str, float], measured: Mapping[str, float], factors: Mapping[str, float]
) -> dict[str, float]:
    """Costs as they are on the devices, as far as it is known."""
    return {name: measured.get(name, value * factors.get(name, 1.0)) for name, value in costs.items()}


def status_of(run: RunDirectory, factors: Mapping[str, float] | None = None) -> Status:
    """A run's status from its files alone, also while a search writes to them.

    Args:
        factors: by cost; those that follow from what the run's search has measured if left out.

    Raises:
        BadRun: files cannot be read.
    """
    gaps = gaps_of(run)
    if factors is None:
        factors = {cost: factor for cost, factor in factors_of(gaps).items() if factor != 1}
    return Status(
        tuple(run.results()),
        run.config.trials,
        goals_of(run.config),
        factors=factors,
        measured=measured_of(gaps),
        reference=read_reference(run),
    )


def goals_of(config: RunConfig) -> tuple[Goal, ...]:
    """What a run's settings want of its costs, the first device's latency first."""
    first = Goal(LATENCY, target=config.target_ms, cap=config.cap_ms)
    others = (Goal(name, one.objective, one.target, one.cap) for name, one in config.also.items())
    return (first, *others)


def read_reference(run: RunDirectory) -> dict[str, float]:
    """The hypervolume's reference point that was fixed when the search began; empty for older runs.

    Raises:
        BadRun: its file holds something else.
    """
    try:
        found = json.loads(run.reference_file.read_text(encoding="utf-8"))
        if not COSTS.holds(found):
            raise ValueError(f"it holds {found!r:.60}; it must be {COSTS.words}")
        return {name: float(value) for name, value in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadRun(f"{run.reference_file}: no reference point of a hypervolume: {error}") from error
