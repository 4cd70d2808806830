"""The group `mnas table` and what its commands share. Has no command itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(
    no_args_is_help=True,
    help="Build, show, use and validate latency tables: one device's latency per operator.",
)

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="The table's file.")]
Top = Annotated[int, typer.Option(min=0, help="Operators to list.")]
