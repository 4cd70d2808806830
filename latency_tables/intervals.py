"""How wide an interval must be: spreads from few residuals, and multipliers for them. Knows no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def student_t(confidence: float, freedom: float) -> float:
    """The standard errors within which `confidence` of values lie, by errors of `freedom` degrees."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))


def spread_of(residuals: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """The standard deviation of residuals beyond what is known of each.

    Args:
        residuals: around 0.
        known: variance that each has for known reasons.
    """
    excess = float(np.mean(residuals**2 - known))
    return float(max(excess, 0.0) ** 0.5)
