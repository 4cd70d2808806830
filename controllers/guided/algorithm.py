"""The strategy itself: spreads out at first, then proposes what promises most. Knows no Optuna.

Accuracy costs minutes and is predicted, with its uncertainty; latency and the like are known beforehand, so a
candidate's latency is looked up, never guessed, and the improvement that it promises is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from controllers.algorithm import Finished, Turn
from controllers.errors import BadSetting
from controllers.guided.candidates import Candidates, everything, listable, looked_up, pool
from controllers.guided.encoding import Encoding, Floats
from controllers.guided.scales import Objectives
from controllers.guided.spread import spread
from controllers.problem import Point, Points, Problem
from controllers.threads import one_thread

if TYPE_CHECKING:
    from controllers.guided.rounds import Round
    from controllers.guided.surrogate import Overlap

#: growth of the data after which a round ends, and after which kernels are fitted again
ROUND, REFIT = 0.06, 0.15
#: values of costs beyond which they are all the same
LARGEST = 1e100
#: candidates that membership is told of, and draws that it is told by
MEMBERS, DRAWS = 256, 256
#: candidates that a point of the initial design is chosen from
DESIGN = 4096


class PredictorGuided:
    """Expected hypervolume improvement under a Gaussian process on categories, with known latencies.

    The kernel: Garrido-Merchan and Hernandez-Lobato, Dealing with categorical and integer-valued variables in
    Bayesian optimization with Gaussian processes, 2020; Oh et al., Combinatorial Bayesian optimization using
    the graph Cartesian product, 2019. The criterion: Emmerich et al., Hypervolume-based expected improvement,
    2011. Candidates whose answer is still out count as if it had come as expected, with what is known of
    them, so that those evaluated at the same time fill different gaps of the front (kriging believer:
    Ginsbourger et al., Kriging is well-suited to parallelize optimization, 2010).

    Args:
        problem: the choices, and what is known of them.
        seed: 0 or more; of the initial design, and of pools of candidates.
        latency: "known", or "unknown" to predict what is known, too: for comparison.
        initial: completed trials before the surrogate is asked; they are spread over the space.
        near: a share of the largest expected improvement. Of the candidates that promise at least as much,
            the one is proposed that is most probably on the front of all of these (at most `MEMBERS`) and
            of what was evaluated: an expectation is rough, and of points that promise about the same, the
            likely ones make a front sooner. With 1 it is the largest expected improvement that counts alone.

    Raises:
        BadSetting: a setting that is none of these.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int = 0,
        latency: str = "known",
        initial: int = 8,
        near: float = 0.3,
    ) -> None:
        if latency not in ("known", "unknown"):
            raise BadSetting(f"latency of predictor_guided is {latency!r}; it must be known or unknown")
        if initial < 2:
            raise BadSetting(f"initial of predictor_guided is {initial}; it must be 2 or more")
        if not 0 < near <= 1:
            raise BadSetting(f"near of predictor_guided is {near}; it must be above 0 and at most 1")
        self._problem = problem
        self._seed = seed
        self._shift = float(np.random.default_rng(seed).random())
        self._known = problem.known if latency == "known" else None
        self._initial = initial
        self._near = near
        self._encoding = Encoding.of(problem.choices)
        self._points: list[Point] = []
        self._costs: list[Floats] = []
        self._kernels: dict[int, dict[int, Overlap]] = {}
        self._round: Round | None = None
        self._listed: Candidates | None = None

    def learn(self, finished: Finished) -> None:
        """Remember a completed trial; of failed ones it is enough that they are seen.

        What is infeasible although nothing is known beforehand counts as the worst of all so far in every
        objective: the surrogates are to lead away from it.
        """
        if finished.state == "complete" and finished.costs is not None:
            self._points.append(finished.point)
            self._costs.append(np.clip(finished.costs, -LARGEST, LARGEST))
        elif finished.state == "infeasible" and self._known is None and self._costs:
            self._points.append(finished.point)
            self._costs.append(np.max(self._costs, axis=0))

    def propose(self, turn: Turn) -> Point:
        """The next point: of the initial design, then of the current round."""
        with one_thread():
            point = self._promising(turn) if len(self._points) >= self._initial else None
            return self._spread(turn) if point is None else point

    def _spread(self, turn: Turn) -> Point:
        """A point of the initial design; any point where none is left."""
        candidates = self._all()
        if candidates is None:
            nothing = np.zeros((0, len(self._problem.sizes)), np.int64)
            candidates = pool(self._problem, nothing, DESIGN, turn.rng)
        elif len(candidates.points) > DESIGN + len(turn.seen):
            count = DESIGN + len(turn.seen)
            candidates = candidates.at(turn.rng.choice(len(candidates.points), count, replace=False))
        unseen = candidates.unseen(turn.seen)
        wanted = unseen & candidates.allowed(self._problem)
        for rows in (wanted, unseen):
            if rows.any():
                candidates = candidates.at(rows)
                break
        objectives = () if self._known is None else self._known.objectives
        columns = tuple(column for column, place in enumerate(objectives) if place is not None)
        return spread(candidates, columns, self._problem.sizes, turn, self._shift)

    def _promising(self, turn: Turn) -> Point | None:
        """What the current round makes of this turn; None if it has no candidate left."""
        from controllers.guided.improvement import membership
        from controllers.guided.rounds import Belief, gains

        now = self._current()
        candidates = now.shortlist
        rows = np.flatnonzero(candidates.unseen(turn.seen) & candidates.allowed(self._problem))
        if not len(rows):
            return None
        rows = turn.rng.permutation(rows)  # so that of equals any may be the first
        candidates = candidates.at(rows)
        view, posteriors = now.view, dict(now.posteriors)
        costs = np.array(self._costs)
        values, rest = view.value(costs), view.rest(costs)
        for point in dict.fromkeys(turn.pending):
            features = self._features([point])[0]
            value, others = view.believed(
                looked_up(self._problem, np.array([point])),
                {place: one.expected(features) for place, one in posteriors.items()},
            )
            values, rest = np.append(values, value), np.vstack([rest, others])
            posteriors = {place: one.with_point(features, None) for place, one in posteriors.items()}
        beliefs = {
            place: Belief(one.mean[rows], np.sqrt(one.variance[rows] + one.kernel.noise))
            for place, one in posteriors.items()
        }
        gain, standing = gains(view, candidates, beliefs, values, rest)
        order = np.lexsort((-standing, -gain))
        alike = int(np.sum(gain >= self._near * gain[order[0]])) if gain[order[0]] > 0 else 1
        order = order[: min(alike, MEMBERS)]
        if len(order) == 1:
            return _point(candidates.points[order[0]])
        draws = posteriors[view.roles.primary].draws(rows[order], DRAWS, turn.rng)
        figures = view.figures(candidates, beliefs, np.zeros(len(view.roles.predicted) - 1))[order]
        probable = membership(draws, figures, values, rest)
        return _point(candidates.points[order[int(np.argmax(probable))]])

    def _current(self) -> Round:
        """The round that the completed trials are in, as it is after them."""
        from controllers.guided.rounds import Round

        start = milestone(self._initial, len(self._points), ROUND)
        now = self._round
        if now is None or now.start != start or not now.stands(self._problem):
            points, costs = np.array(self._points[:start]), np.array(self._costs[:start])
            roles = Objectives.of(costs.shape[1], self._known)
            kernels = self._fitted(milestone(self._initial, start, REFIT), roles)
            now = Round.of(
                self._problem,
                self._encoding,
                roles,
                self._all(),
                kernels,
                points=points,
                costs=costs,
                seed=self._seed,
            )
        for at in range(now.count, len(self._points)):
            now = now.after(self._features([self._points[at]])[0], self._costs[at])
        self._round = now
        return now

    def _fitted(self, count: int, roles: Objectives) -> Mapping[int, Overlap]:
        """The kernels of the predicted objectives after some completed trials."""
        from controllers.guided.surrogate import fit

        if count not in self._kernels:
            features, costs = self._features(self._points[:count]), np.array(self._costs[:count])
            fitted = {}
            for place in roles.predicted:
                values = roles.scale(place, costs[:, place])(costs[:, place])
                fitted[place] = fit(self._encoding.groups, features, values)
            self._kernels = {count: fitted}
        return self._kernels[count]

    def _features(self, points: list[Point]) -> Floats:
        return self._encoding.features(np.array(points))

    def _all(self) -> Candidates | None:
        """Every point of a space that is small enough to list."""
        if self._listed is None and listable(self._problem):
            self._listed = looked_up(self._problem, everything(self._problem))
        return self._listed


def milestone(first: int, count: int, growth: float) -> int:
    """The last of the numbers first, then each larger by a share than the one before, that count reaches."""
    at = first
    while at + max(1, int(at * growth)) <= count:
        at += max(1, int(at * growth))
    return at


def _point(row: Points) -> Point:
    return tuple(row.tolist())
