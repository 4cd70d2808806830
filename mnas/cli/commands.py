"""The list of commands: one module each, in the order of `mnas --help`."""

from __future__ import annotations

from importlib import import_module

import typer

MODULES = ("profile", "table", "zoo", "search", "finalize", "report", "pick", "demo")


def register(app: typer.Typer) -> None:
    """Add every command to the root."""
    for name in MODULES:
        import_module(f"mnas.cli.{name}").register(app)
