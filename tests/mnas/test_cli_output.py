"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from mnas.cli import output
from mnas.cli.output import Display, print_table


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error that is a file, as under nohup; time passes by the second."""
    file = io.StringIO()
    seconds = iter(range(1000))
    monkeypatch.setattr(output, "errors", Console(file=file, force_terminal=False))
    monkeypatch.setattr(output.time, "monotonic", lambda: float(next(seconds)))
    return file


def test_elsewhere_a_line_now_and_then_with_the_time_left(elsewhere: io.StringIO) -> None:
    with Display() as display:
        for done in range(41):
            display.report("profiling [x]", done, 40, f"{done} seen")
            display.part("one of them", 1, 2)
    lines = elsewhere.getvalue().splitlines()
    assert lines[0] == "profiling [x]: 0 of 40, 0 seen"
    assert lines[-1] == "profiling [x]: 40 of 40, 40 seen"
    assert 3 < len(lines) < 10
    for line in lines[1:-1]:
        assert re.fullmatch(r"profiling \[x\]: \d+ of 40, \d+ seen, about \d+ s left", line)


def test_a_new_step_has_its_line_at_once(elsewhere: io.StringIO) -> None:
    with Display() as display:
        display.report("training", 0.25, 2)
        display.report("measuring", 3, 9)
    assert elsewhere.getvalue() == "training: 0.2 of 2\nmeasuring: 3 of 9\n"


@pytest.mark.parametrize(("terminal", "columns"), [(False, None), (True, None), (False, "60")])
def test_tables_are_wrapped_on_terminals_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "dumb")  # of 80 columns
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    name = "runs/a-rather-long-name-" + "0123456789" * 12
    print_table(f"1 run in {name}", ("run", "trained"), [(name, "8 of 8")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    whole = [line for line in lines if name in line]
    if terminal or columns:
        assert (whole, max(map(len, lines))) == ([], int(columns or 80))
    else:
        assert whole[0] == f"1 run in {name}"
        assert whole[1].split() == [name, "8", "of", "8"]
        assert len(lines) < 8
        assert max(map(len, lines)) < 170


def test_quiet_shows_nothing(elsewhere: io.StringIO) -> None:
    with Display(quiet=True) as display:
        display.report("training", 1, 2)
    assert elsewhere.getvalue() == ""


def test_on_a_terminal_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(output, "errors", Console(file=file, force_terminal=True, width=100))
    with Display() as display:
        display.report("training", 1, 2, "none [yet]")
        display.part("one of them", 1, 3)
    assert "training: none [yet]" in file.getvalue()
    assert "1/2" in file.getvalue()
    assert "one of them" in file.getvalue()
