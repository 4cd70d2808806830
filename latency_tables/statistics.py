"""From operator times to an estimate per unit, from samples to a network's one latency. Stores nothing.

A network's latency is `network_ms` throughout: the median over passes of each pass's lower quartile, which is
a little less than the median of all runs, and the more so the noisier the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.context import SAME_SIZE, Codes, Floats, Sizes, Times, fit_context
from latency_tables.errors import BadTable
from latency_tables.units import kind_of

#: the quantile that stands for a burst of runs: steadier than the median where other processes take turns
STATISTIC = 0.25
#: standard deviation of a burst's mean time that the profiler's whole microseconds alone bring
RESOLUTION_MS = 0.0002
#: a unit's own variance between passes counts with (passes - 1) degrees of freedom, what is usual among the
#: table's units with this many
PRIOR_FREEDOM = 3.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One unit's mean time in one pass of one network.

    Attributes:
        operator: the unit's text form: an OpSpec's, or a block's (`latency_tables.units`).
    """

    operator: str
    network: str
    pass_index: int
    mean_ms: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """One unit's time by the profile, from all its observations.

    Attributes:
        profiled_ms: the median over networks and passes of its mean time there, as it was.
        typical_ms: the same as it would be in a network of typical size at the mean speed of all bursts
            (`latency_tables.context`).
        exponent: by which power of the network's size it grows.
        standard_error_ms: of `typical_ms`, by the differences between passes once what is common to all units
            of a burst is taken out: that is the machine's speed; None after one pass.
        observations: how many times it was seen.
        networks: in how many networks.
        passes: in how many passes over them.
        spread_ms: interquartile range over networks and passes, as they were.
        between_pass_ms: standard deviation between passes, speeds taken out; None after one.
        between_network_ms: standard deviation between networks, sizes and speeds taken out; None in one.
    """

    profiled_ms: float
    typical_ms: float
    exponent: float
    standard_error_ms: float | None
    observations: int
    networks: int
    passes: int
    spread_ms: float
    between_pass_ms: float | None
    between_network_ms: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """All that the profile says.

    Attributes:
        units: by text form.
        sizes: of the networks that they were seen in.
        left_out: by unit and network, `Estimate.typical_ms` without what was seen in that network; only where
            the unit was seen in others too.
    """

    units: dict[str, Estimate]
    sizes: Sizes
    left_out: dict[tuple[str, str], float]


def estimates(observations: Iterable[Observation]) -> dict[str, Estimate]:
    """What the profile says of each unit. The result does not depend on the order of the observations.

    A unit's variance between passes is told from few passes, so it is drawn towards what is usual among the
    table's units, in squares weighted by degrees of freedom (moderated variances: Smyth 2004).
    """
    return profile(observations).units


def profile(observations: Iterable[Observation], without: Iterable[str] = ()) -> Profile:
    """As `estimates`, with what they rest on.

    Args:
        without: names of networks for `Profile.left_out`.
    """
    seen = list(observations)
    if not seen:
        return Profile({}, SAME_SIZE, {})
    units, unit_codes = _codes([one.operator for one in seen])
    networks, network_codes = _codes([one.network for one in seen])
    passes = np.array([one.pass_index for one in seen], dtype=np.int64)
    times = np.array([one.mean_ms for one in seen], dtype=float)
    order = np.lexsort((times, passes, network_codes, unit_codes))
    keys = np.c_[unit_codes, network_codes, passes][order]
    starts, repeats = _runs(keys)
    means = np.add.reduceat(times[order], starts) / repeats
    unit, network, index = keys[starts].T
    bursts = np.unique(network * (int(index.max()) + 1) + index, return_inverse=True)[1]
    _, kinds = _codes([kind_of(text) for text in units])
    context = fit_context(Times(unit, network, bursts, means, repeats.astype(float), kinds))
    groups = [slice(start, start + size) for start, size in zip(*_runs(unit[:, None]), strict=True)]
    raw = [_raw(network[one], index[one], means[one], context.typical_ms[one]) for one in groups]
    usual = _usual_variation(raw)
    chosen = set(without)
    left_out: dict[tuple[str, str], float] = {}
    for text, group in zip(units, groups, strict=True):
        own, typical = network[group], context.typical_ms[group]
        for code in np.unique(own):
            if networks[code] in chosen and np.any(own != code):
                left_out[text, networks[code]] = float(np.median(typical[own != code]))
    return Profile(
        {
            text: _estimate(one, int(repeats[group].sum()), float(exponent), usual)
            for text, one, group, exponent in zip(units, raw, groups, context.exponents, strict=True)
        },
        context.sizes,
        left_out,
    )


