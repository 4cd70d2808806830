"""From sums of operators to a network's latency: what the anchors say. Knows no operator and no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import BadTable
from latency_tables.intervals import spread_of, student_t

#: what stands between a sum of operators and a network's latency: nothing (no anchors); a factor; a factor
#: and a constant; a factor for each kind of operator
Shape = Literal["none", "scale", "affine", "per kind"]
#: share of measured latencies that an interval is to contain
CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sums of figures become latencies, and how far those may be off.

    `latency_ms = scale x sum_ms + intercept_ms`, `sum_ms` being the sum of the figures, each times its kind's
    factor, as they are in a network of its size. The interval around it is
    `latency_ms x exp(-+ multiplier x e)`, `e` the relative standard error: that of the operators, of the fit,
    and the lack of fit, added in squares.

    Attributes:
        factors: by kind of operator; kinds that are not named have 1.
        anchors: networks behind it.
        lack_of_fit: relative standard deviation of a network's latency around its prediction, were the
            figures exact; None without anchors: there is no interval then.
        fit_error: relative standard error of the scale.
        multiplier: Student's t for `CONFIDENCE` and the degrees of freedom at hand.
        left_out_percent: mean absolute error on the anchors, each predicted without its own measurements.
    """

    shape: Shape
    scale: float
    intercept_ms: float = 0.0
    factors: Mapping[str, float] = field(default_factory=dict)
    anchors: int = 0
    lack_of_fit: float | None = None
    fit_error: float = 0.0
    multiplier: float = 0.0
    left_out_percent: float | None = None

    def finish(
        self, sums_ms: NDArray[np.float64], variances_ms2: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Latencies with their intervals, in milliseconds.

        Args:
            sums_ms: of the figures of each network, each times its kind's factor, in a network of its size.
            variances_ms2: of those sums, by the operators' standard errors.

        Returns:
            Latencies, and lower and upper ends of their intervals: NaN without anchors. All of one shape.
        """
        latencies = self.scale * sums_ms + self.intercept_ms
        if self.lack_of_fit is None:
            unknown = np.full_like(latencies, np.nan)
            return latencies, unknown, unknown
        common = self.lack_of_fit**2 + self.fit_error**2
        shares = self.scale / np.maximum(latencies, np.finfo(float).tiny)
        relative = np.sqrt(variances_ms2 * shares**2 + common)
        width = np.exp(self.multiplier * relative)
        return latencies, latencies / width, latencies * width


#: of tables without anchors: sums are latencies, and nobody knows how far they are off
UNCALIBRATED = Calibration("none", 1.0)


def fit_scale(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> float:
    """The factor from a sum of operators to a network's latency: the median ratio over the anchors.

    Raises:
        BadTable: there are no anchors.
    """
    if not len(sums_ms) or len(sums_ms) != len(measured_ms):
        raise BadTable(
            f"a scale needs anchors: {len(sums_ms)} sums and {len(measured_ms)} measured latencies were given"
        )
    return float(np.median(np.asarray(measured_ms) / np.asarray(sums_ms)))


def calibrate(
    sums_ms: Sequence[float],
    measured_ms: Sequence[float],
    left_out_ms: Sequence[float] | None = None,
    variances_ms2: Sequence[float] | None = None,
) -> Calibration:
    """The calibration of anchors.

    Args:
        sums_ms: of the figures, for each anchor.
        measured_ms: each anchor's latency.
        left_out_ms: the same sums without each anchor's own measurements; None where they are not known.
        variances_ms2: of the sums, by the operators' standard errors; None counts as 0.

    Raises:
        BadTable: there are no anchors.
    """
    scale = fit_scale(sums_ms, measured_ms)
    count = len(sums_ms)
    if count < 2:
        return Calibration("scale", scale, anchors=count)
    sums = np.asarray(sums_ms if left_out_ms is None else left_out_ms, float)
    measured = np.asarray(measured_ms, float)
    others = [fit_scale(np.delete(sums, i).tolist(), np.delete(measured, i).tolist()) for i in range(count)]
    residuals = np.log(measured / (np.array(others) * sums))
    known = np.zeros(count) if variances_ms2 is None else np.asarray(variances_ms2) / sums**2
    lack = spread_of(residuals, known)
    return Calibration(
        "scale",
        scale,
        anchors=count,
        lack_of_fit=lack,
        fit_error=float(np.sqrt((lack**2 + np.mean(known)) / count)),
        multiplier=student_t(CONFIDENCE, count - 1),
        left_out_percent=float(100 * np.mean(np.abs(np.expm1(-residuals)))),
    )
