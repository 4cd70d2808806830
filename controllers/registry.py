"""Search strategies by name. Knows which there are and how each is set up, not how they work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any

from controllers.errors import BadSetting, UnknownController

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from controllers.problem import Problem

Setting = str | int | float | bool
#: a maker of samplers from a 32 bit seed, one for each proposal, given the problem, the strategy's own seed
#: and its settings
Maker = Callable[..., Callable[[int], "BaseSampler"]]

#: settings that every strategy has. screened: what is drawn again by what is known of it beforehand: `no`,
#: nothing; `ruled_out`, what may not be evaluated; `front`, also what could be on the front only as a new
#: record in what is not known
COMMON: Mapping[str, Setting] = {"screened": "ruled_out"}


@dataclass(frozen=True, slots=True)
class Controller:
    """A strategy: what it is, and its settings with their defaults.

    Attributes:
        summary: one line for people.
        source: the paper, or the library.
        make: `make(problem, seed, **settings)` gives a maker of samplers from a proposal's seed; `seed` is
            the strategy's own, for what is random in its state, such as a policy's first weights.
        settings: by name, with their defaults.
    """

    summary: str
    source: str
    make: Maker
    settings: Mapping[str, Setting] = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """Names that `create` takes."""
    return tuple(_CONTROLLERS)


def describe(name: str) -> Controller:
    """What a strategy is.

    Raises:
        UnknownController: there is no strategy of that name.
    """
    if name not in _CONTROLLERS:
        raise UnknownController(f"unknown controller {name!r}; there are: {', '.join(_CONTROLLERS)}")
    return _CONTROLLERS[name]


def create(
    name: str, seed: int, problem: Problem | None = None, settings: Mapping[str, Any] | None = None
) -> BaseSampler:
    """A strategy as an Optuna sampler that repeats by its seed, also over interruptions of the study.

    Args:
        name: one of `names()`.
        seed: 0 or more.
        problem: what is known of the search beforehand; without it, what the study shows.
        settings: of the strategy, by name; the rest stay at their defaults. Texts are read as the type of
            the default.

    Raises:
        UnknownController: there is no strategy of that name.
        BadSetting: it has no such setting, or it does not take the value; the seed is no whole number
            or below 0.
        MissingExtra: the strategy needs a package that is not installed.
    """
    from controllers.seeded import SCREENS, SeededSampler

    controller = describe(name)
    seed = _whole(seed)
    chosen = settled(name, settings)
    screened = str(chosen.pop("screened"))
    if screened not in SCREENS:
        raise BadSetting(f"screened of {name} is {screened!r}; allowed: {', '.join(SCREENS)}")
    make = controller.make(problem, seed, **chosen)
    return SeededSampler(name, make, seed, problem, screened=screened)


def _whole(seed: Any) -> int:
    """A seed, which may be an integer of any library."""
    try:
        number = index(seed)
    except TypeError:
        number = -1
    if number < 0 or isinstance(seed, bool):
        raise BadSetting(f"the seed is {seed!r}; it must be a whole number, 0 or more")
    return number


def settled(name: str, given: Mapping[str, Any] | None = None) -> dict[str, Setting]:
    """All settings of a strategy as `create` takes them: those given, read as their types, and the defaults.

    Raises:
        UnknownController: there is no strategy of that name.
        BadSetting: it has no such setting, or it is of another type.
    """
    defaults, given = {**describe(name).settings, **COMMON}, given or {}
    for key in given:
        if key not in defaults:
            raise BadSetting(f"{name} has no setting {key!r}; it has: {', '.join(defaults)}")
    return {**defaults, **{key: _read(name, key, defaults[key], value) for key, value in given.items()}}


def _read(name: str, key: str, default: Setting, value: Any) -> Setting:
    kind = type(default)
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                value.lower()
            ]
        if isinstance(value, bool) is not (kind is bool) or (kind is int and float(value) != int(value)):
            raise ValueError
        return kind(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise BadSetting(
            f"{key} of {name} is {value!r}; it must be a {_KINDS[kind]}, such as its default, {default}"
        ) from None


_KINDS: Mapping[type, str] = {str: "word", int: "whole number", float: "number", bool: "yes or no"}


def _by_the_study(
    make: Callable[..., Callable[[int], BaseSampler]],
    problem: Problem | None,  # noqa: ARG001 - a maker's interface
    seed: int,  # noqa: ARG001 - likewise
    **settings: Setting,
) -> Callable[[int], BaseSampler]:
    """Optuna's own samplers see the study alone. One is made at once, to refuse what it does not take."""
    made = make(**settings)
    made(0)
    return made


def _random() -> Callable[[int], BaseSampler]:
    from optuna.samplers import RandomSampler

    return RandomSampler


