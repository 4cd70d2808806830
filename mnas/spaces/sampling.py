"""Random members of a space, and how many there are. Knows no particular space."""

from __future__ import annotations

import random
from math import prod

from mnas.spaces.base import Space


def sample(space: Space, rng: random.Random) -> tuple[int, ...]:
    """One option index per choice, each option of a choice as likely as the others."""
    return tuple(rng.randrange(len(choice.options)) for choice in space.choices)


def size(space: Space) -> int:
    """How many option vectors there are: an upper bound of the different networks."""
    return prod(len(choice.options) for choice in space.choices)
