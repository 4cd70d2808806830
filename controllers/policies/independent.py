"""A policy that decides every choice by itself. Knows no reward, and nothing of what goes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from controllers.policies.policy import Array, Indices, absent, drawn
from controllers.problem import Points


class Independent:
    """One vector of logits per choice, and aim, equal at the start.

    Args:
        sizes: number of options of each choice.
        gain: what a parameter is multiplied by to give a logit: with steps that do not depend on the slope's
            size, as Adam's, how much faster logits move than parameters.
        aims: how many.
        dtype: of the parameters.
    """

    def __init__(
        self, sizes: Sequence[int], *, gain: float = 1.0, aims: int = 1, dtype: DTypeLike = np.float32
    ) -> None:
        self._absent = absent(sizes).astype(dtype)
        self._gain = gain
        self._shape = (aims, *self._absent.shape)
        self.parameters: Array = np.zeros(aims * self._absent.size, dtype)

    def sample(self, rng: np.random.Generator, count: int, aim: int = 0) -> Points:
        """Points drawn at random for an aim, [count, d]."""
        return drawn(np.broadcast_to(self._logits()[aim], (count, *self._absent.shape)), rng)

    def forward(self, points: Points, aims: Indices | None = None) -> tuple[Array, Callable[[Array], Array]]:
        """Logits [n, d, o], the same for all points of an aim, and how to go back; see `Policy`."""
        aims = np.zeros(len(points), np.int64) if aims is None else aims

        def backward(slopes: Array) -> Array:
            by_logits = np.zeros(self._shape, slopes.dtype)
            np.add.at(by_logits, aims, slopes)
            return self._gain * by_logits.ravel()

        return self._logits()[aims], backward

    def _logits(self) -> Array:
        """Of each aim, [aims, d, o]."""
        logits: Array = self._gain * self.parameters.reshape(self._shape) + self._absent
        return logits
