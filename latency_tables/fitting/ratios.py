"""Ratios of latencies between two devices, by unit: a Gaussian process over kinds and shapes. Opens nothing.

What units of one device take on another differs by a common factor, by a factor for each kind of operator,
within a kind by shape, by how odd a unit's time is on the first device, and by a rest of each unit's own. The
covariance of the ratios' logarithms has a part for each; how much each counts is what makes the observations
most likely. So few samples leave the common factor and the kinds', and many bring out shapes (Rasmussen and
Williams 2006, 2.2 and 5.4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log, prod

import numpy as np
from numpy.typing import NDArray

from latency_tables.units import kind_of, parse_unit

Floats = NDArray[np.float64]

#: standard deviation of the logarithm of the common factor: wide, so that the observations set it
COMMON = 3.0
#: what is tried for each of `Spreads`
TRIED = {
    "kind": (0.1, 0.3, 1.0),
    "shape": (0.05, 0.15, 0.4, 0.8),
    "rest": (0.02, 0.05, 0.15, 0.3),
    "length": (1.0, 2.5, 6.0),
    "slope": (0.0, 0.1, 0.3, 1.0),
}
_ROUNDS = 2
#: of Gauss-Newton: steps at most, how often one is halved, and by what share a step has to be an improvement
_STEPS, _SMALLEST, _CONVERGED = 30, 1e-3, 1e-4
#: observations by which spreads are chosen, at most: more would say the same
ENOUGH = 300


@dataclass(frozen=True, slots=True)
class Spreads:
    """How far ratios differ: standard deviations of their logarithm.

    Attributes:
        kind: between kinds.
        shape: within a kind, between shapes farther apart than `length`.
        rest: of each unit, by what nothing explains.
        length: in the units of `features`: three double a dimension about four times.
        slope: what follows from a unit's oddity, how much longer it takes on the device that is known than
            its work and memory suggest: another device need not share it. Per unit of the oddity's logarithm.
    """

    kind: float = 0.5
    shape: float = 0.4
    rest: float = 0.1
    length: float = 4.0
    slope: float = 0.3


@dataclass(frozen=True, slots=True)
class Seen:
    """Observations: of the logarithm of a unit's ratio, or of weighted means over units.

    Attributes:
        weights: by observation and unit, the unit's share: [observations, units]; rows sum to 1.
        logs: what was observed: `weights @ what units have`, and an error.
        variances: of the errors.
    """

    weights: Floats
    logs: Floats
    variances: Floats

    @property
    def of_units(self) -> bool:
        """Whether each is of one unit."""
        return bool(np.all(self.weights.max(axis=1) == 1.0))


def features(unit: str) -> Floats:
    """What makes shapes alike: logarithms of pixels, of filters in and out, of window and stride."""
    specs = parse_unit(unit)
    first, last = specs[0], specs[-1]
    source = first.inputs[0] if first.inputs else first.output
    windows = max(prod(spec.kernel or (1, 1)) for spec in specs)
    strides = max(prod(spec.stride or (1, 1)) for spec in specs)
    return np.array(
        [
            log(max(1, prod(last.output[1:-1]))),
            log(source[-1] if source else 1),
            log(last.output[-1] if last.output else 1),
            2 * log(windows),
            2 * log(strides),
        ]
    )


def nominal_ms(unit: str) -> float:
    """What a unit would take on a device of no oddities: a start, multiply-accumulates, memory written."""
    return sum(1e-3 + (spec.macs + prod(spec.output)) / 1e7 for spec in parse_unit(unit))


class Ratios:
    """The logarithms of the ratios of units: their prior, and what observations make of them."""

    def __init__(self, latencies_ms: Mapping[str, float]) -> None:
        """Of units, by their latencies on the device that is known."""
        self.units = tuple(sorted(latencies_ms))
        self.places = {unit: place for place, unit in enumerate(self.units)}
        kinds = np.array([kind_of(unit) for unit in self.units])
        table = np.array([features(unit) for unit in self.units]).reshape(len(self.units), -1)
        lengths = np.sum(table**2, axis=1)
        oddities = np.array([log(latencies_ms[unit] / nominal_ms(unit)) for unit in self.units])
        oddities = oddities - np.median(oddities) if len(oddities) else oddities
        self._odd = np.outer(oddities, oddities)
        self._same = np.asarray(kinds[:, None] == kinds[None], float)
        self._squared = np.maximum(lengths[:, None] + lengths[None] - 2 * table @ table.T, 0.0)

    def covariance(self, spreads: Spreads, places: NDArray[np.int64] | None = None) -> Floats:
        """The prior's: [units, units].

        Args:
            places: of those units that count, each once; None: all.
        """
        some = slice(None) if places is None else np.ix_(places, places)
        same, squared = self._same[some], self._squared[some]
        alike = np.exp(-squared / (2 * spreads.length**2))
        shared = same * (spreads.kind**2 + spreads.shape**2 * alike)
        # half of it is common to all kinds
        odd = spreads.slope**2 * self._odd[some] * (1 + same) / 2
        return np.asarray(COMMON**2 + shared + odd + spreads.rest**2 * np.eye(len(same)))

    def choose(self, seen: Seen) -> Spreads:
        """The spreads under which the observations are most likely, one after the other."""
        count = len(seen.logs)
        if count > ENOUGH:
            some = np.sort(np.random.default_rng(0).choice(count, ENOUGH, replace=False))
            seen = Seen(seen.weights[some], seen.logs[some], seen.variances[some])
        best = Spreads()
        likely: dict[Spreads, float] = {}
        for _ in range(_ROUNDS):
            for name, tried in TRIED.items():
                options = [replace(best, **{name: value}) for value in tried]
                likely |= {one: self._log_likelihood(seen, one) for one in options if one not in likely}
                best = max(options, key=likely.__getitem__)
        return best

    def posterior(self, seen: Seen, spreads: Spreads) -> tuple[Floats, Floats]:
        """The mean and the variance of each unit's logarithm, given observations."""
        prior = self.covariance(spreads)
        across, own = _through(seen, prior)
        gain = np.linalg.solve(own + np.diag(seen.variances), across.T)
        means = seen.logs @ gain
        variances = np.diag(prior) - np.sum(across.T * gain, axis=0)
        return np.asarray(means), np.maximum(variances, 0.0)

    def left_out(self, seen: Seen, spreads: Spreads) -> tuple[Floats, Floats]:
        """By observation, the mean and the variance of what was observed, given all others but it.

        Rasmussen and Williams 2006, 5.4.2.
        """
        _, own = _through(seen, self.covariance(spreads))
        inverse = np.linalg.inv(own + np.diag(seen.variances))
        variances = 1 / np.diag(inverse)
        means = seen.logs - inverse @ seen.logs * variances
        return np.asarray(means), np.maximum(variances - seen.variances, 0.0)

    def of_sums(
        self, parts_ms: Floats, measured_ms: Floats, variances: Floats, spreads: Spreads
    ) -> tuple[Floats, Floats]:
        """As `posterior`, where sums of units were observed: the most likely logarithms, by Laplace's method.

        Gauss-Newton steps on `log(parts_ms @ exp(logs)) = log(measured_ms)`, halved until they are descents.

        Args:
            parts_ms: what each unit adds to each sum on the device that is known: [sums, units].
            measured_ms: the sums.
            variances: of the errors of their logarithms.
        """
        prior = self.covariance(spreads)
        factor = np.linalg.cholesky(prior)
        logs = np.full(len(self.units), np.log(np.median(measured_ms / parts_ms.sum(axis=1))))

        def sums_ms(at: Floats) -> Floats:
            return np.asarray(parts_ms @ np.exp(at))

        def cost(at: Floats) -> float:
            off = np.log(measured_ms / sums_ms(at))
            return float(np.sum(off**2 / variances) + np.sum(np.linalg.solve(factor, at) ** 2))

        def linearised(at: Floats) -> Seen:
            weights = parts_ms * np.exp(at) / sums_ms(at)[:, None]
            return Seen(weights, np.log(measured_ms / sums_ms(at)) + weights @ at, variances)

        now = cost(logs)
        for _ in range(_STEPS):
            step = self.posterior(linearised(logs), spreads)[0] - logs
            size = 1.0
            while cost(logs + size * step) > now and size > _SMALLEST:
                size /= 2
            logs, before = logs + size * step, now
            now = cost(logs)
            if before - now < _CONVERGED * before:
                break
        return logs, self.posterior(linearised(logs), spreads)[1]

    def _log_likelihood(self, seen: Seen, spreads: Spreads) -> float:
        from scipy.linalg import solve_triangular

        if seen.of_units:
            own = self.covariance(spreads, seen.weights.argmax(axis=1))
        else:
            _, own = _through(seen, self.covariance(spreads))
        factor = np.linalg.cholesky(own + np.diag(seen.variances))
        whitened = solve_triangular(factor, seen.logs, lower=True, check_finite=False)
        return float(-0.5 * whitened @ whitened - np.sum(np.log(np.diag(factor))))


def _through(seen: Seen, covariance: Floats) -> tuple[Floats, Floats]:
    """Covariances of units with observations [units, observations], and among observations."""
    if seen.of_units:
        places = seen.weights.argmax(axis=1)
        return covariance[:, places], covariance[np.ix_(places, places)]
    across = covariance @ seen.weights.T
    return across, seen.weights @ across
