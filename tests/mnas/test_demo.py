from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devices.plan import Plan
from latency_tables import build as building
from latency_tables.build import BuildReport
from latency_tables.records import StoredFailure
from latency_tables.store import LatencyTable
from mnas.accuracy import ProxyTraining
from mnas.cli import demo
from mnas.run import open_run, read_run
from tests.command_line import Ended, running

#: the demo as it is, with fewer, smaller and hardly trained networks
SMALL = {
    "RESOLUTION": 28,
    "WIDTH": 0.05,
    "TRIALS": 1,
    "STEPS": 1,
    "FINALISTS": 1,
    "EPOCHS": 0.1,
    "SEEDS": 1,
    "BASELINES": (),
    "SAMPLED": 20,
    "MEASURING": Plan(passes=2, min_runs=10, warmup_runs=1),
}

Demo = Callable[..., Ended]


mnas_demo = running("demo")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(building.PLAN, passes=1, warmup_runs=1, min_runs=2, min_time_s=0.0)
    monkeypatch.setattr(building, "PLAN", plan)
    for name, value in SMALL.items():
        monkeypatch.setattr(demo, name, value)


@pytest.mark.usefixtures("small")
def test_the_whole_way_and_once_more(tmp_path: Path, mnas_demo: Demo) -> None:
    run = tmp_path / "runs" / "demo"
    ended = mnas_demo("-o", run)
    assert ended.code == 0, ended.err
    for step in ("1 of 3", "profiling", "2 of 3", "3 of 3", "training", "measuring", "testing"):
        assert step in ended.err
    assert str(run / "pareto.png") in ended.out
    assert (run / "pareto.png").exists()
    with LatencyTable.open(tmp_path / "runs" / "demo-table.db") as table:
        assert table.ready
    before = (run / "finalists.jsonl").read_bytes()

    again = mnas_demo("-o", run, "--json")
    assert again.code == 0
    assert "is complete" in again.err
    document = json.loads(again.out)
    assert [one["dtype"] for one in document["finalists"]] == ["float32", "int8"]
    assert document["finalists"][0]["predicted_ms"] > 0
    assert document["search"]["trained"] == 1
    assert (run / "finalists.jsonl").read_bytes() == before

    failed = replace(read_run(run).results()[0], number=7, state="failed", accuracy=None, message="nan")
    with open_run(run) as opened:
        opened.record(failed)
    again = mnas_demo("-o", run, "--json", "--quiet")
    assert again.code == 4
    assert "trial 7 failed: nan" in again.err


@pytest.mark.usefixtures("small")
def test_what_fails_on_the_way_is_listed_and_told_by_the_exit_code(
    tmp_path: Path, mnas_demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def incomplete(table: LatencyTable, *_: object) -> BuildReport:
        failures = (StoredFailure("cover-000", 0, "WorkerCrashed", "it ended the worker", "2026-01-02"),)
        return BuildReport(1, 1, 0, 1, ("conv_2d/float32/x",), failures, 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(building, "build", incomplete)
        ended = mnas_demo("-o", tmp_path / "demo", "--quiet")
    assert (ended.code, ended.out) == (4, "")
    assert "cover-000: it ended the worker" in ended.err
    assert "1 operator(s) have no figure" in ended.err
    assert not (tmp_path / "demo").exists()

    monkeypatch.setattr(ProxyTraining, "__call__", lambda *_: float("nan"))
    ended = mnas_demo("-o", tmp_path / "demo")
    assert (ended.code, ended.out) == (4, "")
    assert "trial 0 failed: ValueError" in ended.err
    assert "5 evaluations failed in a row: 0 of 1 candidates are trained" in ended.err


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("options", "again"), [((), "mnas demo\n"), (("-o", "a b"), "mnas demo -o 'a b'\n")])
def test_an_interruption_says_how_to_go_on(
    tmp_path: Path,
    mnas_demo: Demo,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    again: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "build", interrupt)
    ended = mnas_demo(*options)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.endswith(f"interrupted: everything measured so far is kept; go on with: {again}")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/", "/ has no place beside it"),
        (".", "not a run directory, and not empty: it holds thesis.tex"),
        ("thesis.tex", "thesis.tex is a file"),
        ("thesis.tex/x", "thesis.tex is a file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_measured(
    tmp_path: Path, mnas_demo: Demo, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    (tmp_path / "thesis.tex").touch()
    monkeypatch.chdir(tmp_path)
    ended = mnas_demo("-o", place)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "1 of 3" not in ended.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_help_has_an_example(mnas_demo: Demo) -> None:
    assert "Example: mnas demo" in " ".join(mnas_demo("--help").out.split())
