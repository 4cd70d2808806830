"""How passes of different minutes and days join: the speed at which each was measured. Stores nothing.

A machine's speed moves, between days by 5 to 10 %, within minutes by as much where other programs work. What
moves all operators alike says nothing about any of them, so it is taken out: passes are cut into blocks of
consecutive ones, and a block's speed is how much longer than in other blocks the same operators and the same
networks took in it. Networks themselves are asked, rather than the reference model beside them: where memory
is what others take, a small convolution slows down by a third of what networks do. The reference has the word
only for a block that shares nothing with the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from latency_tables.fitting.statistics import STATISTIC, Observation
from latency_tables.records import Burst

#: passes of a block, about; fewer follow the machine more closely, but know their speed less well
BLOCK = 32
#: a pause that ends a block: so many seconds, and so many times as long as is usual between two passes
PAUSE_S, PAUSE_FACTOR = 120.0, 10.0
#: how far speeds are expected to lie apart (standard deviation of their logarithm): few passes that say more
#: are believed in part
EXPECTED_SPREAD = 0.03
_ROUNDS, _ENOUGH = 100, 1e-6

#: a pass: its network's name and its index
PassKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Joined:
    """All that a table measured, as if at one speed: the mean of the passes that the calibration counts.

    Attributes:
        samples_ms: by network, the samples of each pass, oldest first.
        anchors_ms: the same of the anchors' passes that the calibration counts.
        observations: every operator time.
        speeds: by pass, how many times as long as at that one speed everything took.
    """

    samples_ms: dict[str, list[tuple[float, ...]]]
    anchors_ms: dict[str, list[tuple[float, ...]]]
    observations: list[Observation]
    speeds: dict[PassKey, float]


def join(
    bursts: Sequence[Burst],
    observations: Sequence[Observation],
    anchors: Collection[str],
    since: str | None = None,
) -> Joined:
    """Join passes: doubtful ones count only where a network has no others.

    Args:
        anchors: names of the networks that bring the calibration.
        since: ISO 8601 time from which their passes count for it; None: all do.
    """
    kept = trusted(bursts)
    keys = {_key(one) for one in kept}
    seen = [one for one in observations if (one.network, one.pass_index) in keys]
    found = speeds(kept, seen)
    begin = time_of(since) if since else None
    counted = trusted(
        [
            one
            for one in bursts
            if one.network in anchors and (begin is None or time_of(one.started_at) >= begin)
        ]
    )
    level = np.exp(np.mean([np.log(found[_key(one)]) for one in counted if _key(one) in found] or [0.0]))
    found = {key: float(speed / level) for key, speed in found.items()}
    samples: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    anchored: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for one in kept:
        samples[one.network].append(_scaled(one.samples_ms, found[_key(one)]))
    for one in counted:
        anchored[one.network].append(_scaled(one.samples_ms, found.get(_key(one), 1.0)))
    return Joined(
        dict(samples),
        dict(anchored),
        [replace(one, mean_ms=one.mean_ms / found[one.network, one.pass_index]) for one in seen],
        found,
    )


def trusted(bursts: Iterable[Burst]) -> list[Burst]:
    """The passes that count: of each network those that nothing speaks against, or all if there are none."""
    by_network: dict[str, list[Burst]] = defaultdict(list)
    for one in bursts:
        by_network[one.network].append(one)
    return [
        one
        for passes in by_network.values()
        for one in ([each for each in passes if not is_suspect(each)] or passes)
    ]


def is_suspect(burst: Burst) -> bool:
    """Whether the device that measured the pass doubts it: heat, a canary that drifted."""
    return burst.context.get("suspect") is not None


def speeds(bursts: Sequence[Burst], observations: Sequence[Observation]) -> dict[PassKey, float]:
    """How many times as long as on the mean of all passes everything took in each; 1 where nothing tells.

    Alternating least squares on `time = speed of the block x time of the operator` (or of the whole network),
    the block's speed being the median over its passes; drawn towards 1 by what so few passes can know.
    """
    blocks = _blocks(bursts)
    if blocks.size == 0 or blocks.max() == 0:
        return {_key(one): 1.0 for one in bursts}
    places = {_key(one): place for place, one in enumerate(bursts)}
    ratios = _Ratios(blocks)
    operators: dict[tuple[int, str], list[float]] = defaultdict(list)
    for seen in observations:
        operators[places[seen.network, seen.pass_index], seen.operator].append(seen.mean_ms)
    ratios.add([(place, name, sum(times), len(times)) for (place, name), times in operators.items()])
    ratios.add(
        [
            (place, one.network, float(np.quantile(one.samples_ms, STATISTIC)), 1)
            for place, one in enumerate(bursts)
            if len(one.samples_ms)
        ]
    )
    logs = ratios.solve()
    _ask_reference(logs, blocks, bursts)
    logs -= np.mean(logs[blocks])
    return {_key(one): float(np.exp(logs[block])) for one, block in zip(bursts, blocks, strict=True)}


class _Ratios:
    """What was seen in more than one block, and the blocks' speeds by it."""

    def __init__(self, blocks: NDArray[np.int64]) -> None:
        self._blocks = blocks
        self._sets: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        self._counts: list[NDArray[np.float64]] = []

    def add(self, rows: Sequence[tuple[int, str, float, int]]) -> None:
        """Take things seen: the pass, the thing's name, milliseconds in all, and how many times."""
        numbers: dict[str, int] = {}
        places = np.array([row[0] for row in rows], dtype=np.int64)
        things = np.array([numbers.setdefault(row[1], len(numbers)) for row in rows], dtype=np.int64)
        times = np.array([row[2] for row in rows], dtype=float)
        counts = np.array([row[3] for row in rows], dtype=float)
        pairs = {(thing, block) for thing, block in zip(things, self._blocks[places], strict=True)}
        seen = np.bincount([thing for thing, _ in pairs], minlength=len(numbers))
        shared = seen[things] > 1 if len(rows) else np.zeros(0, bool)
        self._sets.append((places[shared], things[shared], times[shared]))
        self._counts.append(counts[shared])

    def solve(self) -> NDArray[np.float64]:
        """The logarithm of each block's speed; NaN where a block shares nothing with others."""
        passes, count = len(self._blocks), int(self._blocks.max()) + 1
        logs = np.zeros(count)
        residuals = self._residuals(logs)
        for _ in range(_ROUNDS):
            steps = _medians(residuals, self._blocks, count)
            logs += np.nan_to_num(steps)
            if np.nanmax(np.abs(steps), initial=0.0) < _ENOUGH:
                break
            residuals = self._residuals(logs)
        known = np.isfinite(residuals)
        of = np.bincount(np.tile(self._blocks, len(residuals) // passes)[known], minlength=count)
        if not known.any():
            return np.full(count, np.nan)
        noise = 1.4826 * float(np.median(np.abs(residuals[known])))
        variance = np.pi / 2 * noise**2 / np.maximum(of, 1)  # of a median
        logs -= np.average(logs, weights=of)
        logs *= EXPECTED_SPREAD**2 / (EXPECTED_SPREAD**2 + variance)
        logs[of == 0] = np.nan
        return logs

    def _residuals(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Per set and pass, the logarithm of its time over what was expected at the block's speed."""
        speed = np.exp(logs[self._blocks])
        found = []
        for (places, things, times), counts in zip(self._sets, self._counts, strict=True):
            typical = np.bincount(things, times / speed[places]) / np.maximum(
                np.bincount(things, counts), 1.0
            )
            size = len(self._blocks)
            took = np.bincount(places, times, minlength=size)
            expected = speed * np.bincount(places, counts * typical[things], minlength=size)
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append(np.where((took > 0) & (expected > 0), np.log(took / expected), np.nan))
        return np.concatenate(found)


def _medians(residuals: NDArray[np.float64], blocks: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """The median residual of each block; NaN where it has none."""
    of = np.tile(blocks, len(residuals) // len(blocks))
    found = np.full(count, np.nan)
    for number in range(count):
        mine = residuals[of == number]
        mine = mine[np.isfinite(mine)]
        if len(mine):
            found[number] = np.median(mine)
    return found


def _ask_reference(logs: NDArray[np.float64], blocks: NDArray[np.int64], bursts: Sequence[Burst]) -> None:
    """Fill in speeds that are not known by the reference model; 0 where it was not measured either."""
    if np.isfinite(logs).all():
        return
    by_block: dict[int, list[float]] = defaultdict(list)
    for burst, block in zip(bursts, blocks, strict=True):
        if burst.reference_ms:
            by_block[int(block)].append(burst.reference_ms)
    references = {block: float(np.log(np.median(times))) for block, times in by_block.items()}
    known = [references[block] - logs[block] for block in references if np.isfinite(logs[block])]
    base = float(np.median(known or list(references.values()) or [0.0]))
    for block in np.flatnonzero(~np.isfinite(logs)):
        logs[block] = references.get(int(block), base) - base


def _blocks(bursts: Sequence[Burst]) -> NDArray[np.int64]:
    """The number of each pass's block: consecutive ones without a long pause, about `BLOCK` of them."""
    times = [time_of(one.started_at) for one in bursts]
    order = sorted(range(len(bursts)), key=lambda place: (times[place], _key(bursts[place])))
    gaps = [(times[after] - times[before]).total_seconds() for before, after in pairwise(order)]
    longest = max(PAUSE_S, PAUSE_FACTOR * float(np.median(gaps))) if gaps else PAUSE_S
    starts = [0, *(place for place, gap in enumerate(gaps, 1) if gap > longest), len(order)]
    blocks = np.zeros(len(bursts), dtype=np.int64)
    number = 0
    for start, end in pairwise(starts):
        parts = max(1, round((end - start) / BLOCK))
        for part in np.array_split(np.array(order[start:end], dtype=np.int64), parts):
            blocks[part] = number
            number += 1
    return blocks


def _scaled(samples_ms: Sequence[float], speed: float) -> tuple[float, ...]:
    return tuple(sample / speed for sample in samples_ms)


def _key(burst: Burst) -> PassKey:
    return burst.network, burst.pass_index


def time_of(text: str) -> datetime:
    """A time as it is stored; in UTC where it does not say.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
