"""`mnas table transfer`: a new device's table from another's. Opens, calls and prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.log import ends, logged
from mnas.cli.opening import opened
from mnas.cli.options import Bench, Budget, Json, LogFile, Quiet, Threads, Wait
from mnas.cli.output import Display, keeping, print_json, print_table
from mnas.cli.table.documents import failure_documents
from mnas.cli.table.group import group
from mnas.cli.table.working import shows

if TYPE_CHECKING:
    from mnas.transferring import TransferReport


@group.command()
def transfer(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The other device's table: file or URL.")],
    device: Annotated[
        str, typer.Argument(metavar="TO-DEVICE", help="The new device: a name in bench.toml, or an address.")
    ],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="The new table's file.")],
    samples: Annotated[int, typer.Option(help="Networks to measure on the new device.")] = 20,
    passes: Annotated[int, typer.Option(help="Times each of them is measured.")] = 3,
    dtype: Annotated[
        str | None, typer.Option(help="float32 or int8; else the other table's. Needs --across dtype.")
    ] = None,
    across: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What may differ besides the device: dtype; repeatable."),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Make no table whose held-out error is larger; else 10."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the networks to choose from, and of the order.")] = 0,
    threads: Threads = None,
    budget: Budget = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    log: LogFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a new device's table from another's and a few measured networks.

    The networks are chosen so that they tell most of the others. Each is also predicted from the rest alone:
    that error is printed with its 90 % interval, and when it is larger than --max-error, no table is made and
    the exit code is 4. What was measured is kept beside the new table then, in NEW.samples, and the same
    command with more --samples goes on with it.

    Example: mnas table transfer pixel.db pi5 --samples 20 -o pi5.db
    """
    from latency_tables.build import PLAN
    from latency_tables.store import LatencyTable
    from mnas.transferring import Wanted, transfer_table

    limit = {} if max_error is None else {"max_error_percent": max_error}
    wanted = Wanted(samples, seed, dtype, across or (), **limit)
    with logged(log) as note:
        with (
            LatencyTable.open(source) as other,
            opened(device, threads, bench=bench, wait_s=wait, quiet=quiet, log=note.or_none) as there,
            keeping("repeat the command to go on"),
            Display(quiet, note.or_none) as display,
        ):
            if other.stale:
                note.warn(f"{other.address} is stale, {other.stale}")
            report = transfer_table(
                other,
                there,
                output,
                wanted,
                replace(PLAN, passes=passes, seed=seed),
                on_progress=shows(display, "measuring samples", note),
                budget_s=budget,
            )
            address = other.address
        document = transfer_document(address, output, report)
        if as_json:
            print_json(document)
        elif report.found is not None:
            _show(output, report)
        for failure in report.failures:
            note.warn(f"{failure.network}: {failure.message}")
        if report.profiler:
            note.warn(f"whole latencies had to tell, for the device has no profiler: {report.profiler}")
        if report.refused:
            note.warn(f"{report.refused}. No table was made; what was measured is kept in {report.kept}")
        return ends(note, Exit.FAILURES if report.refused or report.failures else Exit.DONE)


def _show(output: str, report: TransferReport) -> None:
    found = report.found
    assert found is not None
    print_table(
        f"Samples for {output}" if report.refused else f"Latency table {output}",
        ("what", "figure"),
        [
            ("samples", report.samples),
            ("measured just now", f"{report.measured} passes in {report.seconds:.1f} s"),
            ("operators measured", f"{found.measured} of {len(found.figures)}"),
            ("median ratio of latencies", f"{found.ratio:.3f}"),
            (
                "held-out error",
                f"{found.mape_percent:.2f} % ({found.low_percent:.2f} to {found.high_percent:.2f} %)",
            ),
        ],
    )


def transfer_document(source: str, output: str, report: TransferReport) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table transfer`."""
    found = report.found
    return {
        "source": source,
        "table": None if report.refused else output,
        "refused": report.refused,
        "kept": report.kept,
        "samples": report.samples,
        "measured_passes": report.measured,
        "operators": None if found is None else len(found.figures),
        "operators_measured": None if found is None else found.measured,
        "ratio": None if found is None else found.ratio,
        "mape_percent": None if found is None else found.mape_percent,
        "low_percent": None if found is None else found.low_percent,
        "high_percent": None if found is None else found.high_percent,
        "profiler": report.profiler,
        "budget_over": report.budget_over,
        "seconds": report.seconds,
        "details": [
            {"network": one.network, "predicted_ms": one.predicted_ms, "measured_ms": one.measured_ms}
            for one in (found.residuals if found else ())
        ],
        "failures": failure_documents(report.failures),
    }
