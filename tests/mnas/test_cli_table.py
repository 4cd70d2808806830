"""`mnas table` as a whole: what every command refuses, and that each shows an example."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from mnas.cli.table import COMMANDS, register
from tests.command_line import Ended, running

ROOT = Path(__file__).parents[2]

Run = Callable[..., Ended]

run = running("table")


@pytest.mark.parametrize("command", ["status", "show", "predict", "validate", "anchor", "extend"])
@pytest.mark.parametrize("content", [None, b"", b"not a database", b"SQLite format 3\0" + b"x" * 5000])
def test_files_that_are_no_table(run: Run, tmp_path: Path, command: str, content: bytes | None) -> None:
    path = tmp_path / "t.db"
    if content is not None:
        path.write_bytes(content)
    ended = run(command, str(path), *(["mobilenetv2"] if command in {"predict", "extend"} else []))
    assert (ended.code, ended.out) == (2, "")
    assert "t.db" in ended.err.replace("\n", "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", [module.rstrip("_") for module in COMMANDS])
def test_every_command_shows_an_example(run: Run, name: str) -> None:
    assert f"Example: mnas table {name}" in run(name, "--help").out


def shown() -> list[str]:
    """The words after `mnas table` of every command line in the README and in docs/tables.md."""
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "tables.md").read_text()
    blocks = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    found = re.findall(r"mnas table ([a-z]+ .*)", blocks)
    assert len(found) > 10
    return found


@pytest.mark.parametrize("line", shown())
def test_every_command_line_in_the_documents_can_be_parsed(line: str) -> None:
    app = typer.Typer()
    register(app)
    group = typer.main.get_command(app)
    name, *words = shlex.split(line.partition(">")[0], comments=True)
    command = group.commands["table"].commands[name]
    with command.make_context(name, words):
        pass
