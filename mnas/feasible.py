"""Whether a space has anything that meets a search's limits, before anything is trained. Trains nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, Context
from functools import partial
from typing import Any, cast

import numpy as np

from mnas.costs import Cost, Goal, Latency
from mnas.errors import Infeasible
from mnas.joint import closest
from mnas.latency import LatencySource
from mnas.least import cheapest, fastest
from mnas.spaces.base import SearchSpace, Space
from mnas.spaces.sampling import points_of
from mnas.wanted import LATENCY

#: networks of few multiply-accumulates that are measured before a target counts as out of reach
CHEAPEST = 5
#: costs in whole numbers
COUNTED = ("parameters", "file_bytes", "memory_bytes")


def require_feasible(
    space: SearchSpace,
    costs: Sequence[Cost],
    goals: Sequence[Goal],
    warn: Callable[[str], None] = lambda _: None,
) -> None:
    """Check that some architecture meets the target of each cost, or its cap where it has no target; and all.

    Each cost alone is as exact as `fastest`. All together are looked for by `mnas.joint.closest`; what that
    does not find may exist still, but where it has looked at every point, or only certain points exist. Costs
    that are measured one by one are looked at alone, as `require_reachable` does.

    Args:
        warn: told that nothing was found that reaches all at once, where something may.

    Raises:
        Infeasible: nothing does; the message has the least that was found, as it can be asked for.
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
        _require_together(space, quick, warn)
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
            f"fastest takes {enough(least_ms, LATENCY)} ms ({latency.name}): {architecture}. Ask for that or "
            "more, or take a lower resolution or width"
        )


def _require_among_points(space: SearchSpace, limited: Sequence[tuple[Cost, float]]) -> None:
    points = points_of(space)
    assert points is not None
    if not limited:
        return
    figures = np.stack([cost.figures(points) for cost, _ in limited], axis=1)
    for column, (cost, limit) in enumerate(limited):
        at = int(np.argmin(figures[:, column]))
        if (least := float(figures[at, column])) > limit:
            raise Infeasible(_alone(space, cost, limit, least, space.decode(points[at].tolist())))
    shares = figures / np.array([limit for _, limit in limited])
    at = int(np.argmin(shares.max(axis=1)))
    if shares[at].max() > 1:
        told = _together(limited, shares[at].tolist(), space.decode(points[at].tolist()))
        raise Infeasible(_none(space, limited, told))


def _require_together(
    space: SearchSpace, limited: Sequence[tuple[Cost, float]], warn: Callable[[str], None]
) -> None:
    found = closest(space, limited)
    if found.kept:
        return
    told = _together(limited, found.shares, space.decode(found.point))
    if found.whole:
        raise Infeasible(_none(space, limited, told))
    warn(f"no architecture of {space.name} was found that reaches {_asked(limited)} at once, {told}")


def _value(cost: Cost, architecture: Any) -> float:
    return cost.predict(architecture).value


def _alone(space: SearchSpace, cost: Cost, limit: float, least: float, architecture: Any) -> str:
    smaller = ", or take a lower resolution or width" if hasattr(space, "resolution") else ""
    return (
        f"no architecture of {space.name} reaches {limit:g} {cost.unit}: the least is "
        f"{enough(least, cost.name)}: {architecture}. Ask for that or more{smaller}"
    )


def _none(space: SearchSpace, limited: Sequence[tuple[Cost, float]], told: str) -> str:
    return f"no architecture of {space.name} reaches {_asked(limited)} at once, {told}"


def _asked(limited: Sequence[tuple[Cost, float]]) -> str:
    return " and ".join(f"{limit:g} {cost.unit}" for cost, limit in limited)


def _together(limited: Sequence[tuple[Cost, float]], shares: Sequence[float], architecture: Any) -> str:
    found = " and ".join(
        f"{enough(cost.predict(architecture).value, cost.name)} {cost.unit}" for cost, _ in limited
    )
    missed = " and ".join(cost.name for (cost, _), share in zip(limited, shares, strict=True) if share > 1)
    return (
        f"though each of them is reached: the closest, above in {missed}, has {found}: {architecture}. Ask "
        "for that or more"
    )


def enough(value: float, cost: str) -> str:
    """A cost as it can be asked for: four digits, rounded up; what is counted is whole.

    Args:
        value: above 0.
        cost: its name.
    """
    if cost.partition(":")[0] in COUNTED:
        return str(math.ceil(value))
    return f"{Context(prec=4, rounding=ROUND_CEILING).create_decimal(value):f}"
