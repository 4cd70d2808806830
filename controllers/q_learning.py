"""Q-learning over the sequence of choices, the controller of MetaQNN. Knows no Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from controllers.aims import Aims, aims_of
from controllers.algorithm import Finished, Turn, first_new
from controllers.errors import BadSetting
from controllers.policies.policy import check_options
from controllers.problem import Point, Points, Problem

#: epsilon, and for how many models in the paper (table 2), 2700 in all; afterwards it stays at the last
SCHEDULE = (
    (1.0, 1500),
    (0.9, 100),
    (0.8, 100),
    (0.7, 100),
    (0.6, 150),
    (0.5, 150),
    (0.4, 150),
    (0.3, 150),
    (0.2, 150),
    (0.1, 150),
)
#: points drawn for a proposal before one that was seen is proposed again
DRAWS = 64
#: trials of a search where nobody knows how many there will be
UNKNOWN = 100
#: the most trials that are drawn from memory
MOST_REPLAYS = 10_000

#: of an aim: for each choice, values by the option before it and its own
Values = Sequence[NDArray[np.float64]]


class QLearning:
    """Baker et al., Designing Neural Network Architectures using Reinforcement Learning, 2017.

    A state is a choice together with the option taken before it, an action an option. Values are learned by
    one-step Q-learning without discount from trials drawn from all so far, from the last decision to the
    first (algorithm 3), and proposals are epsilon-greedy in each decision. arXiv:1611.02167.

    Where the paper gives the reward at the end, here each decision has its share, as in Zhong et al.,
    Practical Block-wise Neural Network Architecture Generation, 2018, arXiv:1708.05552: a state knows no more
    than the decision before it, so that nothing of the reward would reach the decisions before that.

    With several aims there is a table of values for each, and proposals are for one after the other.

    Args:
        problem: what is searched.
        seed: of the replay.
        aims: how many parts of a front to go for; 0 for 1, the reward, where the problem has one, else 5.
        trials: length of the epsilon schedule: the paper's, for so many trials in place of 2700; 0 for the
            number that the search is begun for, or 100 where nobody knows it.
        learning_rate: of a value's step to its target.
        replays: trials drawn from memory after each finished one, 1 to 10000.

    Raises:
        BadSetting: one of these is out of range, or a choice has too many options.
    """

    def __init__(
        self, problem: Problem, seed: int, *, aims: int, trials: int, learning_rate: float, replays: int
    ) -> None:
        if trials < 0 or not 1 <= replays <= MOST_REPLAYS or not 0 < learning_rate <= 1:
            raise BadSetting(
                f"trials, replays and learning_rate of q_learning are {trials}, {replays} and "
                f"{learning_rate}; they must be 0 (the search's) or more, 1 to {MOST_REPLAYS}, and above 0 "
                "up to 1"
            )
        self._existing = problem.existing
        self._seed = seed
        self._trials = trials or problem.trials or UNKNOWN
        self._learning_rate = learning_rate
        self._replays = replays
        check_options("q_learning", problem)
        self._sizes = np.array(problem.sizes)
        self._aims = Aims(aims_of("q_learning", aims, problem))
        # of an aim and a choice, by the option before it (0 for the first choice) and an option
        shapes = list(pairwise((1, *problem.sizes)))
        self._values = [[np.zeros(shape) for shape in shapes] for _ in range(self._aims.count)]
        self._points: list[Point] = []

    def learn(self, finished: Finished) -> None:
        """Remember it, and replay trials drawn from memory."""
        if not self._aims.add(finished):
            return
        self._points.append(finished.point)
        rng = np.random.default_rng((self._seed, len(self._points)))
        drawn = rng.integers(len(self._points), size=self._replays)
        points = np.array(self._points)[drawn]
        active = self._aims.active
        for values, rewards in zip(
            self._values[:active], self._aims.rewards(len(self._points))[:active], strict=True
        ):
            # less their mean: what was never tried counts as average
            self._replay(values, points, (rewards - rewards.mean())[drawn])

    def propose(self, turn: Turn) -> Point:
        """The best decision each, or with a probability of epsilon any; where possible a new point."""
        epsilon = self.epsilon(turn.ordinal)
        values = self._values[turn.ordinal % self._aims.active]
        drawn = (self._drawn(values, epsilon, turn.rng) for _ in range(DRAWS))
        return first_new(drawn, turn, self._existing)

    def epsilon(self, ordinal: int) -> float:
        """The probability of any decision rather than the best, after so many trials."""
        models = ordinal * sum(length for _, length in SCHEDULE) / self._trials
        for epsilon, length in SCHEDULE:
            models -= length
            if models < 0:
                return epsilon
        return SCHEDULE[-1][0]

    def _drawn(self, values: Values, epsilon: float, rng: np.random.Generator) -> Point:
        at_random = rng.random(len(self._sizes)) < epsilon
        point = rng.integers(self._sizes)
        ties = rng.random((len(self._sizes), max(self._sizes)))
        for at in np.flatnonzero(~at_random).tolist():
            own = values[at][point[at - 1] if at else 0]
            point[at] = np.lexsort((ties[at, : len(own)], own))[-1]
        return tuple(point.tolist())

    def _replay(self, values: Values, points: Points, rewards: NDArray[np.float64]) -> None:
        """One step of each value that occurs towards the target of each of its occurrences.

        Args:
            values: of an aim, changed in place.
            points: [n, d].
            rewards: [n].
        """
        count, choices = points.shape
        share = rewards / choices
        ahead = np.zeros(count)
        for at in reversed(range(choices)):
            before = points[:, at - 1] if at else np.zeros(count, np.int64)
            cells, cell = np.unique(before * self._sizes[at] + points[:, at], return_inverse=True)
            times = np.bincount(cell)
            targets = np.bincount(cell, share + ahead) / times
            # k steps towards one target leave (1 - rate)^k of the way to it
            left = (1 - self._learning_rate) ** times
            own = values[at].reshape(-1)
            own[cells] = left * own[cells] + (1 - left) * targets
            states, state = np.unique(before, return_inverse=True)
            ahead = np.max(values[at][states], axis=1)[state]
