"""`mnas table export`: a table's figures as CSV, Parquet or YAML of blocks. Opens, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json, Quiet
from mnas.cli.output import print_json, print_line, warn
from mnas.cli.table.group import TableFile, group

YAML = (".yaml", ".yml")


@group.command()
def export(
    table: TableFile,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .csv, .parquet or .yaml file; replaced if it is there.")
    ],
    blocks: Annotated[
        str, typer.Option(help="Whose keys a .yaml file has: mnasnet, once-for-all or proxylessnas.")
    ] = "mnasnet",
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write a table's figures for other programs.

    CSV and Parquet have a row for each operator, with units in the columns' names; `calibrated_ms` is what it
    adds to a latency. YAML has a row for each layer of the table's space, in the form that once-for-all and
    ProxylessNAS read; layers that it has no key for are listed, and the exit code is 4.

    Example: mnas table export mnasnet-224.db -o mnasnet-224.csv
    """
    from latency_tables.exchange import figures_file
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable

    left_out: list[str] = []
    with LatencyTable.open(table) as given:
        if output.suffix in YAML:
            from mnas.table_blocks import export_blocks

            rows, left_out = export_blocks(given, output, blocks)
        else:
            rows = figures_file.write(given, output)
    document = export_document(shown(table), output, rows, left_out)
    if as_json:
        print_json(document)
    elif not quiet:
        print_line(f"{output}: {rows} rows")
    if left_out:
        warn(f"{len(left_out)} layer(s) have no key in this form, the first is {left_out[0]}")
    return Exit.FAILURES if left_out else Exit.DONE


def export_document(address: str, output: Path, rows: int, left_out: list[str]) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table export`."""
    return {
        "table": address,
        "file": str(output),
        "rows": rows,
        "left_out": left_out,
    }
