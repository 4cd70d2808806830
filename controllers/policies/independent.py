"""A policy that decides every choice by itself. Knows no reward, and nothing of what goes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from controllers.policies.policy import Array, absent, drawn
from controllers.problem import Points


class Independent:
    """One vector of logits per choice, equal at the start.

    Args:
        sizes: number of options of each choice.
        gain: what a parameter is multiplied by to give a logit: with steps that do not depend on the slope's
            size, as Adam's, how much faster logits move than parameters.
        dtype: of the parameters.
    """

    def __init__(self, sizes: Sequence[int], *, gain: float = 1.0, dtype: DTypeLike = np.float32) -> None:
        self._absent = absent(sizes).astype(dtype)
        self._gain = gain
        self.parameters: Array = np.zeros(self._absent.size, dtype)

    def sample(self, rng: np.random.Generator, count: int) -> Points:
        """Points drawn at random, [count, d]."""
        return drawn(np.broadcast_to(self._logits(), (count, *self._absent.shape)), rng)

    def forward(self, points: Points) -> tuple[Array, Callable[[Array], Array]]:
        """Logits [n, d, o], the same for all points, and how to go back; see `Policy`."""

        def backward(slopes: Array) -> Array:
            by_logits: Array = slopes.sum(axis=0).ravel()
            return self._gain * by_logits

        return np.broadcast_to(self._logits(), (len(points), *self._absent.shape)), backward

    def _logits(self) -> Array:
        logits: Array = self._gain * self.parameters.reshape(self._absent.shape) + self._absent
        return logits
