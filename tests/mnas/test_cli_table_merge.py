"""`mnas table merge` and `mnas table diff` as their users see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latency_tables.store import LatencyTable
from tests.command_line import Ended, running
from tests.mnas.finished import FACTS
from tests.mnas.measured_table import make
from tests.mnas.tables import agrees

Run = Callable[..., Ended]

run = running("table")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("merge") / "whole.db")


def test_two_halves_become_one_that_predicts(run: Run, tmp_path: Path) -> None:
    covers = make(tmp_path / "covers.db", roles=["cover"])
    anchors = make(tmp_path / "anchors.db", roles=["anchor"])
    new = tmp_path / "new.db"
    ended = run("merge", covers, anchors, "-o", new, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "merge")
    assert (document["tables"], document["repeated_passes"]) == (2, 0)
    with LatencyTable.open(new) as table:
        assert table.ready
        assert len(table.measured()) == document["passes"]
    assert "passes over" in run("merge", covers, new, "-o", tmp_path / "again.db").out
    assert run("merge", covers, new, "-o", tmp_path / "q.db", "-q") == (0, "", "")


def test_tables_of_other_origins_are_refused_by_name(run: Run, whole: Path, tmp_path: Path) -> None:
    lab = make(tmp_path / "lab.db", facts=replace(FACTS, identity="other"))
    new = tmp_path / "new.db"
    ended = run("merge", whole, lab, "-o", new)
    assert (ended.code, ended.out) == (2, "")
    assert "identity is 'other'" in ended.err
    assert not new.exists()
    assert run("merge", whole, lab, "-o", new, "--across", "identity").code == 0
    again = run("merge", whole, lab, "-o", new, "--across", "identity")
    assert again.code == 2
    assert "exists already" in again.err


@pytest.mark.parametrize(
    "arguments", [(), ("{whole}",), ("{whole}", "no.db"), ("{whole}", "{whole}", "-o", "a/b")]
)
def test_what_cannot_be_merged_is_refused(
    run: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [one.format(whole=whole) for one in arguments]
    ended = run("merge", *given, *(() if "-o" in given else ("-o", "new.db")))
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_table_does_not_differ_from_itself(run: Run, whole: Path) -> None:
    ended = run("diff", whole, whole, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "diff")
    assert (document["same"], document["ratio"], document["changed"]) == (True, 1.0, 0)
    assert {one["ratio"] for one in document["operators"]} == {1.0}
    assert run("diff", whole, whole, "-q") == (0, "", "")


def test_differences_are_told_and_end_with_their_own_code(run: Run, whole: Path, tmp_path: Path) -> None:
    covers = make(tmp_path / "other.db", facts=replace(FACTS, identity="other"), roles=["anchor"])
    ended = run("diff", whole, covers, "--json")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert document["differences"] == [f"identity is 'other', the first one's is {FACTS.identity!r}"]
    assert document["missing_in_second"]
    assert document["missing_in_first"] == []
    assert "lacks" in ended.err
    shown = run("diff", whole, covers)
    assert "By kind" in shown.out


def test_types_are_compared_when_asked_for(run: Run, whole: Path, tmp_path: Path) -> None:
    int8 = make(tmp_path / "int8.db", dtype="int8")
    assert json.loads(run("diff", whole, int8, "--json").out)["ratio"] is None
    across = run("diff", whole, int8, "--across", "dtype", "--json")
    assert across.code == 0, across.err
    document = json.loads(across.out)
    assert document["ratio"] == pytest.approx(1.0)
    assert document["differences"] == ["dtype is 'int8', the first one's is 'float32'"]
    wrong = run("diff", whole, int8, "--across", "moon")
    assert wrong.code == 2
    assert "allowed: dtype" in wrong.err
