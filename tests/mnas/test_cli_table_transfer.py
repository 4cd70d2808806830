"""`mnas table transfer` as its users see it: what it prints, its JSON, its exit codes, what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices import registry
from devices.measurement import Settings
from latency_tables.store import LatencyTable
from mnas import transferring
from tests.command_line import Ended, running
from tests.mnas.boards import Board, alike, complete, unlike
from tests.mnas.tables import agrees

Run = Callable[..., Ended]

run = running("table")

OPTIONS = ("--samples", 6, "--passes", 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return complete(tmp_path_factory.mktemp("transfer") / "from.db")


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """What every address leads to."""
    made = Board("second", alike({"conv_2d": 3.0}))

    def open_device(_: str, settings: Settings, **named: Any) -> Board:
        made.settings = settings
        return made

    monkeypatch.setattr(registry, "open_device", open_device)
    monkeypatch.setattr(transferring, "CANDIDATES", 40)
    monkeypatch.setattr(transferring, "OTHERS", 30)
    return made


def test_a_new_device_gets_a_table(run: Run, source: Path, tmp_path: Path, board: Board) -> None:
    new = tmp_path / "new.db"
    ended = run("transfer", source, "local", *OPTIONS, "-o", new, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "transfer")
    assert (document["table"], document["refused"], document["kept"]) == (str(new), None, None)
    assert (document["samples"], document["measured_passes"], document["failures"]) == (6, 6, [])
    assert 0 <= document["low_percent"] <= document["mape_percent"] <= document["high_percent"] < 5
    assert "measuring samples" in ended.err
    with LatencyTable.open(new) as table:
        assert table.ready
    again = run("transfer", source, "local", *OPTIONS, "-o", new)
    assert again.code == 2
    assert "exists already" in again.err


def test_a_refusal_says_why_and_what_is_kept(run: Run, source: Path, tmp_path: Path, board: Board) -> None:
    board.true_ms = unlike(1.5)
    new = tmp_path / "new.db"
    log = tmp_path / "log.txt"
    ended = run("transfer", source, "local", *OPTIONS, "-o", new, "--max-error", 2, "-q", "--log", log)
    assert ended.code == 4
    assert "samples are off by" in ended.err
    assert "more than 2 %. No table was made; what was measured is kept in" in ended.err
    assert "Samples for" in ended.out
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log.txt", "new.db.samples"]
    assert "No table was made" in log.read_text()
    ended = run("transfer", source, "local", *OPTIONS, "-o", new, "--max-error", 2, "--json")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert agrees(document, "transfer")
    assert (document["table"], document["measured_passes"]) == (None, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--samples", 3), "4 or more"),
        (("--dtype", "int8"), "say --across dtype"),
        (("--dtype", "float64", "--across", "dtype"), "float64"),
        (("--across", "moon"), "allowed: dtype"),
        (("--max-error", 0), "more than 0"),
        (("--passes", 0), "passes is 0"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run,
    source: Path,
    tmp_path: Path,
    board: Board,
    *,
    options: tuple[object, ...],
    message: str,
) -> None:
    ended = run("transfer", source, "local", *options, "-o", tmp_path / "new.db")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []
    assert board.seen == []
