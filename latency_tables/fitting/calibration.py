"""From sums of operators to a network's latency: what the anchors say. Knows no operator and no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latency_tables.errors import BadTable
from latency_tables.fitting.grouped import Floats
from latency_tables.fitting.intervals import lack_of_fit, spread, student_t, trimmed_mean

#: what stands between a sum of operators and a network's latency: nothing (no anchors); a factor; a factor
#: and a constant
Shape = Literal["none", "scale", "affine"]
#: share of measured latencies that an interval is to contain
CONFIDENCE = 0.9
#: an interval is for a latency measured in this many passes, as validation does: two instances of five
PASSES = 10
#: an intercept must lower the left-out error to this share of what it is without
CLEARLY = 0.8
#: and needs this many anchors
ANCHORS_OF_AFFINE = 8


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sums of figures become latencies, and how far those may be off.

    `latency_ms = scale x sum_ms + intercept_ms`, `sum_ms` being the sum of the figures as they are in a
    network of its size. The interval around it is `latency_ms x exp(-+ multiplier x e)`, `e` the relative
    standard error: that of the operators, of the fit, of a measurement of `PASSES` passes, and the lack of
    fit, added in squares.

    Attributes:
        anchors: networks behind it.
        lack_of_fit: relative standard deviation of a network's latency around its prediction, were the
            figures exact and the network measured for ever; None without anchors: there is no interval then.
        fit_error: relative standard error of the scale.
        pass_error: relative standard deviation of one pass of a network around others of it.
        multiplier: Student's t for `CONFIDENCE` and the degrees of freedom at hand.
        left_out_percent: mean absolute error on the anchors, each predicted without its own measurements.
    """

    shape: Shape
    scale: float
    intercept_ms: float = 0.0
    anchors: int = 0
    lack_of_fit: float | None = None
    fit_error: float = 0.0
    pass_error: float = 0.0
    multiplier: float = 0.0
    left_out_percent: float | None = None

    def finish(self, sums_ms: Floats, variances_ms2: Floats) -> tuple[Floats, Floats, Floats]:
        """Latencies with their intervals, in milliseconds.

        Args:
            sums_ms: of the figures of each network, as they are in a network of its size.
            variances_ms2: of those sums, by the operators' standard errors.

        Returns:
            Latencies, and lower and upper ends of their intervals: NaN without anchors. All of one shape.
        """
        latencies = self.scale * sums_ms + self.intercept_ms
        if self.lack_of_fit is None:
            unknown = np.full_like(latencies, np.nan)
            return latencies, unknown, unknown
        common = self.lack_of_fit**2 + self.fit_error**2 + median_error(self.pass_error, PASSES) ** 2
        shares = self.scale / np.maximum(latencies, np.finfo(float).tiny)
        width = np.exp(self.multiplier * np.sqrt(variances_ms2 * shares**2 + common))
        return latencies, latencies / width, latencies * width


#: of tables without anchors: sums are latencies, and nobody knows how far they are off
UNCALIBRATED = Calibration("none", 1.0)


@dataclass(frozen=True, slots=True)
class Anchors:
    """Networks that bring a calibration; the sums are as `Calibration.finish` takes them.

    Attributes:
        measured_ms: each one's latency, the median over its passes.
        left_out_ms: the sums without each anchor's own measurements; None where they are not known apart.
        variances_ms2: of the sums, by the operators' standard errors; None counts as 0.
        pass_error: relative standard deviation of one pass of a network around others of it.
        passes: behind each latency.
    """

    sums_ms: Sequence[float]
    measured_ms: Sequence[float]
    left_out_ms: Sequence[float] | None = None
    variances_ms2: Sequence[float] | None = None
    pass_error: float = 0.0
    passes: float = 1.0


@dataclass(frozen=True, slots=True)
class AnchorSum:
    """What an anchor is predicted by, before the calibration.

    Attributes:
        sum_ms: of its figures, as `Calibration.finish` takes it.
        left_out_ms: the same had the anchor not been measured; to be compared with other anchors' only.
        variance_ms2: of the sum, by the operators' standard errors.
    """

    sum_ms: float
    left_out_ms: float
    variance_ms2: float


