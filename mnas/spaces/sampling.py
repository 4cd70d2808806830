"""Random members of a space, and how many there are. Knows no particular space."""

from __future__ import annotations

import random
from math import prod

import numpy as np
from numpy.typing import NDArray

from mnas.spaces.base import SearchSpace

#: points at random that stand for a space, and the generator's seed: always the same
TYPICAL, TYPICAL_SEED = 1024, 0


def sample(space: SearchSpace, rng: random.Random) -> tuple[int, ...]:
    """One option index per choice, each option of a choice as likely as the others."""
    return tuple(rng.randrange(len(choice.options)) for choice in space.choices)


def size(space: SearchSpace) -> int:
    """How many points there are: an upper bound of the different networks."""
    points = points_of(space)
    return prod(len(choice.options) for choice in space.choices) if points is None else len(points)


def points_of(space: SearchSpace) -> NDArray[np.int64] | None:
    """The points that exist, [n, choices]; None if every combination of options does."""
    points: NDArray[np.int64] | None = getattr(space, "points", None)
    return points


def typical(space: SearchSpace) -> NDArray[np.int64]:
    """Random points of a space, always the same; all of them where only certain points exist."""
    points = points_of(space)
    if points is not None:
        return points
    sizes = [len(choice.options) for choice in space.choices]
    return np.random.default_rng(TYPICAL_SEED).integers(0, sizes, (TYPICAL, len(sizes)))
