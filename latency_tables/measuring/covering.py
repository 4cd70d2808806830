"""Few networks that together contain every operator: the greedy set cover. Knows keys, not their meaning."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

from latency_tables.errors import TablesError

Key = TypeVar("Key", bound=Hashable)


def cover(
    networks: Sequence[Collection[Key]], wanted: Collection[Key], times: int | Mapping[Key, int] = 1
) -> list[int]:
    """Indices of few networks such that every wanted key occurs in at least `times` of them.

    Greedy: each step takes the network with most keys still wanted (the first of equals), then networks that
    later ones made superfluous are left out again. At most `1 + ln(n)` times as many as the fewest possible,
    n being the number of keys of the largest network (Chvatal 1979).

    Args:
        times: the same for all keys, or by key; a key of 0 is not wanted.

    Raises:
        TablesError: a wanted key occurs in fewer than `times` networks; the message names some.
    """
    sets = [frozenset(network) for network in networks]
    goal = {key: times if isinstance(times, int) else times[key] for key in wanted}
    left = {key: count for key, count in goal.items() if count > 0}
    counts = Counter(key for keys in sets for key in keys)
    rare = [f"{key} in {counts[key]} of {goal[key]}" for key in left if counts[key] < goal[key]]
    if rare:
        shown = ", ".join(rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
        raise TablesError(f"{len(rare)} operator(s) occur in fewer networks than wanted: {shown}")

    chosen: list[int] = []
    # gains only shrink, so a stale one is an upper bound: re-counted when it comes to the top
    queue = [(-sum(key in left for key in keys), index) for index, keys in enumerate(sets)]
    heapq.heapify(queue)
    while left:
        _, index = heapq.heappop(queue)
        gain = sum(key in left for key in sets[index])
        if queue and (-gain, index) > queue[0]:
            heapq.heappush(queue, (-gain, index))
            continue
        chosen.append(index)
        for key in sets[index]:
            if key in left:
                left[key] -= 1
                if not left[key]:
                    del left[key]
    return _without_superfluous(sets, chosen, goal)


def _without_superfluous(
    sets: Sequence[frozenset[Key]], chosen: Sequence[int], goal: Mapping[Key, int]
) -> list[int]:
    held = Counter(key for index in chosen for key in sets[index] if key in goal)
    kept = list(chosen)
    for index in chosen:
        keys = [key for key in sets[index] if key in goal]
        if all(held[key] > goal[key] for key in keys):
            held.subtract(keys)
            kept.remove(index)
    return kept
