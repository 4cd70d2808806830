"""What several proposals in a row share: fitted surrogates, candidates, scales. Decides when nothing changes.

A round begins at fixed numbers of completed trials and depends on those trials alone, on the search's seed
and on what is allowed now. So it can be made again at any time, and is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controllers.guided.candidates import Candidates, pool
from controllers.guided.encoding import Encoding, Floats
from controllers.guided.improvement import Cells
from controllers.guided.scales import Objectives, Scale, front
from controllers.guided.surrogate import JITTER, Overlap, Posterior
from controllers.problem import Points, Problem

#: candidates of which the belief is kept exactly; more are looked over first
SHORTLIST = 2000
#: candidates that are looked at in a space too large to list, at most
LOOKED_AT = 200_000
#: evaluated points that making a shortlist asks, at most, besides the front
SUPPORT = 256
#: candidates that are looked at together
BLOCK = 8192
#: how far beyond the worst seen the reference lies, as a share of the range seen
BEYOND = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How costs and figures are seen during a round.

    Attributes:
        roles: of the objectives.
        scales: of every objective, by its position.
        most: the largest that a candidate may have of each of the other objectives, in its scale; minus
            infinity where it is predicted.
        weights: of the nodes, [w].
        nodes: deviations of the predicted ones among the others from their means, [w, u].
    """

    roles: Objectives
    scales: Mapping[int, Scale]
    most: Floats
    weights: Floats
    nodes: Floats

    @staticmethod
    def of(roles: Objectives, costs: Floats, candidates: Candidates) -> View:
        """The view from costs [n, m] and allowed candidates."""
        scales = {place: roles.scale(place, costs[:, place]) for place in roles.predicted}
        most = np.full(len(roles.others), -np.inf)
        for at, (place, column) in enumerate(zip(roles.others, roles.columns, strict=True)):
            if column is not None:
                figures = candidates.figures[:, column]
                scales[place] = Scale.of(np.concatenate([figures, costs[:, place]]), log=True)
                most[at] = scales[place](figures).max(initial=-np.inf)
        nodes, weights = quadrature(len(roles.predicted) - 1)
        return View(roles, scales, most, weights, nodes)

    def value(self, costs: Floats) -> Floats:
        """The primary objective of costs [n, m]; more is better."""
        return -self.scales[self.roles.primary](costs[:, self.roles.primary])

    def target(self, place: int, costs: Floats) -> Floats:
        """What a surrogate of an objective learns from costs [n, m]."""
        return self.value(costs) if place == self.roles.primary else self.scales[place](costs[:, place])

    def rest(self, costs: Floats) -> Floats:
        """The other objectives of costs [n, m], [n, m - 1]."""
        columns = [self.scales[place](costs[:, place]) for place in self.roles.others]
        return np.stack(columns, axis=1) if columns else np.zeros((len(costs), 0))

    def figures(self, candidates: Candidates, beliefs: Mapping[int, Belief], node: Floats) -> Floats:
        """The other objectives of candidates, [s, m - 1]: known, or some deviations from the mean."""
        found = np.zeros((len(candidates.points), len(self.roles.others)))
        deviations = iter(node)
        for at, (place, column) in enumerate(zip(self.roles.others, self.roles.columns, strict=True)):
            if column is not None:
                found[:, at] = self.scales[place](candidates.figures[:, column])
            else:
                found[:, at] = beliefs[place].mean + next(deviations) * beliefs[place].deviation
        return found

    def believed(self, candidate: Candidates, means: Mapping[int, float]) -> tuple[float, Floats]:
        """The primary objective and the others, [m - 1], of one candidate, if it turns out as expected.

        Args:
            candidate: one point.
            means: of each predicted objective.
        """
        beliefs = {place: Belief(np.array([mean]), np.zeros(1)) for place, mean in means.items()}
        on_the_mean = np.zeros(len(self.roles.predicted) - 1)
        return means[self.roles.primary], self.figures(candidate, beliefs, on_the_mean)[0]

    def cells(self, values: Floats, rest: Floats, least: Floats) -> Cells:
        """The cells of what was evaluated; the reference is what a candidate may have at most.

        Of what is predicted, and of the primary objective, the reference lies a little beyond the worst seen.
        """
        reference = np.where(np.isfinite(self.most), self.most, -np.inf)
        for at in range(rest.shape[1]):
            if not np.isfinite(reference[at]):
                reference[at] = rest[:, at].max() + BEYOND * max(np.ptp(rest[:, at]), 1.0)
        floor = values.min() - BEYOND * max(np.ptp(values), 1.0)
        return Cells.of(rest, values, least, reference + 1e-3, float(floor))


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """Mean and deviation of the value that an evaluation of each candidate would have, [s]."""

    mean: Floats
    deviation: Floats


