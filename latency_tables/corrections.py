"""What the profile gets wrong about units, told from whole networks. Knows no store and no calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_tables.grouped import Floats

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

    @classmethod
    def of_profile(cls, profiled_ms: Floats, kinds: Sequence[str]) -> Prior:
        """Of units that the profile has, all of them."""
        errors = np.full(len(profiled_ms), PROFILE_ERROR)
        return cls(profiled_ms, kinds, np.ones(len(profiled_ms), bool), errors, errors)


@dataclass(frozen=True, slots=True)
class Corrected:
    """Figures by the profile and whole networks together.

    Attributes:
        latencies_ms: by unit.
        left_out_ms: by network, the sum of its units' figures had its own latency not been known.
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
    expected = said + OMITTED_MS * prior.profiled
    if not counts.size:
        return Corrected(expected, np.zeros(len(counts)))
    sums = counts @ expected
    factor = float(np.median(measured_ms / sums))
    names = sorted(set(prior.kinds))
    belongs = np.array([[float(kind == name) for name in names] for kind in prior.kinds])
    # independent errors, columns in units of their standard deviation: what many units have in common
    common = np.c_[
        expected * FACTOR_SPREAD,
        prior.profiled * OMITTED_COMMON_MS,
        belongs * (prior.profiled * OMITTED_KIND_MS)[:, None],
        belongs * (said * prior.kind_errors)[:, None],
    ]
    own = prior.profiled * OMITTED_OWN_MS**2 + (prior.own_errors * said) ** 2
    of_networks = counts @ common
    covariance = of_networks @ of_networks.T + (counts * own) @ counts.T + np.diag((SUM_ERROR * sums) ** 2)
    most = OUTLIER * np.sqrt(np.diag(covariance) - of_networks[:, 0] ** 2)  # the factor is no error
    wanted = np.clip(measured_ms / factor, sums - most, sums + most)
    inverse = np.linalg.inv(covariance)
    weights = inverse @ (wanted - sums)
    of_common = of_networks.T @ weights
    of_common[0] = 0.0  # the factor is the calibration's business
    moved = common @ of_common + own * (counts.T @ weights)
    latencies = np.maximum(expected + moved, LEAST_SHARE * said + LEAST_MS)
    return Corrected(latencies, wanted - weights / np.diag(inverse))
