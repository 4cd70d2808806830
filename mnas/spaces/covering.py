"""Few networks of a space that together contain each of its operators several times. Knows no latency."""

from __future__ import annotations

import random
from collections.abc import Sequence

from latency_tables.measuring.covering import cover
from latency_tables.ops import Shape
from mnas.errors import BadInput
from mnas.spaces.base import Space
from mnas.spaces.operators import Choices, Operators, StageBlock, operators

#: networks that contain each operator, unless the caller says otherwise. In two an operator's time is seen to
#: depend, or not, on what stands around it; beyond that a network more tells no more than a pass more
TIMES = 2
#: what an operator counts that earlier networks have often enough: with `n`, an n-th of it
REPEAT_WEIGHT = 1e-3
#: what an operator counts at least that earlier networks have, but not often enough; at most one half. Drawn
#: anew each time: of equally good networks others are found than before
_AGAIN = (0.3, 0.5)
#: networks in a row that bring nothing before the rest counts as impossible; after the first of them, only
#: what the fewest networks have counts
_VAIN = 20


def covering_choices(space: Space, dtype: str, times: int = 1) -> list[Choices]:
    """Option indices of few networks that together contain every operator of the space `times` times or more.

    Greedy: each network is the one with most operators that none before it has. It is found exactly, stage by
    stage, because a block follows from its stage's choices and the filters that come in (an operator that
    occurs in several stages counts more than once). Among equals, operators seen the fewest times decide.
    No network is larger than its operators need: of layers that bring the same operators, the fewest.

    An operator that fewer different networks have, in a tiny space, is in all of those that were found; there
    is always one.

    Raises:
        BadInput: the space does not say what its stages are (`StagedSpace`), `times` is less than 1, or an
            operator is in none of the networks that were found; it names some.
    """
    if times < 1:
        raise BadInput(f"each operator in {times} networks: it must be in 1 or more")
    every = operators(space, dtype)
    rng = random.Random(0)
    seen = [0] * len(every.specs)
    found: dict[Choices, frozenset[int]] = {}
    known: set[frozenset[int]] = set()
    vain = 0
    while min(seen) < times and vain < _VAIN:
        weights = _rarest(seen, rng) if vain else [_weight(count, times, rng) for count in seen]
        choices, contained = _best(every, weights)
        if choices in found or contained in known:
            vain += 1
            continue
        vain = 0
        for number in contained:
            seen[number] += 1
        found[choices] = contained
        known.add(contained)
    if never := [str(every.specs[number]) for number, count in enumerate(seen) if not count]:
        more = f" and {len(never) - 3} more" if len(never) > 3 else ""
        raise BadInput(
            f"{len(never)} operator(s) of the space {space.name} are in no network that was found: "
            f"{', '.join(never[:3])}{more}. Its blocks must follow from their own choices and input alone"
        )
    goal = {number: min(times, count) for number, count in enumerate(seen)}
    candidates = list(found)
    return [candidates[index] for index in cover(list(found.values()), range(len(every.specs)), goal)]


def _weight(count: int, times: int, rng: random.Random) -> float:
    if count == 0:
        return 1.0
    return REPEAT_WEIGHT / count if count >= times else rng.uniform(*_AGAIN)


def _rarest(seen: Sequence[int], rng: random.Random) -> list[float]:
    """Weights by which no network without an operator that is seen least is the best.

    While one is not seen at all, the best network is therefore a new one.
    """
    least, small = min(seen), REPEAT_WEIGHT / len(seen)
    return [1.0 if count == least else rng.uniform(-small, small) for count in seen]


def _best(every: Operators, weights: Sequence[float]) -> tuple[Choices, frozenset[int]]:
    """The network of most weight: the best way to each shape, stage after stage."""
    ways: dict[Shape, tuple[float, Choices, frozenset[int]]] = {every.start: (0.0, (), every.stem)}
    for blocks in every.blocks:
        onward: dict[Shape, tuple[float, StageBlock, Shape]] = {}
        for shape, (weight, _, _) in ways.items():
            for block in blocks[shape]:
                total = weight + sum([weights[number] for number in block.operators])
                if block.output not in onward or total > onward[block.output][0]:
                    onward[block.output] = (total, block, shape)
        ways = {
            shape: (total, ways[origin][1] + block.options, ways[origin][2] | block.operators)
            for shape, (total, block, origin) in onward.items()
        }
    ends = [
        (
            weight + sum([weights[number] for number in every.tails[shape]]),
            choices,
            contained | every.tails[shape],
        )
        for shape, (weight, choices, contained) in ways.items()
    ]
    _, choices, contained = max(ends, key=lambda end: end[0])
    return choices, contained
