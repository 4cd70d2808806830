"""Proximal policy optimisation, the controller of MnasNet. Knows no Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from controllers.aims import aims_of
from controllers.errors import BadSetting
from controllers.policies.policy import Array
from controllers.policy_gradient import GAIN, OWN, PolicyGradient, check, policy_of
from controllers.problem import Problem

#: logarithm of the largest ratio of probabilities that counts: with a large gain, a step may go beyond floats
FAR = 20.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings that belong together; see `ppo`. `recurrent` and `independent` are the gains of policies."""

    recurrent: float
    independent: float
    batch: int
    epochs: int
    clip: float
    learning_rate: float
    entropy: float
    baseline: float


RECIPES: Mapping[str, Recipe] = {
    # ours, for about a hundred trials
    "small": Recipe(
        recurrent=GAIN, independent=GAIN, batch=5, epochs=5, clip=0.2, learning_rate=0.0007, entropy=0.03,
        baseline=0.95,
    ),
    # the gain of the independent policy makes up for the learning rate; the batch is ours
    "paper": Recipe(
        recurrent=0.0, independent=2 * GAIN, batch=5, epochs=10, clip=0.2, learning_rate=0.00035,
        entropy=0.00001, baseline=0.95,
    ),
}  # fmt: skip


def ppo(
    problem: Problem,
    seed: int,
    *,
    recipe: str,
    policy: str,
    aims: int,
    gain: float,
    batch: int,
    epochs: int,
    clip: float,
    learning_rate: float,
    entropy: float,
    baseline: float,
) -> PolicyGradient:
    """MnasNet's controller.

    Schulman et al., Proximal Policy Optimization Algorithms, 2017, arXiv:1707.06347, equation 7, for each
    decision; in Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, 2019,
    arXiv:1807.11626, which names no settings of its controller but refers to that of Zoph et al., Learning
    Transferable Architectures for Scalable Image Recognition, 2018, arXiv:1707.07012. Their appendix gives
    the recipe `paper`: an LSTM of 100 units whose first parameters lie between -0.1 and 0.1, Adam with a
    learning rate of 0.00035, an entropy bonus of 0.00001, and a baseline with a decay of 0.95. Clip, 0.2, and
    epochs, 10, are those of Schulman et al. (tables 1 and 3). The batch is ours: theirs is of 20 networks, of
    thousands that hundreds of machines train. `small` is all ours, for fewer than about 300 trials: a bias
    for each option beside the LSTM, a higher learning rate, and more entropy against settling early.

    Of both, advantages are in standard deviations (`PolicyGradient`), which the papers do not say: so rewards
    of any unit weigh the same against the entropy. And where the problem has no reward there are several
    aims, which is ours, too.

    Args:
        problem: what is searched.
        seed: of the policy's first parameters.
        recipe: `paper` or `small`: where what is -1 comes from.
        policy: `recurrent`, as in the papers, or `independent`.
        aims: how many parts of a front to go for; 0 for 1, the reward, where the problem has one, else 5.
        gain: how much faster logits move than the parameters that are their own: of the recurrent policy
            those of a bias, 0 for none; of the independent one all of them.
        batch: finished trials per update.
        epochs: steps per update.
        clip: how far from 1 the ratio of a decision's probabilities, now and before the update, may gain.
        learning_rate: of Adam.
        entropy: weight of the entropy bonus.
        baseline: decay of the moving average of rewards.

    Raises:
        BadSetting: one of these is out of range, or there is no such recipe.
    """
    if recipe not in RECIPES:
        raise BadSetting(f"recipe of ppo is {recipe!r}; allowed: {', '.join(RECIPES)}")
    own = RECIPES[recipe]
    given = {
        "batch": batch, "epochs": epochs, "clip": clip, "learning_rate": learning_rate, "entropy": entropy,
        "baseline": baseline,
    }  # fmt: skip
    chosen = {key: getattr(own, key) if value == OWN else value for key, value in given.items()}
    check("ppo", **chosen)
    count = aims_of("ppo", aims, problem)
    return PolicyGradient(
        problem,
        policy_of(
            "ppo", policy, problem, seed, aims=count, gain=gain, recurrent=own.recurrent,
            independent=own.independent,
        ),
        partial(clipped, clip=chosen["clip"]),
        aims=count,
        batch=int(chosen["batch"]),
        epochs=int(chosen["epochs"]),
        learning_rate=chosen["learning_rate"],
        entropy=chosen["entropy"],
        decay=chosen["baseline"],
    )  # fmt: skip


def objective(before: Array, now: Array, advantages: Array, *, clip: float) -> Array:
    """The clipped objective of each decision, min(r A, clip(r, 1 - c, 1 + c) A), before any mean.

    Args:
        before: log-probabilities before the update, [n, d].
        now: log-probabilities, [n, d]; r = exp(now - before), at most exp(`FAR`).
        advantages: A, of a shape that broadcasts with them.
        clip: c.
    """
    ratios = _ratios(before, now)
    found: Array = np.minimum(ratios * advantages, np.clip(ratios, 1 - clip, 1 + clip) * advantages)
    return found


def clipped(before: Array, now: Array, advantages: Array, *, clip: float) -> Array:
    """The slopes of `objective` by `now`: r A, or 0 where r has gone far enough already."""
    ratios = _ratios(before, now)
    over = np.where(advantages > 0, ratios > 1 + clip, ratios < 1 - clip)
    slopes: Array = np.where(over, 0.0, ratios * advantages)
    return slopes


def _ratios(before: Array, now: Array) -> Array:
    found: Array = np.exp(np.minimum(now - before, FAR))
    return found
