"""The `mnas` command: thin commands that open, call and print. `app` is the root; one module per group."""

from mnas.cli.app import app, main

__all__ = ["app", "main"]