def gains(
    view: View, candidates: Candidates, beliefs: Mapping[int, Belief], values: Floats, rest: Floats
) -> tuple[Floats, Floats]:
    """Expected hypervolume improvement of candidates, and their standing (improvement.Cells), [s] each.

    Args:
        view: of the round.
        candidates: s of them.
        beliefs: by predicted objective.
        values: the primary objective of what was evaluated, [n].
        rest: its other objectives, [n, m - 1].
    """
    own = beliefs[view.roles.primary]
    figures = [view.figures(candidates, beliefs, node) for node in view.nodes]
    least = np.min([one.min(axis=0) for one in figures], axis=0)
    cells = view.cells(values, rest, least)
    found = np.zeros(len(own.mean))
    for weight, one in zip(view.weights, figures, strict=True):
        found += weight * cells.expected(one, own.mean, own.deviation)
    return found, cells.standing(figures[len(figures) // 2], own.mean, own.deviation)


def quadrature(count: int) -> tuple[Floats, Floats]:
    """Nodes [w, count] and weights [w] of an expectation over standard normal numbers.

    Exact for polynomials up to the ninth degree of one number; quasi-random for several.
    """
    if not count:
        return np.zeros((1, 0)), np.ones(1)
    if count == 1:
        nodes, weights = np.polynomial.hermite_e.hermegauss(5)
        return nodes[:, None], weights / weights.sum()
    from scipy.stats import norm, qmc

    drawn = qmc.Halton(count, scramble=False).random(33)[1:]
    return norm.ppf(drawn), np.full(32, 1 / 32)


def shortlisted(
    view: View,
    kernels: Mapping[int, Overlap],
    encoding: Encoding,
    candidates: Candidates,
    *,
    points: Points,
    costs: Floats,
    count: int,
) -> Candidates:
    """The candidates that promise most after a glance, at most `count`.

    The glance asks the front and at most `SUPPORT` of the evaluated points, and takes for the deviation the
    one that the nearest of them leaves, which is never too small. Single precision is enough for it.
    """
    support = front(costs)
    support[np.linspace(0, len(points) - 1, min(SUPPORT, len(points))).astype(int)] = True
    features, costs_there = encoding.features(points[support]), costs[support]
    parts: dict[int, list[tuple[Floats, Floats]]] = {place: [] for place in kernels}
    weights = {
        place: np.linalg.solve(
            kernel(features) + JITTER * np.eye(len(features)), view.target(place, costs_there)
        )
        for place, kernel in kernels.items()
    }
    quick = features.astype(np.float32)
    for start in range(0, len(candidates.points), BLOCK):
        block = encoding.features(candidates.points[start : start + BLOCK], np.float32)
        for place, kernel in kernels.items():
            covariance = kernel.smooth(block, quick)
            left = kernel.variance - covariance.max(axis=1) ** 2 / (kernel.variance + kernel.noise)
            deviation = np.sqrt(np.maximum(left, 0.0) + kernel.noise)
            parts[place].append((covariance @ weights[place].astype(np.float32), deviation))
    beliefs = {
        place: Belief(*(np.concatenate(column).astype(float) for column in zip(*part, strict=True)))
        for place, part in parts.items()
    }
    gain, standing = gains(view, candidates, beliefs, view.value(costs), view.rest(costs))
    best = np.lexsort((-standing, -gain))[:count]
    return candidates.at(np.sort(best))


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What holds from `start` completed trials on.

    Attributes:
        start: number of completed trials.
        view: of the objectives.
        looked: all candidates before any was left out.
        allowed: which of them were allowed.
        shortlist: those that a proposal is chosen from.
        posteriors: of each predicted objective at the shortlist, after `count` completed trials.
        count: start or more.
    """

    start: int
    view: View
    looked: Candidates
    allowed: NDArray[np.bool_]
    shortlist: Candidates
    posteriors: Mapping[int, Posterior]
    count: int

    @staticmethod
    def of(
        problem: Problem,
        encoding: Encoding,
        roles: Objectives,
        listed: Candidates | None,
        kernels: Mapping[int, Overlap],
        *,
        points: Points,
        costs: Floats,
        seed: int,
    ) -> Round:
        """The round that begins after evaluated points [n, d] with their costs [n, m]."""
        if listed is None:
            digest = hashlib.blake2b(points.tobytes(), digest_size=16).digest()
            rng = np.random.default_rng((seed, int.from_bytes(digest, "little")))
            looked = pool(problem, points[front(costs)], LOOKED_AT, rng)
        else:
            looked = listed
        allowed = looked.allowed(problem)
        candidates = looked.at(allowed) if allowed.any() else looked
        view = View.of(roles, costs, candidates)
        seen = set(map(tuple, points.tolist()))
        room = SHORTLIST + len(seen)
        if len(candidates.points) > room:
            candidates = shortlisted(
                view, kernels, encoding, candidates, points=points, costs=costs, count=room
            )
        once = np.unique(candidates.points, axis=0, return_index=True)[1]  # a pool may have a point twice
        candidates = candidates.at(once)
        shortlist = candidates.at(candidates.unseen(seen))
        features, theirs = encoding.features(points), encoding.features(shortlist.points)
        posteriors = {
            place: Posterior.of(kernel, features, view.target(place, costs), theirs)
            for place, kernel in kernels.items()
        }
        return Round(len(points), view, looked, allowed, shortlist, posteriors, len(points))

    def stands(self, problem: Problem) -> bool:
        """Whether the same is allowed as when the round began."""
        return bool(np.array_equal(self.looked.allowed(problem), self.allowed))

    def after(self, features: Floats, costs: Floats) -> Round:
        """The round after one more completed trial, with features [q] and costs [m]."""
        row = costs[None]
        posteriors = {
            place: posterior.with_point(features, float(self.view.target(place, row)[0]))
            for place, posterior in self.posteriors.items()
        }
        return replace(self, posteriors=posteriors, count=self.count + 1)
