"""What a policy is, and what follows from its logits: probabilities, entropies, slopes. Knows no reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.errors import BadSetting
from controllers.problem import Points, Problem

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

#: logit of an option that a choice does not have: its probability is 0, and its slope too
ABSENT = -1e9
#: the most options of a choice: what is learned of each option takes memory, and time for each trial
MOST_OPTIONS = 5000


class Policy(Protocol):
    """A distribution over points: one softmax over the options of each choice.

    n points of d choices with at most o options: logits are [n, d, o], `ABSENT` where a choice has fewer. One
    policy may serve several aims, with a distribution for each.
    """

    @property
    def parameters(self) -> Array:
        """All parameters, [p]; learners change them in place."""

    def sample(self, rng: np.random.Generator, count: int, aim: int = 0) -> Points:
        """Points drawn at random for an aim, [count, d]."""

    def forward(self, points: Points, aims: Indices | None = None) -> tuple[Array, Callable[[Array], Array]]:
        """Logits of each decision given the decisions before it, and how to go back.

        Args:
            points: option indices [n, d].
            aims: of each point, [n]; None is the first.

        Returns:
            logits [n, d, o], and a function from an objective's slopes by them, [n, d, o], to its gradient
            by the parameters, [p].
        """


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """A policy's view of points.

    Attributes:
        log_probabilities: of each decision given those before it, [n, d]; a point's is their sum.
        entropies: of each decision given those before it, in nats, [n, d].
        gradient: from weights a [n, d] and b to the gradient of sum(a log p) + b sum(entropies) by the
            parameters, [p]. The points are held fixed.
    """

    log_probabilities: Array
    entropies: Array
    gradient: Callable[[Array, float], Array]


def decide(policy: Policy, points: Points, aims: Indices | None = None) -> Decisions:
    """What a policy makes of points [n, d] for their aims [n]."""
    logits, backward = policy.forward(points, aims)
    log_all = log_softmax(logits)
    probabilities = np.exp(log_all)
    taken = points[..., None] == np.arange(logits.shape[-1])
    entropies = -np.sum(probabilities * log_all, axis=-1)

    def gradient(weights: Array, entropy_weight: float) -> Array:
        # d log p(a) / d logit_j = [j = a] - p_j;  dH / d logit_j = -p_j (log p_j + H)
        slopes = weights[..., None] * (taken - probabilities)
        if entropy_weight:
            slopes -= entropy_weight * probabilities * (log_all + entropies[..., None])
        return backward(slopes.astype(logits.dtype))

    return Decisions(np.sum(log_all, axis=-1, where=taken), entropies, gradient)


def log_softmax(logits: Array) -> Array:
    """Logarithms of the probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Array = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    return found


def drawn(logits: Array, rng: np.random.Generator) -> Indices:
    """An option for each row of logits [..., o], by the Gumbel-max trick, [...]."""
    options: Indices = np.argmax(logits + rng.gumbel(size=logits.shape), axis=-1)
    return options


def absent(sizes: Sequence[int]) -> Array:
    """What to add to logits [d, o]: 0 for an option that there is, `ABSENT` for one that is not."""
    return np.where(np.arange(max(sizes)) < np.array(sizes)[:, None], 0.0, ABSENT)


def check_options(name: str, problem: Problem) -> None:
    """Refuse what a strategy of a name, which learns something of each option, has no room for.

    Raises:
        BadSetting: a choice has more than `MOST_OPTIONS` options.
    """
    for choice, options in problem.choices.items():
        if len(options) > MOST_OPTIONS:
            raise BadSetting(
                f"choice {choice!r} has {len(options)} options; {name} learns of each option by itself, and "
                f"takes choices of at most {MOST_OPTIONS}: leave the choice out (of a table: --ignore "
                f"{choice}), or take another strategy, such as predictor_guided"
            )
