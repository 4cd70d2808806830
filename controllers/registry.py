"""Search strategies by name. Knows which there are and how each is set up, not how they work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from controllers.errors import UnknownController

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

#: of NSGA-II: half of its default of 50, since a search trains tens of candidates rather than thousands
POPULATION = 24


def names() -> tuple[str, ...]:
    """Names that `create` takes."""
    return tuple(_MAKERS)


def create(name: str, seed: int) -> BaseSampler:
    """A strategy as an Optuna sampler that repeats by its seed, also over interruptions of the study.

    Args:
        name: one of `names()`.
        seed: 0 or more.

    Raises:
        UnknownController: there is no strategy of that name.
    """
    from controllers.seeded import SeededSampler

    if name not in _MAKERS:
        raise UnknownController(f"unknown controller {name!r}; there are: {', '.join(_MAKERS)}")
    return SeededSampler(name, _MAKERS[name], seed)


def _random(seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _nsga2(seed: int) -> BaseSampler:
    """Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=POPULATION)


def _tpe(seed: int) -> BaseSampler:
    """Ozaki et al., Multiobjective tree-structured Parzen estimator, 2022."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed)


_MAKERS: Mapping[str, Callable[[int], BaseSampler]] = {"random": _random, "nsga2": _nsga2, "tpe": _tpe}
