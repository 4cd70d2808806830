"""A job at one table on its device: what is opened for it, and how its progress is shown. Has no command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas.cli.log import Log
from mnas.cli.opening import opened
from mnas.cli.output import Display, keeping

if TYPE_CHECKING:
    from devices.device import Device
    from latency_tables.measuring.session import Progress
    from latency_tables.store import LatencyTable

ItsDevice = Annotated[
    str | None,
    typer.Option("--device", "-d", help="Where to measure, by name or address; the table's own if left out."),
]


@dataclass(frozen=True, slots=True)
class Work:
    """What a job at a table has.

    Attributes:
        report: what the job tells of its progress.
    """

    table: LatencyTable
    device: Device
    report: Callable[[Progress], None]


@contextmanager
def at_work(
    address: str,
    device: str | None,
    step: str,
    *,
    note: Log,
    bench: Path | None,
    wait_s: float,
    quiet: bool,
) -> Iterator[Work]:
    """A table, opened with its device under the table's own settings; closed at the end.

    Args:
        device: None is the table's own.
        step: what the job does, for people.
        note: told failures, progress and what is waited for.
    """
    from latency_tables.store import LatencyTable

    with LatencyTable.open(address) as table:
        origin = table.origin
        where = device or origin.facts.address
        with (
            opened(
                where,
                settings=origin.settings,
                bench=bench,
                wait_s=wait_s,
                quiet=quiet,
                log=note.or_none,
            ) as there,
            keeping("repeat the command to go on"),
            Display(quiet, note.or_none) as display,
        ):
            yield Work(table, there, shows(display, step, note))


def shows(display: Display, step: str, note: Log) -> Callable[[Progress], None]:
    """Shows a job's progress as one step, and notes its failures."""

    def report(at: Progress) -> None:
        told = "" if at.step == "networks" or at.step in step else at.step
        if at.failure:
            told = f"{at.network}: {' '.join(at.failure.split())}"
            note(f"{step}: {told}")
        display.report(step, at.done, at.total, told)

    return report
