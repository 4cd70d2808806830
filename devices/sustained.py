"""Where a latency settles when a device is kept busy for minutes. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from devices.errors import BadSettings
from devices.measurement import Pass

#: on a plateau, passes lie this close to its median (but for one in ten), and its halves differ by less
SPREAD, TREND = 0.05, 0.02
OUTLIERS = 0.1
#: a plateau has at least so many passes, and takes at least this share of the time
FEWEST_PASSES, LEAST_SHARE = 4, 0.25


@dataclass(frozen=True, slots=True)
class Plateau:
    """How a model's latency went while the device was kept busy with it.

    Attributes:
        reached: whether it settled; if not, `latency_ms` is that of the last quarter, and still changes.
        latency_ms: median over the passes' medians on the plateau.
        begins_s: when the plateau began, in seconds since the first pass.
        first_ms: median of the first pass.
        passes: on the plateau.
        lasted_s: from the first pass to the last.
        temperature_c: when the last pass ended; None if unknown.
    """

    reached: bool
    latency_ms: float
    begins_s: float
    first_ms: float
    passes: int
    lasted_s: float
    temperature_c: float | None

    @property
    def slowdown(self) -> float:
        """How much longer it takes on the plateau than at first: 0.25 is 25 %."""
        return self.latency_ms / self.first_ms - 1


def plateau(passes: Sequence[Pass]) -> Plateau:
    """Find the plateau: the longest end of the passes on which latency no longer moves.

    Args:
        passes: of one model, measured one after another by a plan with `sustained`.

    Raises:
        BadSettings: fewer than 4 passes.
    """
    if len(passes) < FEWEST_PASSES:
        raise BadSettings(
            f"{len(passes)} passes tell of no plateau; it takes {FEWEST_PASSES} or more: measure for longer"
        )
    ordered = sorted(passes, key=lambda one: one.context.started_at)
    medians = np.array([float(np.median(one.distribution_ms)) for one in ordered])
    begin = datetime.fromisoformat(ordered[0].context.started_at)
    at_s = [(datetime.fromisoformat(one.context.started_at) - begin).total_seconds() for one in ordered]
    last = len(medians) - max(FEWEST_PASSES, round(LEAST_SHARE * len(medians)))
    first = next((number for number in range(last + 1) if _settled(medians[number:])), None)
    start = last if first is None else first
    return Plateau(
        reached=first is not None,
        latency_ms=float(np.median(medians[start:])),
        begins_s=at_s[start],
        first_ms=float(medians[0]),
        passes=len(medians) - start,
        lasted_s=at_s[-1],
        temperature_c=ordered[-1].context.temperature_after_c,
    )


def _settled(medians: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    middle = float(np.median(medians))
    near = np.abs(medians - middle) <= SPREAD * middle
    half = len(medians) // 2
    trend = float(np.median(medians[-half:]) / np.median(medians[:half])) - 1
    return bool(np.mean(near) >= 1 - OUTLIERS and near[0] and abs(trend) <= TREND)
