"""One number from accuracy and latency, as the MnasNet paper weighs them. Knows no search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnas.errors import BadInput


@dataclass(frozen=True, slots=True)
class MnasReward:
    """ACC(m) x (LAT(m) / T)^w, with w = alpha where LAT(m) <= T and w = beta above (equations 2 and 3).

    Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, 2019, arXiv:1807.11626.

    Attributes:
        target_ms: T, above 0.
        alpha: exponent at or below the target, 0 or less.
        beta: exponent above the target, 0 or less.
    """

    target_ms: float
    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.target_ms) and self.target_ms > 0):
            raise BadInput(f"target_ms is {self.target_ms}; it must be a number above 0, in milliseconds")
        for name, exponent in (("alpha", self.alpha), ("beta", self.beta)):
            if not (np.isfinite(exponent) and exponent <= 0):
                raise BadInput(f"{name} is {exponent}; it must be 0 or less, so that slower is never better")

    @classmethod
    def soft(cls, target_ms: float) -> Self:
        """Latency weighs on both sides of the target: twice of it for 5 % of accuracy (figure 3)."""
        return cls(target_ms, alpha=-0.07, beta=-0.07)

    @classmethod
    def hard(cls, target_ms: float) -> Self:
        """Accuracy alone up to the target, a steep penalty above it (figure 3)."""
        return cls(target_ms, alpha=0.0, beta=-1.0)

    def __call__(self, accuracy: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.float64]:
        """Rewards of candidates.

        Args:
            accuracy: shares between 0 and 1, any shape.
            latency_ms: milliseconds above 0, of a shape that broadcasts with `accuracy`.

        Raises:
            BadInput: a figure outside these ranges, or not a number.
        """
        share, latency = np.asarray(accuracy, np.float64), np.asarray(latency_ms, np.float64)
        if not np.all((share >= 0) & (share <= 1)):
            raise BadInput("accuracies must be shares between 0 and 1, not percent")
        if not np.all(np.isfinite(latency) & (latency > 0)):
            raise BadInput("latencies must be above 0, in milliseconds")
        ratio = latency / self.target_ms
        reward: NDArray[np.float64] = share * ratio ** np.where(ratio <= 1, self.alpha, self.beta)
        return reward
