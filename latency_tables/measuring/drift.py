"""Whether a device still is as fast as when its table was anchored. Measures nothing.

The reference model that runs beside every pass is the table's canary. It is small, and where other programs
take memory it feels a third of what networks do; so a job that measures networks again asks those too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np

from latency_tables.fitting.joining import PassKey, speeds, time_of, trusted
from latency_tables.records import Burst
from latency_tables.store import LatencyTable

#: beyond so much a table's predictions are not of the device as it is now
DRIFT_PERCENT = 5.0
#: passes whose median says something: one alone is off by 3 %
READINGS = 8


def drift(table: LatencyTable, now_ms: float) -> float | None:
    """How much longer the reference model takes than when the table was anchored, in percent.

    Args:
        now_ms: its latency now: the median of `Pass.reference_ms` over `READINGS` passes or more.

    Returns:
        None where the table's passes are without it.
    """
    then_ms = canary_ms(table)
    return None if then_ms is None else 100 * (now_ms / then_ms - 1)


def canary_ms(table: LatencyTable, without: Collection[PassKey] = ()) -> float | None:
    """The reference model's latency in the passes that the calibration counts; None where they have none.

    Args:
        without: passes that are left out.
    """
    found = [one.reference_ms for one in _counted(table, table.bursts(), without) if one.reference_ms]
    return float(np.median(found)) if found else None


def verdict(what: str, percent: float | None) -> str | None:
    """Why a table is stale by how much longer something takes, `what` with its verb; None if it is not."""
    if percent is None or abs(percent) <= DRIFT_PERCENT:
        return None
    return f"{what} {words(percent)} than when the table was last anchored"


def words(percent: float) -> str:
    """How much longer, or less long."""
    return f"{abs(percent):.1f} % {'longer' if percent > 0 else 'less long'}"


class Drift:
    """Watches a job's passes; marks the table stale as soon as they say that the device has drifted."""

    def __init__(self, table: LatencyTable) -> None:
        """Looks at what the table has before the job."""
        self.reason: str | None = None
        self.percent: float | None = None
        self._table = table
        self._earlier = len(table.measured())
        self._before_ms = canary_ms(table) if self._earlier >= READINGS else None
        self._readings: list[float] = []

    def saw(self, reference_ms: float | None) -> None:
        """Told of each pass."""
        if reference_ms is None or self._before_ms is None:
            return
        self._readings.append(reference_ms)
        if len(self._readings) % READINGS == 0 and self.reason is None:
            percent = 100 * (float(np.median(self._readings)) / self._before_ms - 1)
            self._judge(percent, "the reference model takes")

    def close(self, keys: Collection[PassKey]) -> None:
        """Told which passes the job added: whether networks took longer in them than in those before."""
        if min(len(keys), self._earlier) >= READINGS:
            self.percent = network_drift(self._table, keys)
            if self.percent is not None and self.reason is None:
                self._judge(self.percent, "networks take")

    def _judge(self, percent: float, what: str) -> None:
        self.reason = verdict(what, percent)
        if self.reason is not None:
            self._table.mark_stale(self.reason)


def network_drift(table: LatencyTable, keys: Collection[PassKey]) -> float | None:
    """How much longer everything took in these passes than in those of before that the calibration counts.

    In percent; None where nothing was measured both times.
    """
    every = table.bursts()
    bursts = trusted(every)
    there = {(one.network, one.pass_index) for one in bursts}
    observations = [one for one in table.observations() if (one.network, one.pass_index) in there]
    logs = {key: float(np.log(speed)) for key, speed in speeds(bursts, observations).items()}
    now = [logs[key] for key in keys if key in logs]
    then = [
        logs[one.network, one.pass_index]
        for one in _counted(table, every, keys)
        if (one.network, one.pass_index) in logs
    ]
    if not now or not then:
        return None
    return 100 * float(np.expm1(np.mean(now) - np.mean(then)))


def anchored_since(table: LatencyTable, bursts: Sequence[Burst] | None = None) -> datetime | None:
    """From when on the passes of anchors count for the calibration; None where there are none.

    Args:
        bursts: the table's, where they are at hand.
    """
    if (since := table.reanchored_at) is not None:
        return time_of(since)
    anchors = {one.name for one in table.networks() if one.role == "anchor"}
    known = table.bursts() if bursts is None else bursts
    return min((time_of(one.started_at) for one in known if one.network in anchors), default=None)


def _counted(table: LatencyTable, every: Sequence[Burst], without: Collection[PassKey]) -> Sequence[Burst]:
    """Of all passes the anchors' since the last anchoring; all that are left where there are none."""
    anchors = {one.name for one in table.networks() if one.role == "anchor"}
    begin = anchored_since(table, every)
    bursts = [one for one in trusted(every) if (one.network, one.pass_index) not in without]
    counted = [
        one
        for one in bursts
        if one.network in anchors and (begin is None or time_of(one.started_at) >= begin)
    ]
    return counted or bursts
