from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devices.plan import Plan
from latency_tables import build as building
from latency_tables.store import LatencyTable
from mnas.cli import demo
from tests.command_line import Ended, invoke

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


@pytest.fixture
def mnas_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Demo:
    return lambda *arguments: invoke("demo", *map(str, arguments), monkeypatch=monkeypatch, capsys=capsys)


def test_the_whole_way_and_once_more(
    tmp_path: Path, mnas_demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(building.PLAN, passes=1, warmup_runs=1, min_runs=2, min_time_s=0.0)
    monkeypatch.setattr(building, "PLAN", plan)
    for name, value in SMALL.items():
        monkeypatch.setattr(demo, name, value)
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


def test_help_has_an_example(mnas_demo: Demo) -> None:
    assert "Example: mnas demo" in " ".join(mnas_demo("--help").out.split())
