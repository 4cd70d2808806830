from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mnas.gaps import keep
from mnas.reports.gaps import to_json
from mnas.run import RunDirectory, open_run
from mnas.wanted import OtherCost
from tests.command_line import Ended, running
from tests.mnas import finished
from tests.mnas.documented import documented, fields
from tests.mnas.test_gaps import gap

Report = Callable[..., Ended]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run", other_load=0.3)


mnas_report = running("report")


def test_a_table_a_comparison_and_the_paths(run: RunDirectory, mnas_report: Report) -> None:
    ended = mnas_report(run.path)
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert sum(line[1:2] in (["float32"], ["int8"]) for line in lines) == 10
    assert max(map(len, ended.out.splitlines())) <= max(80, len(str(run.path)) + 20, 100)
    assert "points of accuracy above the baselines at equal measured latency" in ended.out
    assert "rank correlation of search and final accuracy (Spearman): 1.00, n = 3" in ended.out
    for name in ("pareto.png", "pareto.svg", "pareto.csv", "summary.json"):
        assert str(run.path / name) in ended.out
    assert "other processes took up to 30%" in " ".join(ended.err.split())


def test_only_what_is_beyond_the_bars_is_marked(run: RunDirectory, mnas_report: Report) -> None:
    document = json.loads(mnas_report(run.path, "--json").out)
    printed = mnas_report(run.path).out
    for one in document["comparisons"]:
        row = next(line for line in printed.splitlines() if line.split()[:2] == [one["name"], one["dtype"]])
        assert row.rstrip().endswith("*") == (one["verdict"] in {"higher", "lower"})


def test_json_is_the_summary(run: RunDirectory, mnas_report: Report) -> None:
    ended = mnas_report(run.path, "--json", "--quiet")
    assert ended.code == 0
    assert json.loads(ended.out) == json.loads((run.path / "summary.json").read_text())
    assert ended.err == ""


def test_every_field_is_documented(run: RunDirectory, mnas_report: Report) -> None:
    document = json.loads(mnas_report(run.path, "--json").out)
    assert document["gaps"] == []
    document["gaps"] = to_json([gap(1.1), gap(1.1, "anchor")])
    for one in document["finalists"]:
        one["latency"] |= {"device": None, "warnings": []}
    assert all(set(one) == set(document["finalists"][0]) for one in document["baselines"])
    plain = {
        "training": None,
        "baselines": [],
        "warnings": [],
        "failures": [{"name": "", "step": "", "message": ""}],
        "search": document["search"] | {"training": None},
    }
    assert fields(document | plain) == documented("report")


def test_a_search_alone_is_shown_with_what_is_missing(tmp_path: Path, mnas_report: Report) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS)
    ended = mnas_report(run.path)
    assert ended.code == 0
    assert f"missing: no finalists yet: run mnas finalize {run.path}" in ended.out
    assert "best under 1 ms, knee" in ended.out


def test_what_the_search_measured_is_shown_beside_what_was_predicted(
    tmp_path: Path, mnas_report: Report
) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS)
    for result in run.results()[:2]:
        keep(run.gaps, replace(gap(1.1, network=result.architecture), predicted_ms=2.0))
    ended = mnas_report(run.path)
    assert ended.code == 0
    assert "x factor" in ended.out
    assert "latency_ms: networks take 9." in ended.out
    assert str(run.path / "gaps.png") in ended.out
    assert json.loads(mnas_report(run.path, "--json").out)["gaps"][0]["networks"] == 2


def test_it_works_while_another_process_writes(run: RunDirectory, mnas_report: Report) -> None:
    with open_run(run.path):
        assert mnas_report(run.path).code == 0


def test_what_is_no_run_ends_with_2(tmp_path: Path, mnas_report: Report) -> None:
    ended = mnas_report(tmp_path)
    assert ended.code == 2
    assert "is not a run directory" in ended.err
    finished.searched(tmp_path / "run", finished.POINTS)
    (tmp_path / "run" / "finalists.jsonl").write_text("nonsense\n")
    ended = mnas_report(tmp_path / "run")
    assert ended.code == 2
    assert "finalists.jsonl, line 1" in " ".join(ended.err.split())


def test_help_has_an_example(mnas_report: Report) -> None:
    assert "Example: mnas report runs/digits" in " ".join(mnas_report("--help").out.split())


def test_a_run_of_several_devices_is_reported_by_the_first_and_says_so(
    tmp_path: Path, mnas_report: Report
) -> None:
    also = {"latency_ms:pi5": OtherCost(table="b.db", device="pi5"), "parameters": OtherCost(cap=2e6)}
    costs = {"latency_ms:pi5": 3.0, "parameters": 1e5}
    searched = finished.searched(
        tmp_path / "two", finished.POINTS, lambda _: costs, also=also, label="pixel6"
    )
    ended = mnas_report(searched.path)
    assert ended.code == 0
    said = " ".join(ended.err.split())
    assert (
        "latencies and pictures are of pixel6 alone; the front, the finalists and the best go by pi5, "
        "parameters, too, as the search has them: mnas runs show" in said
    )
