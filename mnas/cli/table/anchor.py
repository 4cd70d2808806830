"""`mnas table anchor`: calibrate a table for the device as it is now. Opens, calls and prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.log import ends, logged
from mnas.cli.options import Bench, Budget, Json, LogFile, Quiet, Wait
from mnas.cli.output import print_json, print_table
from mnas.cli.table.documents import failure_documents
from mnas.cli.table.group import TableFile, group
from mnas.cli.table.working import ItsDevice, at_work

if TYPE_CHECKING:
    from latency_tables.anchoring import AnchorReport


@group.command()
def anchor(
    table: TableFile,
    *,
    device: ItsDevice = None,
    passes: Annotated[int, typer.Option(help="Times every anchor is measured.")] = 5,
    budget: Budget = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    log: LogFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure a table's anchors again, so that predictions are of the device as it is now.

    A device is not equally fast every day. Operators keep their figures; for the calibration counts only
    what is measured now, and the table is no longer stale.

    Example: mnas table anchor mnasnet-224.db -d local
    """
    from latency_tables.anchoring import anchor as anchor_again
    from latency_tables.build import PLAN

    plan = replace(PLAN, passes=passes)
    with logged(log) as note:
        with at_work(
            table, device, "measuring anchors", note=note, bench=bench, wait_s=wait, quiet=quiet
        ) as work:
            report = anchor_again(work.table, work.device, plan, on_progress=work.report, budget_s=budget)
            address = work.table.address
            anchors = {one.name for one in work.table.networks() if one.role == "anchor"}
        failures = [one for one in report.failures if one.network in anchors]
        document = anchor_document(address, report) | {"failures": failure_documents(failures)}
        if as_json:
            print_json(document)
        else:
            _show(document)
        for failure in failures:
            note.warn(f"{failure.network}: {failure.message}")
        if not report.anchors:
            note.warn("the time was over before every anchor was measured: the calibration is as it was")
        if report.stale:
            note.warn(f"{address} is stale, {report.stale}")
        done = report.anchors and not failures and not report.stale
        return ends(note, Exit.DONE if done else Exit.FAILURES)


def _show(document: dict[str, Any]) -> None:
    from latency_tables.measuring.drift import words

    change = document["change_percent"]
    told = "unknown" if change is None else f"{words(change)} than when last anchored"
    rows = [
        ("anchors", str(document["anchors"])),
        ("measured just now", f"{document['measured_passes']} in {document['seconds']:.1f} s"),
        ("scale before", _figure(document["scale_before"])),
        ("scale now", _figure(document["scale"])),
        ("networks take", told),
    ]
    print_table(f"Latency table {document['table']}", ("what", "figure"), rows, texts=2)


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def anchor_document(address: str, report: AnchorReport) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table anchor`, but for the failures."""
    return {
        "table": address,
        "anchors": report.anchors,
        "measured_passes": report.measured,
        "scale_before": report.scale_before,
        "scale": report.scale,
        "change_percent": report.drift_percent,
        "drifted": report.drifted,
        "stale": report.stale,
        "budget_over": report.budget_over,
        "seconds": report.seconds,
    }
