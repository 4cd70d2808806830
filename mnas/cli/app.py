"""The root of the command line: exit codes, and the one place where errors become messages."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from controllers.errors import ControllersError
from devices.errors import DevicesError, DeviceTrouble
from latency_tables.errors import TablesError
from mnas import __version__
from mnas.errors import MnasError


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    BAD_INPUT = 2
    DEVICE_TROUBLE = 3
    FAILURES = 4
    INTERRUPTED = 130


#: people and progress; standard output belongs to results
errors = Console(stderr=True)

#: modules of this package with commands, in the order of `mnas --help`
MODULES = ("profile", "table", "zoo", "search", "finalize", "report", "pick", "demo")


class _InOrder(TyperGroup):
    """Lists commands and groups of commands in the order of `MODULES`."""

    def list_commands(self, *_: object) -> list[str]:
        """The names, in order."""
        return [name for name in MODULES if name in self.commands]


app = typer.Typer(
    name="mnas",
    cls=_InOrder,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Measure latency on the device, search networks against it, ship the best.",
    epilog=(
        "Exit codes: 0 done, 2 bad input, 3 device trouble, 4 finished with failures listed, 130 interrupted."
    ),
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Measure latency on the device, search networks against it, ship the best."""
    if version:
        sys.stdout.write(f"mnas {__version__}\n")
        raise typer.Exit


def exit_code(error: BaseException) -> Exit:
    """The exit code that an error of this project ends a command with."""
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    return Exit.DEVICE_TROUBLE if isinstance(error, DeviceTrouble) else Exit.BAD_INPUT


def main() -> None:
    """Run the command line and leave with its exit code."""
    from mnas.cli import commands

    commands.register(app)
    try:
        code = app(standalone_mode=False)
    except (MnasError, DevicesError, TablesError, ControllersError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(exit_code(error))
    except typer.TyperException as error:  # a usage error shows the usage, too
        show = getattr(error, "show", None)
        if show is not None:
            show()
        else:
            errors.print(f"[bold red]error:[/] {escape(error.format_message())}", soft_wrap=True)
        sys.exit(Exit.BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    if code == Exit.INTERRUPTED:
        errors.print("interrupted: everything measured so far is kept")
    sys.exit(code if isinstance(code, int) else Exit.DONE)
