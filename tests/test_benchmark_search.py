"""The comparison of search strategies: its figures, verdict and peers, and how it goes on from a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.pareto import hypervolume
from mnas.spaces.tabular import TableSpace
from mnas.table_search import TableTruth
from tests.benchmark_modules import FOLDER, loaded

SIZES = (4, 3, 3)
REGISTERED = ("random", "nsga2", "ppo", "regularized_evolution", "predictor_guided", "tpe")


@pytest.fixture(scope="module")
def comparison() -> ModuleType:
    return loaded("comparison")


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    return loaded("peers")


@pytest.fixture(scope="module")
def search_tables() -> ModuleType:
    return loaded("search_tables")


def space(seed: int = 0, rows: int | None = None) -> TableSpace:
    frame = loaded("synthetic").table(seed, SIZES)
    return TableSpace(frame.sample(frac=1, random_state=seed)[:rows], "accuracy", ["latency_ms"])


# --- figures ---


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-1, 19), max_size=30), st.integers(0, 3))
def test_curves_are_shares_of_the_hypervolume_after_each_evaluation(
    comparison: ModuleType, evaluated: list[int], seed: int
) -> None:
    table = space(seed, rows=20)
    largest = float(table.figures[:, 1].max())
    found = comparison.curves_of(TableTruth(table), evaluated, 30)
    for curve, floor in zip(found, (0.0, float(table.figures[:, 0].min())), strict=True):
        whole = hypervolume(table.figures, (True, False), (floor, largest))
        for number, share in enumerate(curve, start=1):
            rows = [row for row in evaluated[:number] if row >= 0]
            expected = hypervolume(table.figures[rows], (True, False), (floor, largest)) / whole
            assert share == pytest.approx(expected, abs=1e-12)


def test_evaluations_beyond_the_budget_count_for_nothing(comparison: ModuleType) -> None:
    table = space()
    truth = TableTruth(table)
    front = truth.front.tolist()
    outcomes = [
        comparison.Outcome("t", name, seed, 1.0, tuple(rows))
        for seed in (0, 1)
        for name, rows in (("random", [-1, -1, *front]), ("Optuna TPE", [-1, front[0], front[0], *front]))
    ]
    random, tpe = comparison.standings("t", truth, 3, outcomes)
    assert (random.strategy, random.front_found, random.ratio) == ("random", 1.0, random.curves[0, 2])
    assert (tpe.front_found, tpe.front_size) == (1.0, len(front))
    assert (tpe.evaluations_to_tpe, random.evaluations_to_tpe) == (2, 3)


def test_a_table_without_hypervolume_is_refused(comparison: ModuleType) -> None:
    flat = TableSpace(pd.DataFrame({"c": [0, 1], "acc": [0.5, 0.6], "ms": [2.0, 2.0]}))
    with pytest.raises(BadInput, match="table has no hypervolume"):
        comparison.curves_of(TableTruth(flat), [0], 1)


def test_holms_correction_is_that_of_the_textbook(comparison: ModuleType) -> None:
    adjusted = comparison.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})


# --- verdict ---


def standing(module: ModuleType, strategy: str, **values: Any) -> Any:
    fields: dict[str, Any] = {
        "table": "t",
        "strategy": strategy,
        "curves": np.full((10, 60), 0.9),
        "curves_lowest": np.full((10, 60), 0.8),
        "front_found": 2.0,
        "front_size": 8,
        "evaluations_to_tpe": 60,
        "evaluations_to_tpe_lowest": 60,
        "p_above": 0.001,
        "p_below": 0.9,
        "seconds": 1.0,
    }
    return module.Standing(**{**fields, **values})


def verdict(module: ModuleType, changed: Mapping[str, Mapping[str, Any]] | None = None) -> Any:
    """Of standings with which all goals are held, but for what is changed."""
    good = {"front_found": 4.0, "evaluations_to_tpe": 30, "evaluations_to_tpe_lowest": 30}
    values: dict[str, Mapping[str, Any]] = {
        name: {} for name in (*REGISTERED, "Optuna TPE", "random, screened")
    }
    values["predictor_guided"] = good
    for name, one in (changed or {}).items():
        values[name] = {**values[name], **one}
    found = [standing(module, name, **one) for name, one in values.items()]
    return module.judge(module.checks(found, ["t"], REGISTERED))


def test_goals_that_are_held_are_met(comparison: ModuleType) -> None:
    held = verdict(comparison)
    assert held.met is True
    assert "reaches Optuna TPE's end after 30 of 60 evaluations" in held.text
    assert "missed" not in held.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"predictor_guided": {"evaluations_to_tpe": 31}}, "after 31 of 60"),
        ({"predictor_guided": {"evaluations_to_tpe_lowest": None}}, "no by the lowest accuracy"),
        ({"predictor_guided": {"front_found": 3.9}}, "finds 3.9 of 8 front points, Optuna TPE 2.0"),
        ({"Optuna TPE": {"front_found": 2.1}}, "Optuna TPE 2.1"),
        ({name: {"front_found": 0.0} for name in ("predictor_guided", "tpe", "Optuna TPE")}, "finds 0.0 "),
        ({"ppo": {"p_above": 0.2}}, "ppo above random, p = 0.2"),
        ({"nsga2": {"p_below": 0.001}}, "nsga2 (t, p = 0.005)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_goal_that_is_missed_is_named(
    comparison: ModuleType, changed: Mapping[str, Mapping[str, Any]], said: str
) -> None:
    missed = verdict(comparison, changed)
    assert missed.met is False
    assert missed.text.startswith("missed: ")
    assert said in missed.text.split(". held")[0]


def test_peers_ablations_and_chance_may_be_worse_than_random(comparison: ModuleType) -> None:
    below = {"p_below": 0.001}
    assert verdict(comparison, {"Optuna TPE": below, "random, screened": below}).met is True
    assert verdict(comparison, {"nsga2": {"p_below": 0.02}}).met is True  # 1 of 5 tests


def test_what_did_not_take_part_is_not_judged(comparison: ModuleType) -> None:
    found = [standing(comparison, name) for name in ("random", "predictor_guided")]
    part = comparison.judge(comparison.checks(found, ["t"], REGISTERED))
    assert part.met is None
    assert "TPE was not run" in part.text
    assert comparison.judge(comparison.checks(found, [], REGISTERED)).met is None


# --- tables and peers ---


def test_a_made_up_table_repeats_by_its_seed() -> None:
    table = loaded("synthetic").table
    first = table(3, SIZES)
    pd.testing.assert_frame_equal(first, table(3, SIZES))
    assert not first.equals(table(4, SIZES))
    assert first[["c0", "c1", "c2"]].to_numpy().tolist() == [list(p) for p in product(*map(range, SIZES))]
    assert first["accuracy"].between(0, 1).all()
    assert (first["latency_ms"] > 0).all()


@pytest.mark.parametrize("name", ["optuna_tpe", "optuna_nsga2", "pymoo_nsga2"])
@pytest.mark.parametrize("rows", [None, 20])
def test_a_peer_spends_all_its_evaluations_and_repeats_by_its_seed(
    peers: ModuleType, name: str, rows: int | None
) -> None:
    if name == "pymoo_nsga2":
        pytest.importorskip("pymoo", reason="pymoo is not installed")
    table = space(rows=rows)
    found = getattr(peers, name)(table, 30, 1)
    assert len(found) == 30
    assert set(found) <= set(range(-1, len(table)))
    assert (-1 in found) is (rows is not None)
    assert found == getattr(peers, name)(table, 30, 1)
    assert found != getattr(peers, name)(table, 30, 2)


# --- running it ---


def _search(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "search.py"), "--tiny", "--json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_searches_in_the_file_are_run_again_only_if_their_settings_changed(tmp_path: Path) -> None:
    table, results = tmp_path / "mine.csv", tmp_path / "results.jsonl"
    loaded("synthetic").table(0, SIZES).to_csv(table, index=False)
    wanted = ("--table", table, "--strategies", "random;tpe", "--results", results, "--jobs", "1")
    first = _search(*wanted)
    assert first.returncode == 0, first.stderr
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert {(one["strategy"], one["seed"]) for one in records} == {
        (name, seed) for name in ("random", "tpe", "Optuna TPE") for seed in (0, 1)
    }

    other = next(one for one in records if one["strategy"] == "tpe")
    other["settings"] = {"startup": 1}
    results.write_text("".join(f"{json.dumps(one)}\n" for one in records) + '{"torn')
    again = _search(*wanted)
    assert again.returncode == 0, again.stderr
    assert "1 of 1 searches" in again.stderr
    added = [json.loads(line) for line in results.read_text().splitlines()][len(records) :]
    assert [(one["strategy"], one["seed"]) for one in added] == [("tpe", other["seed"])]
    assert added[0]["settings"] != other["settings"]
    before, after = (
        [{**one, "seconds": 0} for one in json.loads(done.stdout)["standings"]] for done in (first, again)
    )
    assert before == after


def test_a_table_is_known_by_what_it_holds_and_how_it_is_read(tmp_path: Path) -> None:
    search, file = loaded("search"), tmp_path / "mine.csv"
    bench = search.Bench("mine", "acc", "ms", (), True, 10, file)
    file.write_text("c,acc,ms\n0,0.5,1\n1,0.6,2\n")
    first = bench.source
    assert bench.source == first == replace(bench, trials=5).source
    assert replace(bench, latency="ms2").source != first
    assert replace(bench, ignore=("c",)).source != first
    file.write_text("c,acc,ms\n0,0.5,1\n1,0.6,3\n")
    assert bench.source != first
    made_up = search.Bench("made up", "accuracy", "latency_ms", (), False, 10)
    assert made_up.source != replace(made_up, sizes=SIZES).source


def test_a_table_that_cannot_be_used_ends_all_before_anything_is_searched(tmp_path: Path) -> None:
    table, results = tmp_path / "mine.csv", tmp_path / "results.jsonl"
    loaded("synthetic").table(0, SIZES).to_csv(table, index=False)
    done = _search("--table", table, "--latency", "ms", "--results", results)
    assert done.returncode == 2
    assert "the table has no column 'ms' as latency" in done.stderr
    assert not results.exists()


# --- the measured tables' files ---


def test_networks_are_not_trained_into_a_file_with_latencies(
    search_tables: ModuleType, tmp_path: Path
) -> None:
    tiny, file = search_tables.TINY, tmp_path / "tiny.csv"
    file.write_text(",".join(tiny.measured) + "\n")
    with pytest.raises(BadInput, match="A file that has latencies takes no more networks"):
        search_tables.train(tiny, file, None)
    assert file.read_text() == ",".join(tiny.measured) + "\n"


def test_a_file_that_lacks_networks_is_not_measured(search_tables: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "tiny.csv"
    file.write_text(",".join(search_tables.TINY.trained) + "\n")
    with pytest.raises(BadInput, match="lacks 1 of 1 networks"):
        search_tables.measure(search_tables.TINY, file, None)


def test_one_run_at_a_time_is_at_work_on_a_file(search_tables: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "fashion-192.csv"
    with search_tables.alone(file):
        said = pytest.raises(BadInput, match="another run is at work")
        with said, search_tables.alone(file):
            pass
    with search_tables.alone(file):
        pass


def test_every_network_of_a_measured_table_is_another_one(search_tables: ModuleType) -> None:
    for table, rows in (("fashion-192", 192), ("fashion-108", 108)):
        measured = search_tables.TABLES[table]
        assert len({str(measured.architecture(row)) for row in measured.rows()}) == rows
