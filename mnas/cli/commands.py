"""Brings the modules with commands together with the root; one module each."""

from __future__ import annotations

from importlib import import_module

import typer

from mnas.cli.app import MODULES


def register(app: typer.Typer) -> None:
    """Add every command to the root."""
    for name in MODULES:
        import_module(f"mnas.cli.{name}").register(app)
