"""One number from accuracy and costs, as the MnasNet paper weighs them. Knows no search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnas.errors import BadInput

KINDS = ("soft", "hard")
#: rewards end there
LARGEST = 1e300


def exponent(gain: float = 0.05, times: float = 2.0) -> float:
    """The exponent w that trades a relative gain of accuracy for a multiple of latency, below 0.

    Two candidates are to be worth the same when one takes `times` the latency of the other and has `gain`
    more accuracy: a (l / T)^w = a (1 + gain) (times l / T)^w, so w = -log(1 + gain) / log(times). The paper
    takes 5 % for twice the latency, -0.0704, and rounds it to -0.07.

    Raises:
        BadInput: `gain` is not above 0, or `times` not above 1.
    """
    if not (np.isfinite([gain, times]).all() and gain > 0 and times > 1):
        raise BadInput(f"a gain of {gain} for {times} times the cost; they must be above 0 and above 1")
    return -log(1 + gain) / log(times)


@dataclass(frozen=True, slots=True)
class Exponents:
    """How much a cost weighs: w = alpha at or below its target, w = beta above.

    Attributes:
        alpha: 0 or less.
        beta: 0 or less.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not (np.isfinite(value) and value <= 0):
                raise BadInput(f"{name} is {value}; it must be 0 or less, so that slower is never better")

    @classmethod
    def of(cls, kind: str = "soft", alpha: float | None = None, beta: float | None = None) -> Self:
        """By name: `soft`, by the paper's rule on both sides, or `hard`, 0 and -1; either one by hand.

        Raises:
            BadInput: another name, or an exponent above 0.
        """
        if kind not in KINDS:
            raise BadInput(f"reward {kind!r}; allowed: {', '.join(KINDS)}")
        usual = (SOFT, SOFT) if kind == "soft" else (0.0, -1.0)
        return cls(usual[0] if alpha is None else alpha, usual[1] if beta is None else beta)

    def weight(self, ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        """What accuracy is multiplied by, from cost / target; finite."""
        with np.errstate(over="ignore", divide="ignore"):
            weight: NDArray[np.float64] = ratio ** np.where(ratio <= 1, self.alpha, self.beta)
        return np.minimum(weight, LARGEST)


#: the rule's exponent as the paper has it
SOFT = round(exponent(), 2)


@dataclass(frozen=True, slots=True)
class Reward:
    """Accuracy x the product over costs of (cost / target)^w: `MnasReward`, for several costs.

    Attributes:
        targets: by the name of the cost, above 0; other costs count for nothing.
        exponents: for all costs.
    """

    targets: Mapping[str, float]
    exponents: Exponents

    def __post_init__(self) -> None:
        for name, target in self.targets.items():
            if not (np.isfinite(target) and target > 0):
                raise BadInput(f"the target of {name} is {target}; it must be a number above 0")

    def __call__(self, accuracy: float, costs: Mapping[str, float]) -> float:
        """The reward of a candidate.

        Args:
            accuracy: share 0 to 1.
            costs: by name, above 0; those of `targets` must be among them.

        Raises:
            BadInput: a figure outside these ranges, or a cost that is missing.
        """
        if not 0 <= accuracy <= 1:
            raise BadInput("accuracies must be shares between 0 and 1, not percent")
        if missing := [name for name in self.targets if name not in costs]:
            raise BadInput(f"the reward needs {', '.join(missing)}; known are: {', '.join(costs) or 'none'}")
        values = np.array([costs[name] for name in self.targets], np.float64)
        if not np.all(np.isfinite(values) & (values > 0)):
            raise BadInput(f"costs must be above 0; they are {dict(costs)}")
        alpha, beta = self.exponents.alpha, self.exponents.beta
        weights = [
            MnasReward(target, alpha, beta)(1.0, value)
            for target, value in zip(self.targets.values(), values, strict=True)
        ]
        with np.errstate(over="ignore"):
            return min(float(accuracy * np.prod(weights)), LARGEST)


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
        Exponents(self.alpha, self.beta)  # refuses what favours the slow

    @classmethod
    def soft(cls, target_ms: float) -> Self:
        """Latency weighs on both sides of the target: twice of it for 5 % of accuracy (figure 3)."""
        return cls(target_ms, alpha=SOFT, beta=SOFT)

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
        reward: NDArray[np.float64] = share * Exponents(self.alpha, self.beta).weight(ratio)
        return reward
