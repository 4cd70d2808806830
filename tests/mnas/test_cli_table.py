"""`mnas table` as a whole: what every command refuses, and that each shows an example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mnas.cli.table import COMMANDS
from tests.command_line import Ended, running

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
