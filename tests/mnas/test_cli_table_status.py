"""`mnas table status` as its users see it: what it prints, its JSON, what its exit code says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devices.runners.litert import LitertDevice
from latency_tables.store import LatencyTable
from tests.command_line import Ended, running
from tests.latency_tables import toy_table
from tests.mnas.finished import FACTS
from tests.mnas.measured_table import make
from tests.mnas.tables import agrees

Run = Callable[..., Ended]

run = running("table")


def test_a_complete_table(run: Run, table: Path) -> None:
    ended = run("status", str(table), "-d", "local", "--json")
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert document["complete"]
    assert (document["stale"], document["differences"], document["missing_operators"]) == (None, [], [])
    assert document["units_by_method"]["in_context"] == document["operators"] > 50
    assert document["calibration"]["anchors"] == 2
    assert document["complete_passes"] == 1
    assert 0 <= document["anchored_days_ago"] < 1
    shown = run("status", str(table))
    assert (shown.code, shown.err) == (0, "")
    assert "by 2 anchors" in shown.out
    assert run("status", str(table), "--quiet") == (0, "", "")


def test_all_that_is_printed_is_documented_and_the_reverse(run: Run, table: Path) -> None:
    with sqlite3.connect(table) as connection:
        connection.execute("UPDATE passes SET context = json_set(context, '$.suspect', 'the canary drifted')")
        connection.execute(
            "INSERT INTO failures SELECT id, 0, 'WorkerCrashed', 'it crashed', '2026' FROM networks LIMIT 1"
        )
    ended = run("status", str(table), "-d", "local", "--json")
    assert agrees(json.loads(ended.out), "status")
    assert "it crashed" in ended.err
    assert json.loads(ended.out)["suspects"][0]["reason"] == "the canary drifted"
    assert "the canary drifted" in run("status", str(table)).err


def test_a_half_built_table_says_what_it_lacks_and_how_to_go_on(run: Run, tmp_path: Path) -> None:
    path = make(tmp_path / "half.db", roles=("anchor",))
    ended = run("status", str(path), "--json")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert not document["complete"]
    assert document["calibration"] is None
    assert len(document["missing_operators"]) > 0
    err = " ".join(ended.err.split())
    assert (
        f"{len(document['missing_operators'])} operators missing; go on with mnas table build --space" in err
    )
    assert f"-o {path}" in err
    assert run("status", str(path)).code == 4


def test_a_table_without_any_pass(run: Run, tmp_path: Path) -> None:
    ended = run("status", str(make(tmp_path / "new.db", roles=())))
    assert ended.code == 4
    assert "nothing yet" in ended.out
    assert "never" in ended.out


def test_a_table_that_was_not_made_for_a_space(run: Run, tmp_path: Path) -> None:
    with LatencyTable.create(tmp_path / "toy.db", toy_table.ORIGIN, toy_table.NETWORKS) as made:
        ended = run("status", made.address, "-q")
        assert (ended.code, ended.out) == (4, "")
        assert "is incomplete, 3 operators missing" in " ".join(ended.err.split())
        toy_table.fill(made)
    assert run("status", made.address, "-q") == (0, "", "")


def test_a_stale_table(run: Run, table: Path) -> None:
    with LatencyTable.open(table) as opened:
        opened.mark_stale("the reference takes 9 % longer")
    ended = run("status", str(table), "--quiet")
    assert (ended.code, ended.out) == (4, "")
    assert "is stale, the reference takes 9 % longer" in ended.err
    assert f"mnas table anchor {table} -d local" in ended.err


@pytest.mark.parametrize(("governor", "code"), [("powersave", 4), ("performance", 0), (None, 0)])
def test_the_governor_of_a_device_is_asked_for(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch, governor: str | None, code: int
) -> None:
    with sqlite3.connect(table) as connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('governor', 'performance')")
    monkeypatch.setattr(LitertDevice, "governor_now", lambda _: governor)
    ended = run("status", str(table), "-d", "local", "--json")
    assert ended.code == code
    document = json.loads(ended.out)
    assert (document["governor"], document["device_governor"]) == ("performance", governor)
    differs = ["governor is 'powersave', the table's is 'performance'"] if code else []
    assert document["differences"] == differs
    shown = run("status", str(table), "-d", "local")
    now = governor or "unknown until it measures"
    assert f"performance; the device's is {now}" in " ".join(shown.out.split())


def test_a_table_of_given_figures_is_judged_by_its_space(run: Run, tmp_path: Path) -> None:
    whole, file, given = make(tmp_path / "whole.db"), tmp_path / "t.csv", tmp_path / "given.db"
    assert run("export", str(whole), "-o", str(file)).code == 0
    assert run("import", str(file), "-o", str(given), "-q").code == 0
    ended = run("status", str(given), "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert (document["complete"], document["missing_operators"]) == (True, [])
    assert document["operators"] == json.loads(run("status", str(whole), "--json").out)["operators"]
    assert document["given_from"].startswith("the file t.csv")
    assert "all given, none measured here" in " ".join(run("status", str(given)).out.split())
    *rest, last = file.read_text().splitlines()
    file.write_text("\n".join(rest))
    lacking = tmp_path / "lacking.db"
    assert run("import", str(file), "-o", str(lacking), "-q").code in (0, 4)
    ended = run("status", str(lacking), "--json")
    assert ended.code == 4
    (missing,) = json.loads(ended.out)["missing_operators"]
    assert missing in last
    assert "1 operators missing, and its figures were given" in " ".join(ended.err.split())


def test_a_device_that_is_not_the_tables(run: Run, tmp_path: Path) -> None:
    path = make(tmp_path / "other.db", facts=replace(FACTS, runtime_version="0.0.1"))
    ended = run("status", str(path), "-d", "local", "--json", "-q")
    assert ended.code == 4
    (named,) = [each for each in json.loads(ended.out)["differences"] if "runtime_version" in each]
    assert named.endswith("the table's is '0.0.1'")
    assert named in " ".join(ended.err.split())
