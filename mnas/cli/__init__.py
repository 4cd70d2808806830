"""The `mnas` command: thin commands that open, call and print; one module per group. `main` runs it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code, also where Ctrl-C comes before it is loaded."""
    try:
        from mnas.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
