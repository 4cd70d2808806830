"""REINFORCE, the first controller of neural architecture search. Knows no Optuna."""

from __future__ import annotations

import numpy as np

from controllers.aims import aims_of
from controllers.policies.policy import Array
from controllers.policy_gradient import PolicyGradient, check, policy_of
from controllers.problem import Problem


def reinforce(
    problem: Problem,
    seed: int,
    *,
    aims: int,
    policy: str,
    gain: float,
    batch: int,
    learning_rate: float,
    entropy: float,
    baseline: float,
) -> PolicyGradient:
    """Zoph and Le, Neural Architecture Search with Reinforcement Learning, 2017, arXiv:1611.01578.

    One step per batch along the mean of (reward - baseline) x slope of the log-probability (section 3.2); the
    baseline is an exponential moving average of the rewards before.

    Args:
        problem: what is searched.
        seed: of the policy's first parameters.
        aims: how many parts of a front to go for; 0 for 1, the reward, where the problem has one, else 5.
        policy: `recurrent` or `independent`.
        gain: how much faster logits move than the parameters that are their own: of the recurrent policy
            those of a bias, 0 for none; -1 for none as in the paper, or 60 with the independent policy.
        batch: finished trials per step.
        learning_rate: of Adam.
        entropy: weight of an entropy bonus; the paper has none.
        baseline: decay of the moving average of rewards.

    Raises:
        BadSetting: one of these is out of range.
    """
    check("reinforce", batch=batch, learning_rate=learning_rate, entropy=entropy, baseline=baseline)
    count = aims_of("reinforce", aims, problem)
    return PolicyGradient(
        problem,
        policy_of("reinforce", policy, problem, seed, aims=count, gain=gain, recurrent=0.0),
        score,
        aims=count,
        batch=batch,
        epochs=1,
        learning_rate=learning_rate,
        entropy=entropy,
        decay=baseline,
    )


def score(before: Array, now: Array, advantages: Array) -> Array:  # noqa: ARG001 - a Weigh
    """The slopes of the mean of advantages x log-probabilities by these: the advantages, [n, d]."""
    return np.broadcast_to(advantages, now.shape)
