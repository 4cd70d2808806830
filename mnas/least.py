"""The least of a cost that a space has to offer. Knows no limits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from mnas.architecture import Architecture
from mnas.lower import lower
from mnas.spaces.base import SearchSpace, Space

#: restarts of the descent towards the fastest architecture, after the one from the first options
RESTARTS = 4


def fastest(
    space: SearchSpace, cost: Callable[[Any], float], enough: float = float("-inf"), seed: int = 0
) -> tuple[tuple[int, ...], float]:
    """The option indices of the architecture of least cost, and that cost.

    Coordinate descent: from the first options and from random ones, each choice in turn takes its cheapest
    option until none gets cheaper. That is exact where choices add up, and close to it in spaces of stages,
    where a stage's latency depends on its own choices and on the width before it.

    Args:
        enough: stop as soon as a cost is this or less.
    """
    rng = random.Random(seed)
    sizes = [len(choice.options) for choice in space.choices]
    best: tuple[tuple[int, ...], float] | None = None
    for start in range(1 + RESTARTS):
        indices = [rng.randrange(size) if start else 0 for size in sizes]
        least = cost(space.decode(indices))
        improved = True
        while improved and least > enough:
            improved = False
            for position, size in enumerate(sizes):
                for option in range(size):
                    neighbour = [*indices[:position], option, *indices[position + 1 :]]
                    if option != indices[position] and (price := cost(space.decode(neighbour))) < least:
                        indices, least, improved = neighbour, price, True
        if best is None or least < best[1]:
            best = tuple(indices), least
        if least <= enough:
            break
    assert best is not None
    return best


def cheapest(space: Space, count: int) -> list[Architecture]:
    """Up to `count` architectures of few multiply-accumulates: the one of the fewest, then its neighbours.

    A neighbour differs in one choice; fewest multiply-accumulates first, each architecture once.
    """
    least, _ = fastest(space, _macs)
    found = {space.decode(least): None}
    for position, choice in enumerate(space.choices):
        for option in range(len(choice.options)):
            found.setdefault(space.decode([*least[:position], option, *least[position + 1 :]]), None)
    return sorted(found, key=_macs)[:count]


def _macs(architecture: Architecture) -> float:
    return float(lower(architecture).macs)
