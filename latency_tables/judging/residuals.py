"""What is left unexplained: trends over depth and size, and the operators to blame. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: what operators' errors and the noise of a network may amount to, in percent, where the data choose
_GRID = tuple(0.25 * 2.5**step for step in range(7))


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through the errors (least squares): does the error grow with depth or size?

    Attributes:
        slope_percent: by how much the error, in percent, changes per unit of what it is seen against.
        low_percent: lower end of the slope's 95 % interval.
        high_percent: upper end.
        across_percent: what that comes to from the least to the greatest of the networks.
    """

    slope_percent: float
    low_percent: float
    high_percent: float
    across_percent: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low_percent > 0 or self.high_percent < 0


@dataclass(frozen=True, slots=True)
class Blame:
    """How far a kind's, or an operator's, figures seem to be off, judged by the errors of whole networks.

    Attributes:
        of: the kind, or the operator's text form.
        networks: networks that have it.
        share_percent: its share of their predicted latency, mean over all networks.
        error_percent: by how much its figures seem too high (or, negative, too low); of an operator, beyond
            what its kind's are. Drawn towards 0, the more so the less the networks say of it.
        std_error_percent: how uncertain that is.
        effect_percent: what it does to a network's prediction: root mean square over all networks.
    """

    of: str
    networks: int
    share_percent: float
    error_percent: float
    std_error_percent: float
    effect_percent: float


def trend(against: Sequence[float], errors_percent: Sequence[float]) -> Trend | None:
    """The line through errors; None for fewer than four networks, or where all are of one depth or size."""
    from scipy import stats

    x, errors = np.asarray(against, float), np.asarray(errors_percent, float)
    if len(x) < 4 or np.ptp(x) == 0:
        return None
    line = stats.linregress(x, errors)
    slope, half = float(line.slope), float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    return Trend(slope, slope - half, slope + half, slope * float(np.ptp(x)))


def blame(
    parts_ms: Sequence[Mapping[str, float]],
    errors_percent: Sequence[float],
    kind_of: Callable[[str], str],
) -> tuple[list[Blame], list[Blame]]:
    """Who is to blame for the errors: kinds, and parts beyond what is common to their kind; worst first.

    A network's error is its parts' errors, weighted by their shares of its latency, and noise. There are
    more parts than networks: so a part's error is its kind's and one of its own, both with a normal prior
    around 0; the priors' widths and the noise's are those under which the errors seen are most likely
    (empirical Bayes), and what is told is the posterior's mean and standard deviation (Rasmussen and
    Williams 2006, 2.1).

    Args:
        parts_ms: of each network, what each part adds to its predicted latency.
        errors_percent: of each network's prediction.
        kind_of: the kind of a part.
    """
    names = sorted({name for parts in parts_ms for name in parts})
    if not names:
        return [], []
    kinds = sorted({kind_of(name) for name in names})
    shares = np.array([[parts.get(name, 0.0) / sum(parts.values()) for name in names] for parts in parts_ms])
    belongs = np.array([[float(kind_of(name) == kind) for kind in kinds] for name in names])
    errors = np.asarray(errors_percent, float)
    of_kinds = shares @ belongs
    grams = of_kinds @ of_kinds.T, shares @ shares.T
    covariances = {widths: _covariance(*grams, *widths) for widths in product(_GRID, repeat=3)}
    widths = max(covariances, key=lambda one: _log_likelihood(covariances[one], errors))
    covariance = covariances[widths]
    return (
        _blame(kinds, of_kinds, errors, covariance, widths[0]),
        _blame(names, shares, errors, covariance, widths[1]),
    )


def _blame(
    names: Sequence[str], shares: Floats, errors: Floats, covariance: Floats, width: float
) -> list[Blame]:
    """The posterior of the errors of parts with these shares, whose prior has this width."""
    gains = width**2 * np.linalg.solve(covariance, shares).T
    means = gains @ errors
    variances = width**2 * (1 - np.sum(gains * shares.T, axis=1))
    effects = np.abs(means) * np.sqrt(np.mean(shares**2, axis=0))
    found = [
        Blame(
            of=name,
            networks=int(np.sum(shares[:, place] > 0)),
            share_percent=float(np.mean(shares[:, place]) * 100),
            error_percent=float(means[place]),
            std_error_percent=float(np.sqrt(max(variances[place], 0.0))),
            effect_percent=float(effects[place]),
        )
        for place, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: -one.effect_percent)


def _covariance(kinds: Floats, parts: Floats, of_kinds: float, of_parts: float, noise: float) -> Floats:
    return of_kinds**2 * kinds + of_parts**2 * parts + noise**2 * np.eye(len(parts))


def _log_likelihood(covariance: Floats, errors: Floats) -> float:
    _, log_determinant = np.linalg.slogdet(covariance)
    return float(-errors @ np.linalg.solve(covariance, errors) - log_determinant)
