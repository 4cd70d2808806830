"""Whether a space has anything that meets a search's limits, before anything is trained. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np

from mnas.costs import LATENCY, Cost, Goal, Latency
from mnas.errors import Infeasible
from mnas.latency import LatencySource
from mnas.least import cheapest, fastest
from mnas.spaces.base import SearchSpace, Space
from mnas.spaces.sampling import points_of

#: networks of few multiply-accumulates that are measured before a target counts as out of reach
CHEAPEST = 5


def require_feasible(space: SearchSpace, costs: Sequence[Cost], goals: Sequence[Goal]) -> None:
    """Check that some architecture meets the target of each cost, or its cap where it has no target; and all.

    Each cost alone is as exact as `fastest`. All together are looked for by descent, on weighted sums of the
    costs as shares of their limits first, then on the largest share: what that does not find, hardly exists.
    Costs that are measured one by one are looked at alone, as `require_reachable` does.

    Raises:
        Infeasible: nothing does; the message has the least that was found.
    """
    limited = [
        (cost, limit)
        for cost, goal in zip(costs, goals, strict=True)
        if (limit := goal.cap if goal.target is None else goal.target) is not None
    ]
    if points_of(space) is not None:
        return _require_among_points(space, limited)
    for cost, limit in limited:
        if (
            isinstance(cost, Latency)
            and (not cost.quick or cost.name == LATENCY)
            and hasattr(space, "resolution")
        ):
            require_reachable(cast(Space, space), cost.source, limit)
        elif cost.quick:
            indices, least = fastest(space, partial(_value, cost), enough=limit)
            if least > limit:
                raise Infeasible(_alone(space, cost, limit, least, space.decode(indices)))
    quick = [pair for pair in limited if pair[0].quick]
    if len(quick) > 1:
        _require_together(space, quick)
    return None


def require_reachable(space: Space, latency: LatencySource, target_ms: float) -> None:
    """Check that some architecture of the space is as fast as the target.

    Where latencies are measured one by one, only the `CHEAPEST` of the fewest multiply-accumulates are, one
    after the other until one is fast enough. They need not have the fastest among them, and the message says
    so.

    Raises:
        Infeasible: none is; the message has the fastest one and its latency.
    """
    if latency.quick:
        indices, least_ms = fastest(space, latency.predict_ms, enough=target_ms)
        architecture, who = space.decode(indices), "no architecture"
    else:
        tried = cheapest(space, CHEAPEST)
        who = f"none of the {len(tried)} cheapest networks, by multiply-accumulates,"
        least_ms = float("inf")
        for one in tried:
            if (latency_ms := latency.predict_ms(one)) < least_ms:
                architecture, least_ms = one, latency_ms
            if least_ms <= target_ms:
                return
    if least_ms > target_ms:
        raise Infeasible(
            f"{who} of {space.name} at {space.resolution} pixels reaches {target_ms:g} ms: the "
            f"fastest takes {least_ms:.3g} ms ({latency.name}): {architecture}. Ask for that or more, or "
            "take a lower resolution or width"
        )


def _require_among_points(space: SearchSpace, limited: Sequence[tuple[Cost, float]]) -> None:
    points = points_of(space)
    assert points is not None
    if not limited:
        return
    shares = np.stack([cost.figures(points) / limit for cost, limit in limited], axis=1)
    for column, (cost, limit) in enumerate(limited):
        at = int(np.argmin(shares[:, column]))
        if shares[at, column] > 1:
            least = float(shares[at, column]) * limit
            raise Infeasible(_alone(space, cost, limit, least, space.decode(points[at].tolist())))
    at = int(np.argmin(shares.max(axis=1)))
    if shares[at].max() > 1:
        raise Infeasible(_together(space, limited, shares[at], space.decode(points[at].tolist())))


@dataclass(slots=True)
class _Closest:
    """The architecture whose largest share of a limit is least, among all that were looked at."""

    limited: Sequence[tuple[Cost, float]]
    share: float = float("inf")
    architecture: Any = None
    shares: list[float] = field(default_factory=list)

    def weigh(self, weights: Sequence[float] | None) -> Callable[[Any], float]:
        """A function to descend on: the weighted sum of the shares, or without weights the largest."""

        def look(architecture: Any) -> float:
            shares = [cost.predict(architecture).value / limit for cost, limit in self.limited]
            if max(shares) < self.share:
                self.share, self.architecture, self.shares = max(shares), architecture, shares
            if self.share <= 1:
                return float("-inf")  # enough: a descent ends here
            return max(shares) if weights is None else float(np.dot(weights, shares))

        return look


def _require_together(space: SearchSpace, limited: Sequence[tuple[Cost, float]]) -> None:
    closest = _Closest(limited)
    count = len(limited)
    even = np.full(count, 1 / count)
    for weights in (None, even, *(0.5 * even + 0.5 * np.eye(count))):
        fastest(space, closest.weigh(weights))
        if closest.share <= 1:
            return
    raise Infeasible(_together(space, limited, closest.shares, closest.architecture))


def _value(cost: Cost, architecture: Any) -> float:
    return cost.predict(architecture).value


def _alone(space: SearchSpace, cost: Cost, limit: float, least: float, architecture: Any) -> str:
    return (
        f"no architecture of {space.name} reaches {limit:g} {cost.unit}: the least is {least:.3g}: "
        f"{architecture}. Ask for that or more, or take a lower resolution or width"
    )


def _together(
    space: SearchSpace, limited: Sequence[tuple[Cost, float]], shares: Sequence[float], architecture: Any
) -> str:
    asked = " and ".join(f"{limit:g} {cost.unit}" for cost, limit in limited)
    found = " and ".join(
        f"{share * limit:.3g} {cost.unit}" for (cost, limit), share in zip(limited, shares, strict=True)
    )
    return (
        f"no architecture of {space.name} reaches {asked} at once, though each of them is reached: the "
        f"closest has {found}: {architecture}. Ask for that or more"
    )
