"""The group `mnas table` and what its commands share. Has no command itself."""

from __future__ import annotations

from typing import Annotated

import typer

group = typer.Typer(
    no_args_is_help=True,
    help="Build, show, use and validate latency tables: one device's latency per operator.",
)

#: a URL is for `LatencyTable.open`; what is printed is `LatencyTable.address`, which has no password
TableFile = Annotated[
    str, typer.Argument(metavar="TABLE", help="The table's file, or postgresql://... of it.")
]
Top = Annotated[int, typer.Option(min=0, help="Operators to list.")]
