"""Figures of operators that were only measured alone: from what those are that have both. Knows no store.

Alone, an operator runs in a loop, its weights and inputs in the nearest cache; and the runtime's call is in
its latency. So `time in a network = ratio of its kind x (latency alone - latency of an empty call)`; ratio
and empty call are both told from operators of the table that were measured either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.units import kind_of

#: a kind has a ratio of its own from this many operators that have both
ENOUGH = 3
#: standard deviation of the logarithm of an unknown ratio: on a server's CPU ratios were 1.0 to 1.3 in kinds
#: of much arithmetic
UNKNOWN_SPREAD = 0.15
#: ratios are never taken to be known better than this
LEAST_SPREAD = 0.03
#: the empty call takes at most this share of the least latency alone
MOST_EMPTY = 0.9
_ROUNDS = 20
#: relative errors below this count alike
_LEAST_ERROR = 0.005


@dataclass(frozen=True, slots=True)
class Ratio:
    """Between the times in networks and alone of a kind.

    Attributes:
        spread: standard deviation of its logarithm from operator to operator.
    """

    value: float
    spread: float


@dataclass(frozen=True, slots=True)
class Alone:
    """What latencies alone say.

    Attributes:
        times_ms: by unit, its time in networks.
        errors: by unit, the relative standard error of that.
        empty_ms: latency of an empty call.
        ratios: by kind.
    """

    times_ms: dict[str, float]
    errors: dict[str, float]
    empty_ms: float
    ratios: dict[str, Ratio]


def from_alone(
    alone_ms: Mapping[str, float],
    in_context_ms: Mapping[str, float],
    networks: Sequence[tuple[Mapping[str, int], float]] = (),
) -> Alone:
    """Times in networks of units by their latencies alone.

    Args:
        alone_ms: by unit, its latency as a model of its own.
        in_context_ms: by unit, its time in networks, of units that were seen there.
        networks: counts of units in whole networks, and their latency: without operators that have both, the
            empty call shows only there, as what is in a sum once for each operator and in no network.
    """
    both = [unit for unit in sorted(alone_ms) if in_context_ms.get(unit, 0.0) > 0]
    kinds = sorted({kind_of(unit) for unit in alone_ms})
    most = MOST_EMPTY * min(alone_ms.values(), default=0.0)
    alone = np.array([alone_ms[unit] for unit in both])
    context = np.array([in_context_ms[unit] for unit in both])
    if len(both) >= ENOUGH:
        empty = float(np.clip(_empty_of_both([kind_of(unit) for unit in both], alone, context), 0.0, most))
    else:
        empty = float(np.clip(_empty_of_networks(alone_ms, networks), 0.0, most))
    ratios = _ratios(both, np.log(context / (alone - empty)), kinds)
    return Alone(
        {unit: ratios[kind_of(unit)].value * (ms - empty) for unit, ms in alone_ms.items()},
        {unit: ratios[kind_of(unit)].spread for unit in alone_ms},
        empty,
        ratios,
    )


def _ratios(units: Sequence[str], logs: np.ndarray, kinds: Sequence[str]) -> dict[str, Ratio]:
    """Median ratios; kinds with few operators that have both take the median of all."""
    found = {}
    for kind in kinds:
        mine = logs[[kind_of(unit) == kind for unit in units]] if len(units) else logs
        mine = mine if len(mine) >= ENOUGH else logs
        if len(mine) >= ENOUGH:
            middle = float(np.median(mine))
            spread = 1.4826 * float(np.median(np.abs(mine - middle)))
            found[kind] = Ratio(float(np.exp(middle)), max(spread, LEAST_SPREAD))
        else:
            found[kind] = Ratio(float(np.exp(np.median(logs))) if len(logs) else 1.0, UNKNOWN_SPREAD)
    return found


def _empty_of_both(kinds: Sequence[str], alone: np.ndarray, context: np.ndarray) -> float:
    """By least absolute relative errors on `alone = empty call + time in networks / ratio of its kind`.

    Kinds with few operators have one ratio together. Least squares, each time weighted by the last errors.
    """
    names = sorted({kind for kind in kinds if kinds.count(kind) >= ENOUGH})
    codes = np.array([names.index(kind) if kind in names else len(names) for kind in kinds])
    used = [code for code in range(len(names) + 1) if np.any(codes == code)]
    columns = np.c_[np.ones(len(alone)), np.array([codes == code for code in used]).T * context[:, None]]
    columns /= alone[:, None]
    weights = np.ones(len(alone))
    found = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        found = np.linalg.lstsq(columns * weights[:, None], weights, rcond=None)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(columns @ found - 1), _LEAST_ERROR))
    return float(found[0])


def _empty_of_networks(
    alone_ms: Mapping[str, float], networks: Sequence[tuple[Mapping[str, int], float]]
) -> float:
    """By least squares of relative errors on `latency = factor x (sum alone - operators x empty call)`."""
    known = [(counts, ms) for counts, ms in networks if counts and all(unit in alone_ms for unit in counts)]
    if len(known) < ENOUGH:
        return 0.0
    measured = np.array([ms for _, ms in known])
    sums = np.array([sum(count * alone_ms[unit] for unit, count in counts.items()) for counts, _ in known])
    operators = np.array([float(sum(counts.values())) for counts, _ in known])
    columns = np.c_[sums, -operators] / measured[:, None]
    (factor, times), *_ = np.linalg.lstsq(columns, np.ones(len(known)), rcond=None)
    return float(times / factor) if factor > 0 and times > 0 else 0.0