def _nsga2(**settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.optunas import nsga2

    return nsga2(**settings)


def _nsga3(**settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.optunas import nsga3

    return nsga3(**settings)


def _tpe(**settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.optunas import tpe

    return partial(tpe, **settings)


def _gp(**settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.optunas import gp

    return partial(gp, **settings)


def _qmc(problem: Problem | None, seed: int) -> Callable[[int], BaseSampler]:
    from controllers.optunas import QuasiRandom

    return QuasiRandom(problem, seed)


def _regularized_evolution(
    problem: Problem | None,
    seed: int,  # noqa: ARG001 - only its proposals are random
    *,
    population: int,
    tournament: int,
) -> Callable[[int], BaseSampler]:
    from controllers.evolution import RegularizedEvolution
    from controllers.replay import Replay

    return Replay(partial(RegularizedEvolution, population=population, tournament=tournament), problem)


def _predictor_guided(problem: Problem | None, seed: int, **settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.guided.algorithm import PredictorGuided
    from controllers.replay import Replay

    return Replay(partial(PredictorGuided, seed=seed, **settings), problem)


def _ppo(problem: Problem | None, seed: int, **settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.ppo import ppo
    from controllers.replay import Replay

    return Replay(partial(ppo, seed=seed, **settings), problem)


def _reinforce(problem: Problem | None, seed: int, **settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.reinforce import reinforce
    from controllers.replay import Replay

    return Replay(partial(reinforce, seed=seed, **settings), problem)


def _q_learning(problem: Problem | None, seed: int, **settings: Any) -> Callable[[int], BaseSampler]:
    from controllers.q_learning import QLearning
    from controllers.replay import Replay

    return Replay(partial(QLearning, seed=seed, **settings), problem)


_CONTROLLERS: Mapping[str, Controller] = {
    "random": Controller(
        "every option equally likely: the reference",
        "Optuna's RandomSampler",
        partial(_by_the_study, _random),
    ),
    "nsga2": Controller(
        "genetic algorithm by non-dominated sorting",
        "Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002",
        partial(_by_the_study, _nsga2),
        # half of Optuna's default of 50, since a search trains tens of candidates rather than thousands
        {"population": 24},
    ),
    "nsga3": Controller(
        "genetic algorithm by reference points, for three or more objectives",
        "Deb and Jain, An evolutionary many-objective optimization algorithm: NSGA-III, 2014",
        partial(_by_the_study, _nsga3),
        # 21 reference points for three objectives: about one for each member, as the paper has it
        {"population": 24, "divisions": 5},
    ),
    "tpe": Controller(
        "multi-objective tree-structured Parzen estimator",
        "Ozaki et al., Multiobjective tree-structured Parzen estimator, 2022",
        partial(_by_the_study, _tpe),
        {"startup": 10},
    ),
    "gp": Controller(
        "Gaussian processes and expected hypervolume improvement; needs the extra mnas[gp]",
        "Optuna's GPSampler; Daulton et al., Differentiable expected hypervolume improvement, 2020",
        partial(_by_the_study, _gp),
        {"startup": 10},
    ),
    "qmc": Controller(
        "quasi-random: a scrambled Sobol sequence over the options, which spreads points evenly",
        "Optuna's QMCSampler; Sobol, On the distribution of points in a cube, 1967",
        _qmc,
    ),
    "regularized_evolution": Controller(
        "ageing evolution: mutates one choice of a tournament's winner",
        "Real et al., Regularized evolution for image classifier architecture search, 2019",
        _regularized_evolution,
        # of populations of 6 to 24, the best on made-up tables of 216 to 6912 points at 48 to 200 evaluations
        {"population": 16, "tournament": 8},
    ),
    "predictor_guided": Controller(
        "predicts accuracy, looks latency up, proposes what promises most for the front",
        "ours; Emmerich et al., Hypervolume-based expected improvement, 2011",
        _predictor_guided,
        {"latency": "known", "initial": 8, "near": 0.3},
    ),
    "ppo": Controller(
        "MnasNet's controller: a recurrent policy that learns from a reward, by clipped steps; its recipe, "
        "paper or small (for few trials), has what is left at -1",
        "Tan et al., MnasNet, 2019; Schulman et al., Proximal policy optimization algorithms, 2017",
        _ppo,
        {
            "recipe": "paper",
            "policy": "recurrent",
            "aims": 0,
            "gain": -1.0,
            "batch": -1,
            "epochs": -1,
            "clip": -1.0,
            "learning_rate": -1.0,
            "entropy": -1.0,
            "baseline": -1.0,
        },
    ),
    "reinforce": Controller(
        "policy gradient: a recurrent policy that learns from a reward",
        "Zoph and Le, Neural architecture search with reinforcement learning, 2017",
        _reinforce,
        {
            "aims": 0,
            "policy": "recurrent",
            "gain": -1.0,
            "batch": 2,
            "learning_rate": 0.003,
            "entropy": 0.0,
            "baseline": 0.95,
        },
    ),
    "q_learning": Controller(
        "MetaQNN: values of decisions, learned from a reward; `trials` is its schedule's length, 0 for the "
        "search's own",
        "Baker et al., Designing neural network architectures using reinforcement learning, 2017",
        _q_learning,
        {"aims": 0, "trials": 0, "learning_rate": 0.01, "replays": 100},
    ),
}
