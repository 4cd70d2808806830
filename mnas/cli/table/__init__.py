"""`mnas table`: a module for each command."""

from __future__ import annotations

from importlib import import_module

import typer

from mnas.cli.table.group import group

#: modules with a command, in the order of `mnas table --help`
COMMANDS = (
    *("build", "status", "show", "predict", "validate", "anchor", "extend", "transfer"),
    *("merge", "diff", "export", "import_"),
)


def register(app: typer.Typer) -> None:
    """Add `mnas table`."""
    for name in COMMANDS:
        import_module(f"mnas.cli.table.{name}")
    app.add_typer(group, name="table")
