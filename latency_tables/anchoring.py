"""Measures a table's anchors again, so that its calibration is of the device as it is now. Fits nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from devices.device import Device
from devices.plan import Plan
from latency_tables.errors import BadTable
from latency_tables.measuring.mismatch import refuse_other_device
from latency_tables.measuring.session import Progress, Session
from latency_tables.records import StoredFailure
from latency_tables.store import LatencyTable

#: the random orders of anchoring begin with this one
_ORDERS = 2000


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """What an anchoring came to.

    Attributes:
        anchors: networks that count for the calibration from now on; 0: it is as it was, see `budget_over`.
        measured: passes that were added.
        scale_before: of the calibration as it was; None where the table could not predict. Figures are those
            at the speed of the anchors, so that this stays about the same.
        scale: of the calibration now; None likewise.
        drift_percent: how much longer networks take than when the table was last anchored; None if unknown.
        drifted: how far the device had drifted since the last anchoring; None if by no more than 5 %.
        stale: why the table is stale; None if it is not.
        budget_over: whether the time was over before every anchor was measured once.
    """

    anchors: int
    measured: int
    scale_before: float | None
    scale: float | None
    drift_percent: float | None
    drifted: str | None
    stale: str | None
    budget_over: bool
    failures: tuple[StoredFailure, ...]
    seconds: float


def anchor(
    table: LatencyTable,
    device: Device,
    plan: Plan,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    budget_s: float | None = None,
    stop: threading.Event | None = None,
) -> AnchorReport:
    """Measure the anchors again in `plan.passes` shuffled passes; only these count for the calibration then.

    The table is no longer stale afterwards. An anchoring that ends before each anchor was measured changes
    nothing but that the table has some passes more.

    Raises:
        BadTable: another process is at the table, the device is not the table's, or the table has no anchors
            or none that could be measured.
        DeviceTrouble: the device is in trouble; what was measured is kept.
        KeyboardInterrupt: it was interrupted; likewise.
    """
    with table.building():
        refuse_other_device(table, device)
        session = Session(table, device, plan, budget_s=budget_s, on_progress=on_progress, stop=stop)
        if not any(one.role == "anchor" for one in session.networks.values()):
            raise BadTable(
                f"the latency table {table.address} has no anchor networks, so there is nothing to measure "
                "again: only tables made by `mnas table build` have"
            )
        before = table.predictor().calibration.scale if table.ready else None
        done = anchor_within(session, plan.passes)
        counted = {name for name, _ in session.keys}
        if not counted and not session.is_over():
            failures = table.failures()
            first = f": {failures[0].message}" if failures else ""
            raise BadTable(f"no anchor of the latency table {table.address} could be measured{first}")
        return AnchorReport(
            anchors=len(counted) if done else 0,
            measured=session.measured,
            scale_before=before,
            scale=table.predictor().calibration.scale if table.ready else None,
            drift_percent=session.drift_percent,
            drifted=session.drifted,
            stale=table.stale,
            budget_over=session.cut_short,
            failures=tuple(table.failures()),
            seconds=session.seconds,
        )


def anchor_within(session: Session, passes: int) -> bool:
    """Let only a session's passes of the anchors count, after measuring what each lacks of so many.

    Returns:
        Whether it was done: False when the budget was over before each anchor was measured once.
    """
    anchors = [name for name, one in session.networks.items() if one.role == "anchor"]
    counts = Counter(name for name, _ in session.keys)
    session.expect(0, sum(max(0, passes - counts[name]) for name in anchors), "anchors")
    failed: set[str] = set()
    for number in range(passes):
        counts = Counter(name for name, _ in session.keys)
        visits = {
            name: session.next_index(name)
            for name in anchors
            if counts[name] <= number and name not in failed
        }
        failed |= session.measure(visits, _ORDERS + number, "anchors")
    there = {name for name, _ in session.keys}
    since = session.earliest.get("anchor")
    if since is None or not all(name in there or name in failed for name in anchors):
        return False
    session.close()
    session.table.anchor_again(since)
    session.table.clear_stale()
    return True
