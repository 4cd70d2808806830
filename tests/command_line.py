"""Runs one command of `mnas` in this process, through the real root: its messages and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import pytest
import typer


class Ended(NamedTuple):
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def invoke(
    command: str, *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ended:
    """Run `mnas COMMAND ARGUMENTS` on a terminal of 80 columns, without importing the other commands."""
    root = import_module("mnas.cli.app")
    app = typer.Typer()
    app.callback()(lambda: None)
    monkeypatch.setattr(root, "app", app)
    monkeypatch.setattr("mnas.cli.commands.MODULES", (command,))
    monkeypatch.setattr(sys, "argv", ["mnas", command, *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ending:
        root.main()
    printed = capsys.readouterr()
    return Ended(int(ending.value.code or 0), printed.out, printed.err)


def running(command: str) -> Any:
    """A fixture that runs a command: called with its arguments, which are made text, it returns `Ended`."""

    @pytest.fixture
    def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
        return lambda *arguments: invoke(
            command, *map(str, arguments), monkeypatch=monkeypatch, capsys=capsys
        )

    return run
