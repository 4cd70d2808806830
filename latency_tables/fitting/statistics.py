"""From operator times to an estimate per unit, from samples to a network's one latency. Stores nothing.

A network's latency is `network_ms` throughout: the median over passes of each pass's lower quartile, which is
a little less than the median of all runs, and the more so the noisier the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import BadTable
from latency_tables.fitting.context import SAME_SIZE, Sizes, Times, fit_context
from latency_tables.fitting.grouped import (
    Codes,
    Floats,
    deviations,
    medians,
    quantiles,
    runs,
    trimmed_means,
)
from latency_tables.units import kind_of

#: the quantile that stands for a burst of runs: steadier than the median where other processes take turns
STATISTIC = 0.25
#: standard deviation of a burst's mean time that the profiler's whole microseconds alone bring
RESOLUTION_MS = 0.0002
#: a unit's own variance between passes counts with (passes - 1) degrees of freedom, what is usual among the
#: table's units with this many
PRIOR_FREEDOM = 3.0
#: relative standard deviation between passes that is taken for usual at least: passes that follow each other
#: agree better than those of another hour, where memory is slower for some kinds of operators than for others
LEAST_USUAL = 0.01
#: the variance of a trimmed mean (`grouped.trimmed_means`) of 0, 1, 2, ... normal values over that of their
#: mean, by simulation; of more than these, the last
TRIMMED_VARIANCE = (1.0, 1.0, 1.0, 1.34, 1.19, 1.14, 1.10, 1.08)


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
        typical_ms: the trimmed mean over networks and passes of what its time would be in a network of
            typical size at the mean speed of all bursts (`latency_tables.fitting.context`). With speeds taken
            out, outliers are few: errors of held-out networks are 1 % less by it than by the median, which
            throws a third of the precision away.
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
    indices = np.array([one.pass_index for one in seen], dtype=np.int64)
    times = np.array([one.mean_ms for one in seen], dtype=float)
    order = np.lexsort((times, indices, network_codes, unit_codes))
    unit, network, index = unit_codes[order], network_codes[order], indices[order]
    starts, repeats = runs(unit, network, index)
    unit, network, index = unit[starts], network[starts], index[starts]
    means = np.add.reduceat(times[order], starts) / repeats
    bursts = np.unique(network * (int(index.max()) + 1) + index, return_inverse=True)[1]
    _, kinds = _codes([kind_of(text) for text in units])
    context = fit_context(Times(unit, network, bursts, means, repeats.astype(float), kinds))
    rows = _Rows(len(units), unit, network, index, means, context.typical_ms)
    found = _estimates(rows, np.bincount(unit, repeats, len(units)).astype(np.int64), context.exponents)
    return Profile(
        dict(zip(units, found, strict=True)),
        context.sizes,
        {
            (units[one], networks[other]): ms
            for (one, other), ms in _left_out(
                rows, {networks.index(name) for name in set(without) & set(networks)}
            )
        },
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """One row for each unit of each burst, by unit, network and pass; `units` of them."""

    units: int
    unit: Codes
    network: Codes
    index: Codes
    means_ms: Floats
    typical_ms: Floats


def _estimates(rows: _Rows, observations: Codes, exponents: Floats) -> list[Estimate]:
    count, unit, typical = rows.units, rows.unit, rows.typical_ms
    typical_ms = trimmed_means(unit, typical, count)
    upper, lower = (quantiles(unit, rows.means_ms, count, share) for share in (0.75, 0.25))
    starts, sizes = runs(unit, rows.network)
    centres = np.add.reduceat(typical, starts) / sizes
    between_passes, passes = _between_passes(rows, np.repeat(centres, sizes), np.repeat(sizes, sizes) > 1)
    columns: dict[str, Floats | Codes] = {
        "profiled_ms": medians(unit, rows.means_ms, count),
        "typical_ms": typical_ms,
        "exponent": exponents,
        "standard_error_ms": _errors(typical_ms, between_passes, passes, np.bincount(unit, minlength=count)),
        "observations": observations,
        "networks": np.bincount(unit[starts], minlength=count),
        "passes": passes,
        "spread_ms": upper - lower,
        "between_pass_ms": between_passes,
        "between_network_ms": deviations(unit[starts], centres, count),
    }
    return [
        Estimate(**dict(zip(columns, map(_known, row), strict=True)))
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]


def _known(figure: Any) -> Any:
    """The figure; None if it is NaN."""
    return None if np.isnan(figure) else figure


def _between_passes(rows: _Rows, centres: Floats, repeated: NDArray[np.bool_]) -> tuple[Floats, Codes]:
    """By unit the standard deviation of its passes (NaN if unknown), and their number.

    A pass's figure is its mean difference from what the unit takes in each of the pass's networks, of those
    networks that have more passes.
    """
    count, width = rows.units, int(rows.index.max()) + 1
    pairs, places = np.unique(rows.unit * width + rows.index, return_inverse=True)
    of = pairs // width
    weights = np.bincount(places, repeated, len(pairs))
    sums = np.bincount(places, np.where(repeated, rows.typical_ms - centres, 0.0), len(pairs))
    there = weights > 0
    squares = np.bincount(of[there], (sums[there] / weights[there]) ** 2, count)
    number = np.bincount(of[there], minlength=count)
    found = np.where(number > 1, np.sqrt(squares / np.maximum(number - 1, 1)), np.nan)
    return found, np.bincount(of, minlength=count)


def _errors(typical_ms: Floats, between_passes: Floats, passes: Codes, rows: Codes) -> Floats:
    """Standard errors from the variance between passes, drawn towards the usual one; NaN if unknown.

    Those of a mean over passes would be too small: figures are trimmed means over `rows` values.
    """
    clear = np.isfinite(between_passes) & (typical_ms > 100 * RESOLUTION_MS)
    freedom = passes - 1
    usual = LEAST_USUAL**2
    if clear.any():
        # a variance told from two passes is on the median less than half of what it is on the mean: median
        # of chi-square over its degrees of freedom, by Wilson and Hilferty (1931)
        usual_median = (1 - 2 / (9 * np.maximum(freedom[clear], 1))) ** 3
        usual = max(usual, float(np.median((between_passes[clear] / typical_ms[clear]) ** 2 / usual_median)))
    prior = usual * typical_ms**2 + RESOLUTION_MS**2
    variances = (PRIOR_FREEDOM * prior + freedom * between_passes**2) / (PRIOR_FREEDOM + freedom)
    wider = np.array(TRIMMED_VARIANCE)[np.minimum(rows, len(TRIMMED_VARIANCE) - 1)]
    return np.asarray(np.sqrt(wider * variances / passes))


def _left_out(rows: _Rows, without: set[int]) -> Iterator[tuple[tuple[int, int], float]]:
    """Trimmed means of a unit's times but for those in one network."""
    starts, sizes = runs(rows.unit)
    for start, size in zip(starts, sizes, strict=True):
        networks, times = rows.network[start : start + size], rows.typical_ms[start : start + size]
        for code in without.intersection(networks.tolist()):
            if len(others := times[networks != code]):
                yield (
                    (int(rows.unit[start]), code),
                    float(trimmed_means(np.zeros(len(others), np.int64), others, 1)[0]),
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
