"""A search from its parts: what it chooses from, what is known beforehand, who proposes. Trains nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from mnas.config import TRIALS
from mnas.costs import Cost, Goal, Latency, goals_for
from mnas.errors import BadInput
from mnas.evaluations import Evaluations, Inline
from mnas.feasible import require_feasible
from mnas.jsonl import write_whole
from mnas.latency import LatencySource
from mnas.left import Left
from mnas.loop import FAILURES_IN_A_ROW, PROPOSALS_PER_TRIAL, InMemory, LiveCorrection, Loop
from mnas.problem import Scores, default_reward, problem_of
from mnas.reward import Exponents
from mnas.run import RunDirectory
from mnas.spaces.base import SearchSpace
from mnas.spaces.sampling import points_of, typical
from mnas.status import Status, goals_of, read_reference, values
from mnas.study import RunStudy, quiet_optuna

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["FAILURES_IN_A_ROW", "PROPOSALS_PER_TRIAL", "Status", "search"]

_LOG = logging.getLogger(__name__)
Limit = float | Mapping[str, float] | None


def search(
    space: SearchSpace,
    sampler: str | BaseSampler,
    *,
    accuracy: Callable[[Any], float] | None = None,
    latency: LatencySource | Mapping[str, LatencySource] | None = None,
    reward: str | Exponents | Scores | None = None,
    trials: int | None = None,
    target_ms: Limit = None,
    cap_ms: Limit = None,
    costs: Sequence[Cost] = (),
    goals: Sequence[Goal] = (),
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    run: RunDirectory | None = None,
    evaluations: Evaluations | None = None,
    correction: LiveCorrection | None = None,
    on_progress: Callable[[Status], None] | None = None,
) -> Status:
    """Train the candidates that a strategy proposes until there are enough.

    A candidate above a cap is recorded infeasible and not trained; a training that fails is recorded and the
    search goes on; an architecture that comes again keeps its result. A run that was begun before goes on:
    nothing that was recorded is evaluated again, what was being evaluated when its process died is evaluated
    first.

    Args:
        space: what to choose from. One that knows accuracies and costs itself, as a table does, has
            `evaluate`, `costs` and `goals`; they are taken where `accuracy`, `latency` and `goals` are not
            given, its goals only together with its costs.
        sampler: a strategy's name in `controllers.registry`, or any Optuna sampler for several objectives.
        accuracy: of what the space decodes to, share 0 to 1; whatever it raises is a failed candidate. Not
            needed with `evaluations`.
        latency: known before training, of one device, or of several by name, the first one first.
        reward: what strategies for one number learn from: `soft` (the default), `hard`, exponents, or a
            function of accuracy and of costs by name.
        trials: candidates to train; 40 without a run.
        target_ms: of the first device or cost, or of several by name.
        cap_ms: likewise.
        costs: others than latency.
        goals: what is wanted of costs, by name; the others are objectives without limits, but for `target_ms`
            and `cap_ms`.
        seed: of a strategy that is named; 0 without a run.
        settings: likewise.
        run: open for writing; keeps everything. Its configuration has target, cap, trials and seed where they
            are not given. Without it the search is in memory.
        evaluations: who evaluates, several at once perhaps; in this thread by `accuracy` if left out.
        correction: measures during the search; none if left out.
        on_progress: called at the start and for every result.

    Raises:
        Infeasible: nothing in the space reaches the targets or caps; nothing was trained. Where that is not
            certain, the search goes on, and Python's and the run's logs say so.
        BadInput: something is missing, or does not fit together.
        BadRun: the run's files do not belong together.
        UnknownController: there is no strategy of that name.
        MissingOperators: a latency table does not cover the space.
        DeviceTrouble: candidates cannot be measured any more.
    """
    every = _costs(space, latency, costs)
    config = None if run is None else run.config
    devices = list(latency) if isinstance(latency, Mapping) else []
    names = dict(zip(devices, (cost.name for cost in every), strict=False))
    names = {**names, **{cost.name: cost.name for cost in every}}
    targets, caps = _by_cost(target_ms, names), _by_cost(cap_ms, names)
    own = () if latency is not None else tuple(getattr(space, "goals", ()))
    goals = goals or (own if config is None else goals_of(config))
    wanted = goals_for(every, _limited(goals, targets, caps))
    trials = trials if trials is not None else TRIALS if config is None else config.trials
    seed = seed if seed is not None else 0 if config is None else config.seed
    if _whole(trials) < 1:
        raise BadInput(f"trials is {trials!r}; it must be 1 or more")
    if evaluations is None:
        accuracy = accuracy or getattr(space, "evaluate", None)
        if accuracy is None:
            raise BadInput("a search needs `accuracy`, a function of an architecture, or `evaluations`")
        evaluations = Inline(accuracy)
    results = [] if run is None else run.results()
    if not results:
        require_feasible(space, every, wanted, partial(_warn, run))
    scores = _scores(reward, space, every, wanted)
    reference = _reference(space, every, wanted, run)
    if isinstance(sampler, str):
        from controllers.registry import create

        asked = reward is not None or any(goal.target is not None for goal in wanted)
        # a run may be made longer; its settings say what strategies that plan ahead go by
        planned = trials if run is None else None
        problem = problem_of(space, every, wanted, correction, scores if asked else None, trials=planned)
        sampler = create(sampler, seed, problem, settings)
    elif not hasattr(type(sampler), "sample_relative"):
        raise BadInput(
            f"sampler is {sampler!r}; it must be a strategy's name or an Optuna sampler, an object"
        )
    elif settings:
        raise BadInput("settings are for strategies by name; give the sampler its own")
    objectives = ("accuracy", *(goal.cost for goal in wanted if goal.objective))
    with quiet_optuna():
        study = RunStudy(run, space, sampler, objectives, lambda result: values(result, wanted))
        study.reconcile(results)
        loop = Loop(
            space, every, wanted, scores, evaluations, correction, run or InMemory(), study,
            Left(space, every, wanted, correction), trials, reference, results,
            screens=getattr(sampler, "screens", False),
        )  # fmt: skip
        return loop.run(on_progress or (lambda _: None))


def _whole(trials: Any) -> int:
    """A number of trials, which may be an integer of any library."""
    try:
        return index(trials)
    except TypeError:
        raise BadInput(f"trials is {trials!r}; it must be a whole number") from None


def _warn(run: RunDirectory | None, message: str) -> None:
    _LOG.warning(message)
    if run is not None:
        run.log(message)


def _costs(
    space: SearchSpace, latency: LatencySource | Mapping[str, LatencySource] | None, others: Sequence[Cost]
) -> tuple[Cost, ...]:
    if latency is None:
        own: Sequence[Cost] = getattr(space, "costs", ())
        if not own and not others:
            raise BadInput("a search needs `latency`: of one device, or of several by name")
        return (*own, *others)
    named = latency if isinstance(latency, Mapping) else {"": latency}
    if not named:
        raise BadInput("no latency is given; a search needs at least one")
    first, *rest = named
    return (Latency(named[first], space), *(Latency(named[name], space, name) for name in rest), *others)


def _limited(goals: Sequence[Goal], targets: Mapping[str, float], caps: Mapping[str, float]) -> list[Goal]:
    """Goals, with targets and caps by the name of the cost."""
    named = {goal.cost: goal for goal in goals}
    if len(named) < len(goals):
        return list(goals)  # which `goals_for` refuses
    for name in {**targets, **caps}:
        goal = named.get(name, Goal(name))
        named[name] = replace(goal, target=targets.get(name, goal.target), cap=caps.get(name, goal.cap))
    return list(named.values())


def _by_cost(limit: Limit, names: Mapping[str, str]) -> dict[str, float]:
    """Limits by the name of the cost.

    Args:
        limit: one for the first cost, or several.
        names: of costs, by what they may be called.
    """
    if limit is None:
        return {}
    if not isinstance(limit, Mapping):
        return {next(iter(names.values())): limit}
    if foreign := [name for name in limit if name not in names]:
        raise BadInput(f"a limit is for {foreign[0]}, which is none of the costs: {', '.join(names)}")
    return {names[name]: value for name, value in limit.items()}


def _scores(
    reward: str | Exponents | Scores | None, space: SearchSpace, costs: Sequence[Cost], goals: Sequence[Goal]
) -> Scores:
    if reward is None or isinstance(reward, str):
        reward = Exponents.of(reward or "soft")
    return default_reward(space, costs, goals, reward) if isinstance(reward, Exponents) else reward


def _reference(
    space: SearchSpace, costs: Sequence[Cost], goals: Sequence[Goal], run: RunDirectory | None
) -> dict[str, float]:
    """By objective cost, what the hypervolume is taken up to; a run keeps it, so that it never moves.

    The cap; without one, in a space of points that exist, the largest of them; else twice the target; else
    the largest of `typical` points. A cost that is measured one by one and has no limit has none.
    """
    kept = {} if run is None else read_reference(run)
    found = {
        goal.cost: reference
        for cost, goal in zip(costs, goals, strict=True)
        if goal.objective and (reference := kept.get(goal.cost) or _largest(space, cost, goal)) is not None
    }
    if run is not None and found != kept:
        write_whole(run.reference_file, (json.dumps(found) + "\n").encode())
    return found


def _largest(space: SearchSpace, cost: Cost, goal: Goal) -> float | None:
    if goal.cap is not None:
        return goal.cap
    if points_of(space) is None and goal.target is not None:
        return 2 * goal.target
    return float(np.max(cost.figures(typical(space)))) if cost.quick else None