@dataclass(frozen=True, slots=True)
class _Raw:
    """One unit before its variance is drawn towards the usual one."""

    profiled_ms: float
    typical_ms: float
    spread_ms: float
    networks: int
    passes: int
    between_pass_ms: float | None
    between_network_ms: float | None


def _raw(networks: Codes, passes: Codes, means: Floats, typical: Floats) -> _Raw:
    lower, middle, upper = np.quantile(means, (0.25, 0.5, 0.75))
    starts, sizes = _runs(networks[:, None])
    centres = np.add.reduceat(typical, starts) / sizes
    numbers, places = np.unique(passes, return_inverse=True)
    between_pass = None
    if len(numbers) > 1:
        repeated = np.repeat(sizes, sizes) > 1
        off = (typical - np.repeat(centres, sizes))[repeated]
        weights = np.bincount(places[repeated], minlength=len(numbers))
        sums = np.bincount(places[repeated], off, minlength=len(numbers))
        of_passes = sums[weights > 0] / weights[weights > 0]
        if len(of_passes) > 1:
            between_pass = float(np.sqrt(np.sum(of_passes**2) / (len(of_passes) - 1)))
    return _Raw(
        profiled_ms=float(middle),
        typical_ms=float(np.median(typical)),
        spread_ms=float(upper - lower),
        networks=len(starts),
        passes=len(numbers),
        between_pass_ms=between_pass,
        between_network_ms=float(np.std(centres, ddof=1)) if len(starts) > 1 else None,
    )


def _usual_variation(raw: Sequence[_Raw]) -> float:
    """The standard deviation between passes that is usual, relative to the time; 0 where nothing is known."""
    known = [
        one.between_pass_ms / one.typical_ms
        for one in raw
        if one.between_pass_ms is not None and one.typical_ms > 100 * RESOLUTION_MS
    ]
    return float(np.median(known)) if known else 0.0


def _estimate(one: _Raw, observations: int, exponent: float, usual: float) -> Estimate:
    error = None
    if one.between_pass_ms is not None:
        freedom = one.passes - 1
        prior = (usual * one.typical_ms) ** 2 + RESOLUTION_MS**2
        variance = (PRIOR_FREEDOM * prior + freedom * one.between_pass_ms**2) / (PRIOR_FREEDOM + freedom)
        error = float(np.sqrt(variance / one.passes))
    return Estimate(
        profiled_ms=one.profiled_ms,
        typical_ms=one.typical_ms,
        exponent=exponent,
        standard_error_ms=error,
        observations=observations,
        networks=one.networks,
        passes=one.passes,
        spread_ms=one.spread_ms,
        between_pass_ms=one.between_pass_ms,
        between_network_ms=one.between_network_ms,
    )


def network_ms(passes: Iterable[Sequence[float]]) -> float:
    """The one figure for a network's measured latency: the median over passes of each burst's lower quartile.

    Args:
        passes: the samples of each pass in milliseconds.
    """
    return float(np.median(pass_ms(passes)))


def pass_ms(passes: Iterable[Sequence[float]]) -> Floats:
    """One figure for each pass of a network: the lower quartile of its samples.

    Raises:
        BadTable: there is no sample.
    """
    bursts = [float(np.quantile(samples, STATISTIC)) for samples in passes if len(samples)]
    if not bursts:
        raise BadTable("a network's latency needs at least one sample")
    return np.array(bursts)


def _codes(texts: Sequence[str]) -> tuple[list[str], Codes]:
    """The different texts in order, and each text's place among them."""
    different = sorted(set(texts))
    places = {text: place for place, text in enumerate(different)}
    return different, np.array([places[text] for text in texts], dtype=np.int64)


def _runs(keys: Codes) -> tuple[Codes, Codes]:
    """Where runs of equal rows start, and how long they are."""
    starts = np.flatnonzero(np.r_[True, np.any(keys[1:] != keys[:-1], axis=1)])
    return starts, np.diff(np.r_[starts, len(keys)])
