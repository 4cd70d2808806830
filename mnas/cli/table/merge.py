"""`mnas table merge`: tables of one origin as one. Opens, calls and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.options import Json, Quiet
from mnas.cli.output import print_json, print_line
from mnas.cli.table.group import group

if TYPE_CHECKING:
    from latency_tables.exchange.merge import MergeReport


@group.command()
def merge(
    tables: Annotated[list[str], typer.Argument(metavar="TABLE...", help="Files or URLs, two or more.")],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="The new table's file or URL.")],
    across: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What may differ between them, such as identity; repeatable."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Join tables of one origin: half-built ones, or runs of several labs.

    Passes that several tables hold count once. Tables of another device, runtime, delegate, number of threads
    or space are refused by the name of what differs, unless --across names it.

    Example: mnas table merge monday.db tuesday.db -o both.db
    """
    from latency_tables.exchange.merge import merge as join
    from latency_tables.storage.database import shown

    report = join(tables, output, across or ())
    document = merge_document(shown(output), report)
    if as_json:
        print_json(document)
    elif not quiet:
        print_line(
            f"{document['table']}: {report.passes} passes over {report.networks} networks of {report.tables} "
            f"tables" + (f", {report.repeated} passes that were repeated left out" if report.repeated else "")
        )


def merge_document(address: str, report: MergeReport) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table merge`."""
    return {
        "table": address,
        "tables": report.tables,
        "networks": report.networks,
        "passes": report.passes,
        "repeated_passes": report.repeated,
        "given_figures": report.given,
    }
