"""Proximal policy optimisation, the controller of MnasNet. Knows no Optuna."""

from __future__ import annotations

from functools import partial

import numpy as np

from controllers.aims import aims_of
from controllers.policies.policy import Array
from controllers.policy_gradient import PolicyGradient, check, policy_of
from controllers.problem import Problem


def ppo(
    problem: Problem,
    seed: int,
    *,
    aims: int,
    policy: str,
    bias: float,
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
    arXiv:1807.11626, with the controller of Zoph et al. 2018, arXiv:1707.07012. Zoph et al.
    train thousands of networks, with a learning rate of 0.00035 and an entropy bonus of 0.00001; the
    registry's defaults learn from about a hundred.

    Args:
        problem: what is searched.
        seed: of the policy's first parameters.
        aims: how many parts of a front to go for; 0 for 1, the reward, where the problem has one, else 5.
        policy: `recurrent` or `independent`.
        bias: of the recurrent policy; see `Recurrent`'s gain.
        batch: finished trials per update.
        epochs: steps per update.
        clip: how far from 1 the ratio of a decision's probabilities, now and before the update, may gain.
        learning_rate: of Adam.
        entropy: weight of the entropy bonus.
        baseline: decay of the moving average of rewards.

    Raises:
        BadSetting: one of these is out of range.
    """
    check("ppo", batch=batch, epochs=epochs, learning_rate=learning_rate, entropy=entropy, baseline=baseline)
    check("ppo", clip=clip, bias=bias)
    count = aims_of("ppo", aims, problem)
    return PolicyGradient(
        problem,
        policy_of("ppo", policy, problem, seed, aims=count, bias=bias),
        partial(clipped, clip=clip),
        aims=count,
        batch=batch,
        epochs=epochs,
        learning_rate=learning_rate,
        entropy=entropy,
        decay=baseline,
    )


def objective(before: Array, now: Array, advantages: Array, *, clip: float) -> Array:
    """The clipped objective of each decision, min(r A, clip(r, 1 - c, 1 + c) A), before any mean.

    Args:
        before: log-probabilities before the update, [n, d].
        now: log-probabilities, [n, d]; r = exp(now - before).
        advantages: A, of a shape that broadcasts with them.
        clip: c.
    """
    ratios = np.exp(now - before)
    found: Array = np.minimum(ratios * advantages, np.clip(ratios, 1 - clip, 1 + clip) * advantages)
    return found


def clipped(before: Array, now: Array, advantages: Array, *, clip: float) -> Array:
    """The slopes of `objective` by `now`: r A, or 0 where r has gone far enough already."""
    ratios = np.exp(now - before)
    over = np.where(advantages > 0, ratios > 1 + clip, ratios < 1 - clip)
    slopes: Array = np.where(over, 0.0, ratios * advantages)
    return slopes
