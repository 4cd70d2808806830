"""What the profile gets wrong about units, told from whole networks. Knows no store and no calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_tables.fitting.grouped import Floats

#: what the profile leaves out of a unit: its mean, and standard deviations of what is common to all, of what
#: is common to a kind, and of a unit's own. Its clock counts microseconds and sees nothing between operators
OMITTED_MS, OMITTED_COMMON_MS, OMITTED_KIND_MS, OMITTED_OWN_MS = 0.0003, 0.0005, 0.0003, 0.0003
#: relative standard deviation of the profile's errors, of kinds as of units
PROFILE_ERROR = 0.02
#: of what a whole network is off from the sum of its units, and of the factor between the two, unknown before
SUM_ERROR, FACTOR_SPREAD = 0.015, 0.3
#: a network that is off by more than this many times what is expected counts as off by so many
OUTLIER = 3.0
#: a unit takes at least this share of what is said before, and this much
LEAST_SHARE, LEAST_MS = 0.5, 0.00005
#: no more than this is left out on the mean
MOST_OMITTED_MS = 0.002
#: looks for units that would take less than that
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of units before whole networks are asked; one entry for each unit.

    Attributes:
        kinds: units of a kind have an error in common.
        profiled: whether `latencies_ms` are from the profile, so that what it leaves out is to be added.
        kind_errors: relative standard deviations of what is common to a kind.
        own_errors: of what is a unit's own.
    """

    latencies_ms: Floats
    kinds: Sequence[str]
    profiled: NDArray[np.bool_]
    kind_errors: Floats
    own_errors: Floats


@dataclass(frozen=True, slots=True)
class Corrected:
    """Figures by the profile and whole networks together.

    Attributes:
        latencies_ms: by unit.
        left_out_ms: by network, the sum of its units' figures had its own latency not been known; the factor
            is not in it either.
    """

    latencies_ms: Floats
    left_out_ms: Floats


def correct(prior: Prior, counts: Floats, measured_ms: Floats) -> Corrected:
    """Correct what is said of units by what whole networks take.

    A network's latency is `factor x sum of its units' times`; a unit's time is what the profile says, plus
    what it leaves out, plus errors: common to all, to a kind, and of its own, all normal around 0 with the
    standard deviations above. So times and latencies are jointly normal, and the corrected figures are the
    mean of the times given the latencies (Rasmussen and Williams 2006, equation 2.23); the left-out sums are
    their equation 5.12. The factor is not in the figures.

    Args:
        counts: shape (networks, units): how often each occurs.
        measured_ms: by network, its latency without the profiler.
    """
    said = prior.latencies_ms
    least = LEAST_SHARE * said + LEAST_MS
    if not counts.size:
        return Corrected(np.maximum(said + OMITTED_MS * prior.profiled, least), np.zeros(len(counts)))
    omitted = _omitted(counts @ said, counts @ prior.profiled, measured_ms)
    expected = np.maximum(said + omitted * prior.profiled, least)
    factor = float(np.median(measured_ms / (counts @ expected)))
    names = sorted(set(prior.kinds))
    belongs = np.array([[float(kind == name) for name in names] for kind in prior.kinds])
    # independent errors, columns in units of their standard deviation: what many units have in common
    common = np.c_[
        prior.profiled * OMITTED_COMMON_MS,
        belongs * (prior.profiled * OMITTED_KIND_MS)[:, None],
        belongs * (said * prior.kind_errors)[:, None],
    ]
    own = prior.profiled * OMITTED_OWN_MS**2 + (prior.own_errors * said) ** 2
    free = np.ones(len(said), bool)
    for _ in range(ROUNDS):
        found = _posterior(expected, common * free[:, None], own * free, counts, measured_ms / factor)
        beyond = free & (found.latencies_ms < least)
        if not beyond.any():
            break
        # what would take less than the least takes the least, and the others make up for it
        free &= ~beyond
        expected = np.where(free, expected, least)
    return Corrected(np.maximum(found.latencies_ms, least), found.left_out_ms)


def _omitted(sums_ms: Floats, operators: Floats, measured_ms: Floats) -> float:
    """What the profile leaves out of a unit on the mean, in milliseconds.

    Least squares on `latency = factor x (sum + operators x omitted)`, relative errors, drawn to `OMITTED_MS`.
    Where most units take less than the profiler's clock counts, it is most of a network.
    """
    wanted = measured_ms / np.median(measured_ms / (sums_ms + OMITTED_MS * operators))
    columns = np.c_[sums_ms, operators] / (SUM_ERROR * wanted)[:, None]
    prior = np.array([[-OMITTED_MS, 1.0]]) / OMITTED_COMMON_MS
    goal = np.append(np.full(len(sums_ms), 1 / SUM_ERROR), 0.0)
    (factor, of_operator), *_ = np.linalg.lstsq(np.r_[columns, prior], goal, rcond=None)
    if factor <= 0:
        return OMITTED_MS
    return float(np.clip(of_operator / factor, LEAST_MS, MOST_OMITTED_MS))


def _posterior(expected: Floats, common: Floats, own: Floats, counts: Floats, wanted: Floats) -> Corrected:
    """Means of times given latencies; by network, the latency had it not been known.

    Args:
        common: shape (units, independent errors): standard deviations of what units have in common.
        own: by unit, the variance of its own error.
        wanted: latencies, but for a factor near 1.
    """
    sums = counts @ expected
    of_networks = counts @ common
    covariance = of_networks @ of_networks.T + (counts * own) @ counts.T + np.diag((SUM_ERROR * sums) ** 2)
    most = OUTLIER * np.sqrt(np.diag(covariance))
    off = np.clip(wanted - sums, -most, most)
    of_factor = FACTOR_SPREAD * sums
    inverse = np.linalg.inv(covariance + np.outer(of_factor, of_factor))
    weights = inverse @ off
    # the factor's own part is the calibration's business: of figures, and of sums as had each not been known
    latencies = expected + common @ (of_networks.T @ weights) + own * (counts.T @ weights)
    surprises = weights / np.diag(inverse)
    factors = FACTOR_SPREAD * (of_factor @ weights - (of_factor @ inverse) * surprises)
    return Corrected(latencies, sums + off - surprises - factors * sums)
