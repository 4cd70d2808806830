"""`mnas table export`: a table's figures as CSV, Parquet or YAML of blocks. Opens, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json, Quiet
from mnas.cli.output import print_json, print_line, warn
from mnas.cli.table.group import TableFile, group
from mnas.errors import BadInput

YAML = (".yaml", ".yml")


@group.command()
def export(
    table: TableFile,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .csv, .parquet or .yaml file; replaced if it is there.")
    ],
    blocks: Annotated[
        str | None,
        typer.Option(help="Whose keys a .yaml file has: mnasnet (default), once-for-all or proxylessnas."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write a table's figures for other programs.

    CSV and Parquet have a row for each operator, with units in the columns' names; `calibrated_ms` is what it
    adds to a latency. YAML has a row for each layer of the table's space, in the form that once-for-all and
    ProxylessNAS read; layers that it has no key for are listed, and the exit code is 4. A constant that the
    table's calibration has beside its factor is in no row: sums of rows are less by it, which is said.

    Example: mnas table export mnasnet-224.db -o mnasnet-224.csv
    """
    from latency_tables.exchange import figures_file
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable

    if blocks is not None and output.suffix not in YAML:
        raise BadInput(f"{output} has a row for each operator: --blocks {blocks} is for .yaml files")
    left_out: list[str] = []
    lost_ms = 0.0
    with LatencyTable.open(table) as given:
        if output.suffix in YAML:
            from mnas.table_blocks import export_blocks

            found = export_blocks(given, output, blocks or "mnasnet")
            rows, left_out, lost_ms = found.rows, list(found.left_out), found.lost_ms
        else:
            rows = figures_file.write(given, output)
        stale = given.stale
    document = export_document(shown(table), output, rows, left_out, lost_ms)
    if as_json:
        print_json(document)
    elif not quiet:
        print_line(f"{output}: {rows} rows")
    if lost_ms:
        warn(f"the table adds {lost_ms:.4g} ms to every network, which is in no row: sums lack it")
    if stale is not None:
        warn(f"the table is stale, {stale}: the file says so, too")
    if left_out:
        warn(f"{len(left_out)} layer(s) have no key in this form, the first is {left_out[0]}")
    return Exit.FAILURES if left_out else Exit.DONE


def export_document(
    address: str, output: Path, rows: int, left_out: list[str], lost_ms: float
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table export`."""
    return {
        "table": address,
        "file": str(output),
        "rows": rows,
        "left_out": left_out,
        "lost_ms": lost_ms,
    }