def together(
    sums: Sequence[AnchorSum], measured_ms: Sequence[float], pass_error: float, passes: float
) -> Anchors:
    """Anchors of sums and latencies in one order; the other arguments as `Anchors` has them."""
    return Anchors(
        [one.sum_ms for one in sums],
        measured_ms,
        [one.left_out_ms for one in sums],
        [one.variance_ms2 for one in sums],
        pass_error,
        passes,
    )


def median_error(pass_error: float, passes: float) -> float:
    """Standard error of the median of so many passes, normal ones (asymptotically)."""
    return pass_error * float((np.pi / 2 / max(passes, 1.0)) ** 0.5)


def fit_scale(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> float:
    """The factor from a sum of operators to a network's latency: the trimmed geometric mean over the anchors.

    Raises:
        BadTable: there are no anchors.
    """
    if not len(sums_ms) or len(sums_ms) != len(measured_ms):
        raise BadTable(
            f"a scale needs anchors: {len(sums_ms)} sums and {len(measured_ms)} measured latencies were given"
        )
    return float(np.exp(trimmed_mean(np.log(np.asarray(measured_ms) / np.asarray(sums_ms)))))


def calibrate(anchors: Anchors) -> Calibration:
    """The calibration of anchors: a scale, and an intercept where the left-out error clearly says so.

    How far networks lie from their predictions is told by the anchors, each left out of its own. Such an
    error has all that one of a network that was never measured has, and a little more: the figures had one
    network less, of the few in which a rare operator occurs. In sample errors would be 10 % less, and
    intervals made of them hold fewer networks than they say. What is known to be in the errors is taken out
    (in squares), because `Calibration.finish` adds for each network what is its own.

    Raises:
        BadTable: there are no anchors.
    """
    scale = _calibrate(anchors, affine=False)
    if len(anchors.sums_ms) < ANCHORS_OF_AFFINE:
        return scale
    affine = _calibrate(anchors, affine=True)
    # a constant below 0 is none that a device could have, and would let small networks take no time
    if affine.intercept_ms < 0 or affine.scale <= 0:
        return scale
    with_it, without = affine.left_out_percent or 0.0, scale.left_out_percent or 0.0
    return affine if with_it < CLEARLY * without else scale


def _calibrate(anchors: Anchors, *, affine: bool) -> Calibration:
    fit = _fit_affine if affine else _fit_scale
    sums, measured = np.asarray(anchors.sums_ms, float), np.asarray(anchors.measured_ms, float)
    scale, intercept = fit(sums, measured)
    count = len(sums)
    shape: Shape = "affine" if affine else "scale"
    if count < 2:
        return Calibration(shape, scale, intercept, anchors=count, pass_error=anchors.pass_error)
    left_out = sums if anchors.left_out_ms is None else np.asarray(anchors.left_out_ms, float)
    variances = np.zeros(count) if anchors.variances_ms2 is None else np.asarray(anchors.variances_ms2, float)
    predicted = np.empty(count)
    for place in range(count):
        factor, constant = fit(np.delete(left_out, place), np.delete(measured, place))
        predicted[place] = max(factor * left_out[place] + constant, 1e-6 * measured[place])
    residuals = np.log(measured / predicted)
    fit_error = spread(residuals) / count**0.5
    # each is off by its operators' errors, the noise of its passes, and the error of the others' scale
    known = variances / sums**2 + median_error(anchors.pass_error, anchors.passes) ** 2 + fit_error**2
    freedom = count - (2 if affine else 1)
    return Calibration(
        shape,
        scale,
        intercept,
        anchors=count,
        lack_of_fit=lack_of_fit(residuals, known),
        fit_error=fit_error,
        pass_error=anchors.pass_error,
        multiplier=student_t(CONFIDENCE, freedom),
        left_out_percent=float(100 * np.mean(np.abs(np.expm1(-residuals)))),
    )


def _fit_scale(sums_ms: Floats, measured_ms: Floats) -> tuple[float, float]:
    return fit_scale(sums_ms.tolist(), measured_ms.tolist()), 0.0


def _fit_affine(sums_ms: Floats, measured_ms: Floats) -> tuple[float, float]:
    """Least squares of relative errors."""
    columns = np.c_[sums_ms, np.ones(len(sums_ms))] / measured_ms[:, None]
    (scale, intercept), *_ = np.linalg.lstsq(columns, np.ones(len(sums_ms)), rcond=None)
    return float(scale), float(intercept)
