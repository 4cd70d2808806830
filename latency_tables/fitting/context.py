"""How an operator's time depends on the network it is in and on the moment. Knows no operator by name.

The same operator takes longer in a larger network: more was touched since it ran last, so its weights and
inputs lie farther from the core. Fully connected layers show it most (their weights are read once), depthwise
convolutions least. And each burst of runs has the speed that the machine had just then. So

    time in a burst = unit's time x (network's size / typical size) ^ exponent of its kind x burst's speed

where a network's size is the sum of its units' times. All three are fitted to the times in the profile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_tables.fitting.grouped import Codes, Floats, medians, weighted_medians

#: added to times where their logarithm is taken: the profiler's clock counts whole microseconds
_OFFSET_MS = 0.0005
#: units of less than about this much time count less for their kind's exponent
_SMALL_MS = 0.003
#: standard deviations that exponents, a unit's time in one burst and a burst's speed are expected to have:
#: a kind that was seen in few networks, or in networks of one size, keeps an exponent near 0
EXPONENT_SPREAD, TIME_SPREAD, SPEED_SPREAD = 0.1, 0.06, 0.03
#: beyond the sizes of the networks that were measured, by more than this factor, exponents count no further
MARGIN = 1.25
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the networks that figures were measured in, in milliseconds of summed figures.

    Attributes:
        typical_ms: the size for which figures hold as they are; None where figures do not depend on it.
        least_ms: from here to `most_ms` exponents count; a smaller network is taken for one of this size.
        most_ms: likewise, a larger one.
    """

    typical_ms: float | None = None
    least_ms: float = 0.0
    most_ms: float = float("inf")

    def logs(self, sums_ms: Floats) -> Floats:
        """The logarithm of networks' sizes, relative to the typical one."""
        if self.typical_ms is None:
            return np.zeros_like(sums_ms)
        return np.asarray(np.log(np.clip(sums_ms, self.least_ms, self.most_ms) / self.typical_ms))

    def in_context(self, sums_ms: Floats, growths_ms: Floats) -> Floats:
        """Sums of figures as they are in networks of their size: `S x (S / typical)^(G / S)`.

        Args:
            sums_ms: S, of each network's figures.
            growths_ms: G, of its figures, each times its exponent; so G / S is the mean exponent.
        """
        return sums_ms if self.typical_ms is None else sums_ms * self.factors(sums_ms, growths_ms)

    def factors(self, sums_ms: Floats, growths_ms: Floats) -> Floats:
        """What `in_context` multiplies sums by."""
        means = growths_ms / np.maximum(sums_ms, np.finfo(float).tiny)
        return np.asarray(np.exp(self.logs(sums_ms) * means))


#: of figures that do not depend on the network
SAME_SIZE = Sizes()


@dataclass(frozen=True, slots=True)
class Times:
    """Times of units in bursts: one row for each unit of each burst; a burst is a network's pass.

    Attributes:
        units: code of each row's unit.
        networks: of its network.
        bursts: of its burst.
        means_ms: the unit's mean time there.
        repeats: how often it occurs in the network.
        kinds: by unit, the code of its kind.
    """

    units: Codes
    networks: Codes
    bursts: Codes
    means_ms: Floats
    repeats: Floats
    kinds: Codes


@dataclass(frozen=True, slots=True)
class Context:
    """What was fitted.

    Attributes:
        exponents: by unit.
        typical_ms: by row of `Times`, the time as it would be in a network of typical size at the mean speed.
    """

    exponents: Floats
    typical_ms: Floats
    sizes: Sizes


def fit_context(times: Times) -> Context:
    """Exponents by kind, speeds by burst: alternating, robust (weighted medians) and drawn towards none.

    What all units of a burst have in common is its speed, less what goes with the size of the networks: that
    part belongs to the exponents.
    """
    count = len(times.kinds)
    figures = medians(times.units, times.means_ms, count)
    exponents = np.zeros(count)
    logs = np.log(times.means_ms + _OFFSET_MS)
    of_burst = np.zeros(int(times.bursts.max()) + 1, np.int64)
    of_burst[times.bursts] = times.networks
    first_pass = _first_bursts(times)
    sizes, typical = SAME_SIZE, times.means_ms
    for _ in range(_ROUNDS):
        weights = figures[times.units] * times.repeats
        networks_ms = np.bincount(times.networks[first_pass], weights[first_pass]).astype(float)
        sizes = _sizes(networks_ms)
        size = sizes.logs(networks_ms)
        expected = figures[times.units] * np.exp(exponents[times.units] * size[times.networks])
        speeds = weighted_medians(times.bursts, logs - np.log(expected + _OFFSET_MS), weights)
        speeds = _without_trend(speeds, size[of_burst])
        exponents = _exponents(times, logs - speeds[times.bursts], size[times.networks], figures)
        typical = times.means_ms * np.exp(
            -speeds[times.bursts] - exponents[times.units] * size[times.networks]
        )
        figures = medians(times.units, typical, count)
    return Context(exponents, typical, sizes)


def _first_bursts(times: Times) -> NDArray[np.bool_]:
    """The rows of one burst for each network: what the network consists of."""
    first = np.full(int(times.networks.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, times.networks, times.bursts)
    return np.asarray(times.bursts == first[times.networks])


def _sizes(networks_ms: Floats) -> Sizes:
    known = networks_ms[networks_ms > 0]
    if not len(known):
        return SAME_SIZE
    typical = float(np.exp(np.median(np.log(known))))
    return Sizes(typical, float(known.min()) / MARGIN, float(known.max()) * MARGIN)


def _without_trend(speeds: Floats, size: Floats) -> Floats:
    """Speeds of mean 0, without what goes with the sizes of networks."""
    centred = size - size.mean()
    slope = centred @ speeds / (centred @ centred + (SPEED_SPREAD / EXPONENT_SPREAD) ** 2)
    return np.asarray(speeds - speeds.mean() - slope * centred)


def _exponents(times: Times, logs: Floats, size: Floats, figures: Floats) -> Floats:
    """By unit, its kind's slope of logarithmic time over logarithmic size, within units (ridge)."""
    units, count = times.units, len(times.kinds)
    seen = np.maximum(np.bincount(units, minlength=count), 1)
    off = np.clip(logs - np.log(figures + _OFFSET_MS)[units], -0.5, 0.5)
    size = size - (np.bincount(units, size, count) / seen)[units]
    off = off - (np.bincount(units, off, count) / seen)[units]
    weights = (figures / (figures + _SMALL_MS))[units]
    kinds = times.kinds[units]
    least = (TIME_SPREAD / EXPONENT_SPREAD) ** 2
    slopes = np.bincount(kinds, weights * size * off) / (np.bincount(kinds, weights * size**2) + least)
    return np.asarray(slopes[times.kinds])
