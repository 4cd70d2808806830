"""A policy that learns from batches of finished trials. Knows policies and rewards, not what is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from controllers.adam import Adam
from controllers.aims import Aims, Rewards
from controllers.algorithm import Finished, Turn, first_new
from controllers.errors import BadSetting
from controllers.policies.independent import Independent
from controllers.policies.policy import Array, Policy, check_options, decide
from controllers.policies.recurrent import Recurrent
from controllers.problem import Point, Points, Problem
from controllers.threads import one_thread

#: points drawn together for a proposal, and how often, before a point that was seen is proposed again
DRAWS, ROUNDS = 16, 2

#: gain of the independent policy: so many times as far as its parameters do its logits move in a step, which
#: makes up for the hundred weights that move a logit of the recurrent policy together
GAIN = 60.0
#: a setting's value that stands for the strategy's own
OWN = -1

#: from log-probabilities before the update and now, [n, d], and advantages [n, 1], the slopes of an objective
#: of each decision by the log-probabilities of now, [n, d]
Weigh = Callable[[Array, Array, Array], Array]


class PolicyGradient:
    """Draws proposals from a policy, and climbs an objective with each full batch of finished trials.

    The objective of a batch is taken at the batch's points whether the policy drew them or they were moved
    there. Probabilities before the update are those of the policy before the update, not of when a point was
    proposed: by then, trials that ran side by side may have taught it more.

    With several aims, proposals are drawn for one aim after the other, and a batch teaches all of them, with
    the reward of each.

    Args:
        problem: what is searched.
        policy: what learns.
        weigh: the objective.
        aims: how many.
        batch: finished trials per update; those that failed do not count.
        epochs: steps per update.
        learning_rate: of Adam.
        entropy: weight of the mean entropy of a decision against the mean objective of a decision.
        decay: per batch, of the moving average of rewards that is the baseline; of 0, the batch before.
    """

    def __init__(
        self,
        problem: Problem,
        policy: Policy,
        weigh: Weigh,
        *,
        aims: int,
        batch: int,
        epochs: int,
        learning_rate: float,
        entropy: float,
        decay: float,
    ) -> None:
        self._existing = problem.existing
        self._policy = policy
        self._weigh = weigh
        self._aims = Aims(aims)
        self._batch = batch
        self._epochs = epochs
        self._entropy = entropy
        self._decay = decay
        self._adam = Adam(learning_rate)
        self._baseline = self._variance = np.zeros(aims)
        self._updates = 0
        self._waiting: list[Point] = []

    def learn(self, finished: Finished) -> None:
        """Wait for a batch, then learn from it."""
        if not self._aims.add(finished):
            return
        self._waiting.append(finished.point)
        if len(self._waiting) == self._batch:
            rewards = self._aims.rewards(self._batch)
            with one_thread():
                self._update(
                    np.array(self._waiting, np.int64), self._advantages(rewards)[: self._aims.active]
                )
            self._waiting = []

    def propose(self, turn: Turn) -> Point:
        """A point drawn from the policy, where possible one that exists and was not proposed before."""
        return first_new(self._drawn(turn), turn, self._existing)

    def _drawn(self, turn: Turn) -> Iterator[Point]:
        aim = turn.ordinal % self._aims.active
        for _ in range(ROUNDS):
            with one_thread():
                points = self._policy.sample(turn.rng, DRAWS, aim)
            yield from map(tuple, points.tolist())

    def _advantages(self, rewards: Rewards) -> Array:
        """How much better than usual each reward [aims, n] is, in standard deviations, [aims, n].

        What is usual, and the deviation from it, are moving averages, so that rewards of any unit weigh the
        same against the entropy.
        """
        weight = 1.0 - self._decay if self._updates else 1.0
        mean = rewards.mean(axis=1)
        if not self._updates:
            self._baseline = mean
        advantages = rewards - self._baseline[:, None]
        self._variance = self._variance + weight * (np.mean(advantages**2, axis=1) - self._variance)
        self._baseline = self._baseline + weight * (mean - self._baseline)
        self._updates += 1
        # where all rewards were the same there is nothing to learn
        deviation = np.sqrt(np.where(self._variance > 0, self._variance, 1.0))
        scaled: Array = advantages / deviation[:, None]
        return scaled

    def _update(self, points: Points, advantages: Array) -> None:
        """Climb at each of points [n, d] for each aim with its advantages [aims, n]."""
        count = len(advantages)
        aims = np.repeat(np.arange(count), len(points))
        every = np.tile(points, (count, 1))
        before: Array | None = None
        for _ in range(self._epochs):
            decisions = decide(self._policy, every, aims)
            now = decisions.log_probabilities
            before = now if before is None else before
            weights = self._weigh(before, now, advantages.reshape(-1, 1))
            # the mean over a batch's decisions, the sum over aims
            gradient = decisions.gradient(weights / points.size, self._entropy / points.size)
            self._adam.climb(self._policy.parameters, gradient)


def policy_of(
    name: str,
    policy: str,
    problem: Problem,
    seed: int,
    *,
    aims: int,
    gain: float,
    recurrent: float,
    independent: float = GAIN,
) -> Policy:
    """A policy by its name, for the strategy of a name.

    Args:
        name: of the strategy.
        policy: `recurrent` or `independent`.
        problem: what is searched.
        seed: of the first parameters.
        aims: how many.
        gain: of the recurrent policy's bias, 0 for none, or of the independent policy's parameters; `OWN` for
            the strategy's.
        recurrent: the strategy's own for the recurrent policy.
        independent: that for the independent one.

    Raises:
        BadSetting: there is no policy of that name, it cannot have that gain, or a choice has too many
            options.
    """
    check_options(name, problem)
    if policy not in ("recurrent", "independent"):
        raise BadSetting(f"policy of {name} is {policy!r}; allowed: recurrent, independent")
    if gain == OWN:
        gain = recurrent if policy == "recurrent" else independent
    check(name, gain=gain)
    if policy == "recurrent":
        return Recurrent(problem.sizes, seed, aims=aims, gain=gain)
    if gain == 0:
        raise BadSetting(f"gain of {name} is {gain}; the independent policy needs one above 0")
    return Independent(problem.sizes, aims=aims, gain=gain)


def check(name: str, **settings: float) -> None:
    """Refuse what settings of the strategy of a name cannot be.

    Raises:
        BadSetting: one is out of range.
    """
    for key, value in settings.items():
        fits, allowed = _RANGES[key]
        if not fits(value):
            raise BadSetting(f"{key} of {name} is {value}; it must be {allowed}")


#: what a setting may be, in code and in words
_RANGES: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "gain": (lambda value: 0 <= value <= 1000, "0 to 1000"),
    "batch": (lambda value: 1 <= value <= 1000, "1 to 1000"),
    "epochs": (lambda value: 1 <= value <= 100, "1 to 100"),
    "clip": (lambda value: 0 < value <= 10, "above 0 and at most 10"),
    "learning_rate": (lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "entropy": (lambda value: 0 <= value <= 10, "0 to 10"),
    "baseline": (lambda value: 0 <= value < 1, "0 or more and below 1"),
}
