"""Adam: steps along gradients, whatever they are gradients of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Adam:
    """Climbs an objective.

    Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, arXiv:1412.6980, algorithm 1.

    Args:
        learning_rate: about how far each parameter moves in a step.
    """

    def __init__(
        self, learning_rate: float, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self._learning_rate = learning_rate
        self._betas = beta1, beta2
        self._epsilon = epsilon
        self._steps = 0
        self._mean: Array | float = 0.0
        self._square: Array | float = 0.0

    def climb(self, parameters: Array, gradient: Array) -> None:
        """Change parameters [p] in place by one step up a gradient [p]."""
        beta1, beta2 = self._betas
        self._steps += 1
        self._mean = beta1 * self._mean + (1 - beta1) * gradient
        self._square = beta2 * self._square + (1 - beta2) * gradient * gradient
        mean = self._mean / (1 - beta1**self._steps)
        square = self._square / (1 - beta2**self._steps)
        parameters += self._learning_rate * mean / (np.sqrt(square) + self._epsilon)
