"""What is seen of a search: lines in a log, a panel on a terminal, nothing when quiet."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from mnas.cli import search_view
from mnas.cli.search_view import SearchView, amount, facts, headline
from mnas.costs import Goal
from mnas.run import Result
from mnas.status import Status
from mnas.workers import Running

NAMES = {"latency_ms": "pixel6", "latency_ms:pi5": "pi5"}
GOALS = (
    Goal("latency_ms", target=20.0),
    Goal("latency_ms:pi5", objective=False, cap=80.0),
    Goal("parameters"),
)


def result(number: int, accuracy: float | None, latency_ms: float, parameters: float = 1e6) -> Result:
    state = "infeasible" if accuracy is None else "trained"
    costs = {"latency_ms:pi5": 3 * latency_ms, "parameters": parameters}
    return Result(number, (number,), f"net {number}", accuracy, latency_ms, state, 1.0, costs=costs)


def status(*results: Result, factors: dict[str, float] | None = None) -> Status:
    return Status(results, 4, GOALS, factors=factors or {}, reference={"latency_ms": 40.0, "parameters": 2e6})


SOME = (result(0, 0.7, 10), result(1, None, 50), result(2, 0.9, 19), result(3, 0.8, 19))


def console(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(
        search_view, "errors", Console(file=written, force_terminal=terminal, width=100, emoji=False)
    )
    return written


def test_a_log_gets_lines_with_all_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    written = console(monkeypatch, terminal=False)
    with SearchView(names=NAMES) as view:
        view.report(status())
        view.report(status(*SOME[:1]))  # too soon for another line
        view.running([Running(1, 3, 8)])
        view.report(status(*SOME, result(4, 0.6, 5)))
    lines = written.getvalue().splitlines()
    assert lines[0] == "training: 0 of 4, 0 on the front, hypervolume 0, none under target yet"
    assert len(lines) == 2
    assert lines[1].startswith("training: 4 of 4, 80% feasible, 1 infeasible, 3 on the front, hypervolume ")
    assert lines[1].endswith("best under target 90.0% at 19 ms on pixel6, 1,000,000 parameters")


def test_a_log_gets_what_is_trained_while_nothing_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    written, now = console(monkeypatch, terminal=False), [100.0]
    monkeypatch.setattr(search_view.time, "monotonic", lambda: now[0])
    with SearchView(names=NAMES) as view:
        view.running([Running(0, 1, 8)])  # nothing is known of the search yet
        view.report(status())
        for seconds in range(1, 2 * int(search_view.LINE_EVERY_S) + 4):
            now[0] = 100.0 + seconds
            view.running([Running(0, seconds, 80), Running(1, 0, 0)])
        view.running([])
        view.report(status(*SOME[:1]))  # is due, however short ago the last line of steps was
    lines = written.getvalue().splitlines()
    assert len(lines) == 4
    at = int(search_view.LINE_EVERY_S) + 1
    assert lines[1] == f"training: 0 of 4, #0 {at}/80  #1 starting, about 5 min left"
    assert lines[2].startswith(f"training: 0 of 4, #0 {2 * at}/80")
    assert lines[3].startswith("training: 1 of 4, ")


def test_a_panel_is_drawn_more_often_than_its_figures_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    console(monkeypatch, terminal=True)
    made: list[int] = []
    really = search_view.facts

    def counting(status: Status, names: Mapping[str, str]) -> list[tuple[str, str]]:
        made.append(len(status.results))
        return really(status, names)

    monkeypatch.setattr(search_view, "facts", counting)
    with SearchView(names=NAMES) as view:
        for reported in (status(), status(*SOME)):
            view.report(reported)
            for step in range(5):
                view.running([Running(4, step, 8)])
                view._live.refresh()
    assert made == [0, len(SOME)]


def test_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (False, True):
        written = console(monkeypatch, terminal)
        with SearchView(quiet=True) as view:
            view.report(status(*SOME))
            view.running([Running(1, 3, 8)])
        assert written.getvalue() == ""


def test_a_terminal_gets_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    written = console(monkeypatch, terminal=True)
    with SearchView(names=NAMES) as view:
        view.report(status())
        view.report(status(*SOME, factors={"latency_ms": 1.25}))
        view.running([Running(4, 3, 8), Running(5, 0, 0)])
        view._live.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())
    assert "trained 3 of 4" in text
    assert re.search(r"about \d+ s left", text)
    assert "#4 3/8  #5 starting" in text
    assert re.search(r"correction +pixel6 x 1.25", text)
    # the better one takes 23.75 ms as it is measured, so it is not under the target
    assert re.search(r"best at or under 20 ms on pixel6 +70.0% at 12.5 ms on pixel6", text)


def test_what_is_said_of_an_empty_search() -> None:
    said = dict(facts(status(), {}))
    assert said["best at or under 20 ms"] == "none yet"
    assert said["proposals"] == "0"
    assert "none under target yet" in headline(status(), {})


def test_figures_have_their_units() -> None:
    assert amount("energy_mj:pi5", 1.2345, {"energy_mj:pi5": "pi5"}) == "1.23 mJ on pi5"
    assert amount("file_bytes", 123456.0, {}) == "123,456 bytes"
    assert amount("latency_ms", 0.12345, {}) == "0.123 ms"


SCRIPT = """
from mnas.cli.search_view import SearchView
from tests.mnas.test_cli_search_view import NAMES, SOME, status
with SearchView(names=NAMES) as view:
    view.report(status())
    view.report(status(*SOME))
"""


def test_a_real_terminal_shows_it(tmp_path: Path) -> None:
    """Through a pseudo-terminal: what `isatty` says decides."""
    parent, child = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=child, stdout=child, env=env)
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(parent)
    assert process.wait(timeout=60) == 0, seen
    text = seen.decode()
    assert "\x1b[" in text
    assert "trained 3 of 4" in text
    assert "hypervolume" in text
