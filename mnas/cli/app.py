"""The root of the command line: exit codes, and the one place where errors become messages."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import Annotated

import typer
from rich.console import Console
from typer.core import TyperGroup

from controllers.errors import ControllersError
from devices.errors import DevicesError, DeviceTrouble
from latency_tables.errors import TablesError
from mnas import __version__
from mnas.cli.text import escape, shown
from mnas.errors import MnasError


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    BAD_INPUT = 2
    DEVICE_TROUBLE = 3
    FAILURES = 4
    INTERRUPTED = 130


class Interrupted(Exception):
    """The user has ended a command that keeps what it did; the message says how to go on."""


#: people and progress; standard output belongs to results. A cost such as `energy_mj:two:` is no emoji
errors = Console(stderr=True, emoji=False)

#: modules of this package with commands, in the order of `mnas --help`
MODULES = (
    *("profile", "compare", "devices", "table", "zoo", "search", "runs", "finalize", "report", "pick"),
    "demo",
)


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
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return Exit.INTERRUPTED
    return Exit.DEVICE_TROUBLE if isinstance(error, DeviceTrouble) else Exit.BAD_INPUT


def main() -> None:
    """Run the command line and leave with its exit code."""
    from mnas.cli import commands

    commands.register(app)
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except (MnasError, DevicesError, TablesError, ControllersError) as error:
        _say_error(str(error))
        _forget_output()
        sys.exit(exit_code(error))
    except BrokenPipeError:  # as in `mnas zoo list | head -1`; typer and rich leave with the same code
        _forget_output()
        sys.exit(1)
    except OSError as error:
        reason = error.strerror or str(error)
        _say_error(f"{error.filename}: {reason}" if error.filename else reason)
        _forget_output()
        sys.exit(Exit.BAD_INPUT)
    except typer.TyperException as error:  # a usage error shows the usage, too
        show = getattr(error, "show", None)
        if show is not None:
            show()
        else:
            _say_error(error.format_message())
        sys.exit(Exit.BAD_INPUT)
    except Interrupted as error:
        errors.print(shown(f"interrupted: {error}"), highlight=False, markup=False, soft_wrap=True)
        sys.exit(Exit.INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    if code == Exit.INTERRUPTED:
        errors.print("interrupted")
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _say_error(text: str) -> None:
    errors.print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _forget_output() -> None:
    """Drop results that cannot be printed any more, or the interpreter tries once more when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
