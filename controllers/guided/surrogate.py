"""A Gaussian process over points of a space: its kernel and how it is fitted. Chooses nothing.

scikit-learn is imported with this module, so import it where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from controllers.guided.encoding import Floats, Groups

#: points that hyper-parameters are fitted to, at most
FITTED = 200
#: what keeps a covariance positive where rounding does not
JITTER = 1e-9
#: steps of the optimiser, at most
STEPS = 40
#: prior of the logarithms of variance, noise and the sum of the rates: mean and standard deviation. Values
#: are standardised, so a noise of 0.05 is a twentieth of their variance.
PRIOR = {"variance": (1.0, 1.0), "noise": (-2.5, 1.0), "rates": (0.5, 0.7)}


class Overlap(Kernel):  # type: ignore[misc] # scikit-learn ships no types
    """variance * exp(-sum over groups of rate * distance), and noise on the diagonal.

    With small rates and a large variance it is nearly additive in the choices; with large rates points that
    differ tell nothing of each other. A rate for each group lets choices that do not matter drop out.

    Args:
        groups: what the features count for.
        variance: of the values without noise.
        noise: variance of what one evaluation adds.
        rates: 0 or more, [groups].
    """

    def __init__(self, groups: Groups, variance: float, noise: float, rates: Floats) -> None:
        self.groups = groups
        self.variance = variance
        self.noise = noise
        self.rates = rates

    @property
    def hyperparameter_noise(self) -> Hyperparameter:
        """Fitted."""
        return Hyperparameter("noise", "numeric", (1e-6, 1e1))

    @property
    def hyperparameter_rates(self) -> Hyperparameter:
        """Fitted."""
        return Hyperparameter("rates", "numeric", (1e-6, 1e2), len(self.groups))

    @property
    def hyperparameter_variance(self) -> Hyperparameter:
        """Fitted."""
        return Hyperparameter("variance", "numeric", (1e-3, 1e3))

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803 - scikit-learn's
        """Covariances [n, m]; without Y with noise and, if asked, with the gradient by `theta`, [n, n, t]."""
        smooth = self.smooth(X, X if Y is None else Y)
        if Y is not None:
            return smooth
        noise = self.noise * np.eye(len(X))
        if not eval_gradient:
            return smooth + noise
        by_rate = [
            -rate * self.groups.distances(weights, X, X) * smooth
            for rate, weights in zip(np.atleast_1d(self.rates), self.groups.weights, strict=True)
        ]
        return smooth + noise, np.stack([noise, *by_rate, smooth], axis=-1)

    def smooth(self, ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        """Covariances without noise, in the kind of number that the features have."""
        weights = (np.atleast_1d(self.rates) @ self.groups.weights).astype(ours.dtype)
        apart = self.groups.distances(weights, ours, theirs)
        np.negative(apart, out=apart)
        np.exp(apart, out=apart)
        apart *= self.variance
        return apart

    def diag(self, X: Floats) -> Floats:  # noqa: N803 - scikit-learn's
        """Variances with noise."""
        return np.full(len(X), self.variance + self.noise)

    def is_stationary(self) -> bool:
        """It is."""
        return True

    def _check_bounds_params(self) -> None:
        """Say nothing of a parameter that is fitted to its bound: without noise, the least noise is right."""


class _WithPrior(GaussianProcessRegressor):  # type: ignore[misc] # scikit-learn ships no types
    """Fits the most probable hyper-parameters under a log-normal prior, not the likeliest ones.

    There are more choices than points at first: likelihood alone would settle on anything.
    """

    def __init__(self, kernel: Overlap, optimizer: Any, center: Floats, spread: Floats) -> None:
        super().__init__(kernel, optimizer=optimizer)
        self.center = center
        self.spread = spread

    def log_marginal_likelihood(
        self,
        theta: Floats | None = None,
        eval_gradient: bool = False,
        clone_kernel: bool = True,
    ) -> Any:
        found = super().log_marginal_likelihood(theta, eval_gradient, clone_kernel)
        if theta is None:
            return found
        away = (theta - self.center) / self.spread
        if not eval_gradient:
            return found - 0.5 * away @ away
        return found[0] - 0.5 * away @ away, found[1] - away / self.spread


def fit(groups: Groups, features: Floats, values: Floats) -> Overlap:
    """The kernel for standardised values [n] at features [n, q]."""
    count = max(1, len(groups))
    noise, variance = PRIOR["noise"], PRIOR["variance"]
    rate = PRIOR["rates"][0] - np.log(count), PRIOR["rates"][1]
    prior = np.array([noise, *[rate] * len(groups), variance])
    start = Overlap(
        groups, float(np.exp(variance[0])), float(np.exp(noise[0])), np.full(len(groups), np.exp(rate[0]))
    )
    if not len(groups):
        return start
    if len(values) > FITTED:
        spread = np.linspace(0, len(values) - 1, FITTED).astype(int)
        features, values = features[spread], values[spread]
    process = _WithPrior(start, _optimise, prior[:, 0], prior[:, 1])
    process.fit(features, values)
    kernel: Overlap = process.kernel_
    return kernel


def _optimise(
    objective: Callable[..., Any], start: Floats, bounds: NDArray[np.float64]
) -> tuple[Floats, float]:
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    return found.x, found.fun


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What is believed of candidates; takes one more point in time proportional to points x candidates.

    Each point adds one row to the kernel's Cholesky factor and to what it makes of the candidates, and
    changes none: the belief after n points is the same numbers however often it was looked at before.

    Attributes:
        kernel: fitted.
        candidates: their features, [s, q].
        mean: of each candidate, [s].
        variance: likewise, without the noise of an evaluation.
    """

    kernel: Overlap
    candidates: Floats
    mean: Floats
    variance: Floats
    _features: Floats
    _factor: Floats
    _rows: Floats
    _white: Floats
    _count: int

    @staticmethod
    def of(kernel: Overlap, features: Floats, values: Floats, candidates: Floats) -> Posterior:
        """The belief at candidates [s, q] after values [n] at features [n, q], n at least 1."""
        count, room = len(values), 2 * len(values) + 16
        kept, factor = np.zeros((room, features.shape[1])), np.zeros((room, room))
        rows, white = np.zeros((room, len(candidates))), np.zeros(room)
        kept[:count] = features
        factor[:count, :count] = lower = np.linalg.cholesky(kernel(features) + JITTER * np.eye(count))
        rows[:count] = solve_triangular(lower, kernel.smooth(features, candidates), lower=True)
        white[:count] = solve_triangular(lower, values, lower=True)
        mean = white[:count] @ rows[:count]
        variance = kernel.variance - np.einsum("ns,ns->s", rows[:count], rows[:count])
        variance = np.maximum(variance, JITTER)
        return Posterior(kernel, candidates, mean, variance, kept, factor, rows, white, count)

    def expected(self, feature: Floats) -> float:
        """The mean at a feature [q], which need be no candidate."""
        count = self._count
        covariance = self.kernel.smooth(feature[None], self._features[:count])[0]
        return float(
            solve_triangular(self._factor[:count, :count], covariance, lower=True) @ self._white[:count]
        )

    def with_point(self, feature: Floats, value: float | None) -> Posterior:
        """The belief after one more point at a feature [q]; without a value, as if it came as believed.

        The two share their rows, so only the newest belief that was made of this one can be added to.
        """
        if self._count == len(self._factor):
            return self._roomier().with_point(feature, value)
        count, factor, rows, kept = self._count, self._factor, self._rows, self._features
        covariance = self.kernel.smooth(feature[None], kept[:count])[0]
        row = solve_triangular(factor[:count, :count], covariance, lower=True)
        own = self.kernel.variance - row @ row
        scale = float(np.sqrt(max(own, JITTER) + self.kernel.noise))
        kept[count], factor[count, :count], factor[count, count] = feature, row, scale
        rows[count] = (self.kernel.smooth(feature[None], self.candidates)[0] - row @ rows[:count]) / scale
        self._white[count] = 0.0 if value is None else (value - row @ self._white[:count]) / scale
        mean = self.mean + rows[count] * self._white[count]
        variance = np.maximum(self.variance - rows[count] ** 2, JITTER)
        return replace(self, mean=mean, variance=variance, _count=count + 1)

    def _roomier(self) -> Posterior:
        more = self._count + 16
        return replace(
            self,
            _features=np.pad(self._features, ((0, more), (0, 0))),
            _factor=np.pad(self._factor, ((0, more), (0, more))),
            _rows=np.pad(self._rows, ((0, more), (0, 0))),
            _white=np.pad(self._white, (0, more)),
        )

    def draws(self, rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> Floats:
        """Values that an evaluation of some candidates may have, drawn jointly, [count, rows]."""
        features, known = self.candidates[rows], self._rows[: self._count, rows]
        covariance = self.kernel.smooth(features, features) - known.T @ known
        covariance[np.diag_indices(len(rows))] += self.kernel.noise + 1e-6 * self.kernel.variance
        lower = np.linalg.cholesky(covariance)
        drawn: Floats = self.mean[rows] + rng.standard_normal((count, len(rows))) @ lower.T
        return drawn
