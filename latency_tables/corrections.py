"""What the profile gets wrong about units, told from whole networks. Knows no store and no calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: what the profile leaves out of a unit: its mean, and standard deviations of what is common to all, of what
#: is common to a kind, and of a unit's own. Its clock counts microseconds and sees nothing between operators
OMITTED_MS, OMITTED_COMMON_MS, OMITTED_KIND_MS, OMITTED_OWN_MS = 0.0005, 0.0005, 0.0003, 0.0003
#: relative standard deviations of its errors: of kinds, and of units
KIND_ERROR, OWN_ERROR = 0.02, 0.02
#: of what a whole network is off from the sum of its units, and of the factor between the two, unknown before
SUM_ERROR, FACTOR_SPREAD = 0.02, 0.3
#: a network that is off by more than this many times `SUM_ERROR` counts as off by so many
OUTLIER = 3.0
#: a unit takes at least this share of what the profile says, and this much
LEAST_SHARE, LEAST_MS = 0.5, 0.00005


@dataclass(frozen=True, slots=True)
class Corrected:
    """Figures by the profile and whole networks together.

    Attributes:
        latencies_ms: by unit.
        left_out_ms: by network, the sum of its units' figures had its own latency not been known.
    """

    latencies_ms: Floats
    left_out_ms: Floats


def correct(profiled_ms: Floats, kinds: Sequence[str], counts: Floats, measured_ms: Floats) -> Corrected:
    """Correct what the profile says of units by what whole networks take.

    A network's latency is `factor x sum of its units' times`; a unit's time is what the profile says, plus
    what it leaves out, plus errors: common to all, to a kind, and of its own, all normal around 0 with the
    standard deviations above. So times and latencies are jointly normal, and the corrected figures are the
    mean of the times given the latencies (Rasmussen and Williams 2006, equation 2.23); the left-out sums are
    their equation 5.12. The factor is not in the figures.

    Args:
        profiled_ms: by unit.
        kinds: by unit.
        counts: shape (networks, units): how often each occurs.
        measured_ms: by network, its latency without the profiler.
    """
    if not len(counts):
        return Corrected(profiled_ms + OMITTED_MS, np.zeros(0))
    names = sorted(set(kinds))
    belongs = np.array([[float(kind == name) for name in names] for kind in kinds])
    prior = profiled_ms + OMITTED_MS
    sums = counts @ prior
    factor = float(np.median(measured_ms / sums))
    wanted = np.clip(measured_ms / factor, sums * (1 - OUTLIER * SUM_ERROR), sums * (1 + OUTLIER * SUM_ERROR))
    # independent errors, columns in units of their standard deviation: what many units have in common
    common = np.c_[
        prior * FACTOR_SPREAD,
        np.full(len(prior), OMITTED_COMMON_MS),
        belongs * OMITTED_KIND_MS,
        belongs * profiled_ms[:, None] * KIND_ERROR,
    ]
    own = OMITTED_OWN_MS**2 + (OWN_ERROR * profiled_ms) ** 2
    of_networks = counts @ common
    covariance = of_networks @ of_networks.T + (counts * own) @ counts.T + np.diag((SUM_ERROR * wanted) ** 2)
    inverse = np.linalg.inv(covariance)
    weights = inverse @ (wanted - sums)
    of_common = of_networks.T @ weights
    of_common[0] = 0.0  # the factor is the calibration's business
    moved = common @ of_common + own * (counts.T @ weights)
    latencies = np.maximum(prior + moved, LEAST_SHARE * profiled_ms + LEAST_MS)
    return Corrected(latencies, wanted - weights / np.diag(inverse))
