"""Build latency tables on several devices side by side, one table for each.

Knows lanes, places and what ends a lane. Does not know how a table is filled or how results are shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from devices.device import Device
from devices.errors import DevicesError
from devices.state import file_name
from latency_tables.errors import TablesError
from mnas.errors import BadInput, MnasError
from mnas.lanes import side_by_side

if TYPE_CHECKING:
    from devices.plan import Plan
    from latency_tables.build import Adaptive, BuildReport, Progress
    from latency_tables.fitting.calibration import Calibration
    from mnas.tables import TableRequest


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured for a table.

    Attributes:
        plan: of every pass; its `passes` are the least number of passes over each network.
        adaptive: further passes where operators are not known well enough; None for none.
        budget_s: time in seconds after which no further pass begins; None for as long as it takes.
    """

    plan: Plan
    adaptive: Adaptive | None = None
    budget_s: float | None = None


@dataclass(frozen=True, slots=True)
class TableLane:
    """One device's share of a job: how to open it, and its table's file or URL.

    Attributes:
        folder: made for the table's file if it is not there.
    """

    device: str
    address: str
    open: Callable[[], AbstractContextManager[Device]]
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What came of a lane whose work was done.

    Attributes:
        address: of the table, as it may be printed.
        calibration: from sums to latencies; None while the table cannot predict.
        weighted_std_error_percent: mean standard error of the figures by share of time; None if unknown.
    """

    device: str
    address: str
    report: BuildReport
    calibration: Calibration | None
    weighted_std_error_percent: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended a lane before its work was done. What it measured before is in its table."""

    device: str
    trouble: DevicesError | TablesError | MnasError


Report = Callable[[str, "Progress"], None]


def folder_of(output: str, devices: int) -> Path | None:
    """The folder that the tables of a job lie in, `DEVICE.db` each; None where `output` is the only table.

    Args:
        output: what the user gave: for one device a file, a URL or a folder, for several a folder. A folder
            is what exists as one or ends in `/`.

    Raises:
        BadInput: it cannot hold a table for each of several devices.
    """
    from latency_tables.storage.database import is_url, shown

    url = is_url(output)
    folder = Path(output)
    if not url and (folder.is_dir() or output.endswith("/")):
        return folder
    if devices == 1:
        return None
    if url or folder.exists():
        what = "a database" if url else "a file"
        raise BadInput(
            f"{shown(output)} is {what}, and each of {devices} devices has a table of its own: name a folder"
        )
    return folder


def table_in(folder: Path, device: str) -> str:
    """The file of a device's table in a folder of tables."""
    return str(folder / f"{file_name(device)}.db")


def build_tables(
    lanes: Sequence[TableLane], request: TableRequest, effort: Effort, on_progress: Report
) -> list[Built | Ended]:
    """Fill a table on every device, each in a lane of its own.

    What is measured is in the tables as it comes. What goes wrong with a device ends its own lane only.

    Args:
        on_progress: called in the lanes' threads, with the device's name.

    Raises:
        KeyboardInterrupt: once every lane has kept what it was measuring.
    """
    return side_by_side([(lane.device, partial(_run, lane, request, effort, on_progress)) for lane in lanes])


def _run(
    lane: TableLane, request: TableRequest, effort: Effort, on_progress: Report, stop: threading.Event
) -> Built | Ended:
    try:
        return _build(lane, request, effort, on_progress, stop)
    except (DevicesError, TablesError, MnasError) as error:
        return Ended(lane.device, error)


def _build(
    lane: TableLane, request: TableRequest, effort: Effort, on_progress: Report, stop: threading.Event
) -> Built:
    from latency_tables import build
    from latency_tables.measuring.precision import weighted_standard_error_percent
    from mnas import tables

    if lane.folder is not None:
        lane.folder.mkdir(parents=True, exist_ok=True)
    _refuse_if_at_work(lane.address)
    with lane.open() as device, tables.open_or_create(lane.address, request, device) as table:
        report = build.build(
            table,
            device,
            effort.plan,
            partial(on_progress, lane.device),
            adaptive=effort.adaptive,
            budget_s=effort.budget_s,
            stop=stop,
        )
        return Built(
            lane.device,
            table.address,
            report,
            table.predictor().calibration if table.ready else None,
            weighted_standard_error_percent(table) if table.measured() else None,
        )


def _refuse_if_at_work(address: str) -> None:
    """Raise BadTable if another job fills the table: sooner than by its device, which that job has."""
    from latency_tables.store import LatencyTable

    if LatencyTable.exists(address):
        with LatencyTable.open(address) as table, table.building():
            pass
