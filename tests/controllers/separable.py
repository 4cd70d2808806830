"""A function of 20 choices that adds up over them, and algorithms that search it without a study."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from controllers.algorithm import Algorithm, Finished, Turn
from controllers.problem import Point, Problem

CHOICES, OPTIONS = 20, 3


def problem(choices: int = CHOICES, options: int = OPTIONS, **known: object) -> Problem:
    return Problem({f"choice{at}": tuple(range(options)) for at in range(choices)}, **known)


class Separable:
    """A term for every option of every choice; 1 at best."""

    def __init__(self, seed: int, choices: int = CHOICES, options: int = OPTIONS) -> None:
        terms = np.random.default_rng((77, seed)).normal(size=(choices, options))
        self.terms = terms / terms.max(axis=1).sum()

    def __call__(self, point: Point) -> float:
        return float(self.terms[np.arange(len(point)), list(point)].sum())


def searched(
    algorithm: Algorithm | None,
    value: Callable[[Point], float],
    trials: int,
    seed: int,
    sizes: tuple[int, ...],
) -> list[float]:
    """Values in the order of evaluation; without an algorithm, of random points."""
    seen: set[Point] = set()
    found = []
    for number in range(trials):
        rng = np.random.default_rng((seed, number))
        point = (
            tuple(rng.integers(sizes).tolist())
            if algorithm is None
            else algorithm.propose(Turn(rng, number, (), frozenset(seen)))
        )
        seen.add(point)
        found.append(value(point))
        if algorithm is not None:
            algorithm.learn(Finished(point, "complete", np.array([-found[-1]]), found[-1]))
    return found


def beats_random(make: Callable[[Problem, int], Algorithm], trials: int, seeds: int = 10) -> float:
    """The p-value of a one-sided Wilcoxon signed-rank test of the best values after as many trials."""
    from scipy.stats import wilcoxon

    pairs = []
    for seed in range(seeds):
        value, space = Separable(seed), problem()
        ours = max(searched(make(space, seed), value, trials, seed, space.sizes))
        theirs = max(searched(None, value, trials, seed, space.sizes))
        pairs.append((ours, theirs))
    ours, theirs = np.array(pairs).T
    return float(wilcoxon(ours, theirs, alternative="greater").pvalue)
