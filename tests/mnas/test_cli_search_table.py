"""`mnas search --space table:FILE` as its users see it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mnas.cli.app import Exit
from mnas.spaces.tabular import TableSpace
from mnas.table_search import run_table
from tests.command_line import Ended, running
from tests.mnas.documented import documented, fields

Run = Callable[..., Ended]
#: columns of the document whose own fields have the names of the user's columns and settings
BY_NAME = ("choices", "settings", "latency", "options")

run = running("search")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """24 networks of three choices, with accuracies in percent and two latencies."""
    frame = pd.DataFrame(
        list(product(["ds", "ir"], [3, 5, 7, 9], [0, 1, 2])), columns=["op", "kernel", "layers"]
    )
    size = frame["kernel"] * (1 + frame["layers"]) * (1 + (frame["op"] == "ir"))
    frame = frame.assign(
        architecture=[f"net{at}" for at in frame.index],
        acc=(90 - 100 / size).round(3),
        ms=size / 10,
        mj=(20 - frame["kernel"] + frame["layers"]).astype(float),
    )
    frame.to_csv(tmp_path / "nets.csv", index=False)
    return tmp_path / "nets.csv"


def named(file: Path, *options: object, latency: str = "ms", ignore: str = "mj,architecture") -> list[object]:
    what = ["--accuracy", "acc", "--latency", latency, *(["--ignore", ignore] if ignore else [])]
    return ["--space", f"table:{file}", *what, *options]


def opaque(value: Any) -> Any:
    """A document whose objects by name are values."""
    if isinstance(value, dict):
        return {key: "by name" if key in BY_NAME else opaque(each) for key, each in value.items()}
    return [opaque(each) for each in value] if isinstance(value, list) else value


def test_the_document_is_what_the_page_lists(run: Run, file: Path) -> None:
    options = (
        "--controller",
        "nsga2",
        "--controller-option",
        "population=4",
        "--trials",
        9,
        "--seed",
        2,
        "--json",
    )
    ended = run(*named(file, *options, "--target-ms", 2.0, "--cap", "ms=4"))
    found = json.loads(ended.out)
    assert (ended.code, fields(opaque(found))) == (Exit.DONE, documented("search (a table)"))
    space = TableSpace(pd.read_csv(file), "acc", ["ms"], ["mj", "architecture"])
    assert found["choices"] == {"op": 2, "kernel": 4, "layers": 3}
    assert (found["accuracy"], found["percent"], found["ignored"]) == ("acc", True, ["mj", "architecture"])
    assert found["latencies"] == [{"column": "ms", "known": True, "target": 2.0, "cap": 4.0}]
    assert (found["controller"], found["settings"], found["seed"]) == ("nsga2", {"population": "4"}, 2)
    assert len(set(found["evaluated"])) == len(found["curve"]) == len(found["curve_lowest"]) == 9
    for one in (*found["front"], found["best"]):
        row = space.row(one["row"])
        assert (one["accuracy"], one["latency"], one["options"]) == (row.accuracy, row.costs, row.options)
    assert found["curve"][-1] == found["hypervolume_ratio"] > found["hypervolume_ratio_lowest"]
    assert found["best"]["latency"]["ms"] <= 2.0
    assert found["regret"] == pytest.approx(0.85 - found["best"]["accuracy"])


def test_it_is_the_search_of_the_python_interface(run: Run, file: Path) -> None:
    space = TableSpace(pd.read_csv(file), "acc", ["ms", "mj"], ["architecture"])
    expected = run_table(space, "regularized_evolution", trials=12, seed=3)
    options = ("--controller", "regularized_evolution", "--trials", 12, "--seed", 3, "--json")
    ended = run(*named(file, *options, latency="ms, mj", ignore="architecture"))
    found = json.loads(ended.out)
    assert found["evaluated"] == list(expected.evaluated)
    assert [one["row"] for one in found["front"]] == list(expected.front)
    assert [one["column"] for one in found["latencies"]] == ["ms", "mj"]


def test_unknown_latencies_are_said_and_cannot_have_a_cap(run: Run, file: Path) -> None:
    ended = run(*named(file, "--latency-unknown", "--trials", 3, "--json", "--controller", "random"))
    assert json.loads(ended.out)["latencies"][0]["known"] is False
    ended = run(*named(file, "--latency-unknown", "--cap", 2))
    assert ended.code == Exit.BAD_INPUT
    assert "ms is unknown before a candidate is evaluated, so it cannot have a cap" in " ".join(
        ended.err.split()
    )


def test_people_see_the_front_the_best_and_what_is_missing(run: Run, file: Path) -> None:
    ended = run(*named(file, "--controller", "random", "--trials", 100, "--target-ms", 2.0, ignore="mj"))
    assert ended.code == Exit.DONE
    assert "24 of 24 rows evaluated by random, " in ended.out
    assert "* most accurate with ms <= 2: row " in ended.out
    assert "the best there is" in ended.out
    assert "rows of the table's own front are found" in ended.out
    assert "hypervolume: 100.00% of that front's; 100.00% above the table's lowest accuracy" in ended.out
    words = " ".join(ended.err.split())
    assert "every point of the space has been looked at: 24 of 100 evaluations" in words
    assert "column architecture has its own option in nearly every row" in words
    quiet = run(*named(file, "--controller", "random", "--trials", 100, "-q", ignore="mj"))
    assert (quiet.code, quiet.err) == (Exit.DONE, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--latency", "ms"), "a search over a table needs --accuracy, a column of"),
        (("--accuracy", "acc"), "needs --latency, a column of"),
        (("--accuracy", "accu", "--latency", "ms"), "did you mean acc?"),
        (("--accuracy", "acc", "--latency", "ms,watt"), "no column 'watt' as latency"),
        (
            ("--accuracy", "acc", "--latency", "ms", "--ignore", "kernel,architecture,mj"),
            "have the same options in all of",
        ),
        (("--accuracy", "acc", "--latency", "ms", "-o", "run"), "keeps no run: -o cannot"),
        (("--accuracy", "acc", "--latency", "ms", "--dataset", "digits"), "--dataset cannot be used"),
        (
            ("--accuracy", "acc", "--latency", "ms", "--target-ms", "0.1"),
            "of nets.csv reaches 0.1 ms",
        ),
        (
            ("--accuracy", "acc", "--latency", "ms", "--target-ms", "mj=1"),
            "mj is no latency column; there are: ms",
        ),
        (("--accuracy", "acc", "--latency", "ms", "--trials", "0"), "trials is 0; it must be 1 or more"),
        (
            ("--accuracy", "acc", "--latency", "ms", "--seed", "-1"),
            "the seed is -1; it must be a whole number, 0 or more",
        ),
        (("--accuracy", "acc", "--latency", "ms", "--cap", "fast"), "'fast' is no number"),
        (("--accuracy", "acc", "--latency", "ms", "--controller", "best"), "unknown controller 'best'"),
        (("--accuracy", "acc", "--latency", "ms", "--controller-option", "x=1"), "has no setting 'x'"),
    ],
)
def test_what_cannot_be_used_is_refused(run: Run, file: Path, options: tuple[str, ...], message: str) -> None:
    ended = run("--space", f"table:{file}", *(() if "--ignore" in options else ("--ignore", "mj")), *options)
    assert (ended.code, ended.out) == (Exit.BAD_INPUT, "")
    assert message in " ".join(ended.err.split())


def test_a_file_that_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    ended = run(*named(tmp_path / "none.csv"))
    assert (ended.code, ended.out) == (Exit.BAD_INPUT, "")
    assert "there is no file" in ended.err
    ended = run("--space", "table:", "--accuracy", "acc", "--latency", "ms")
    assert ended.code == Exit.BAD_INPUT
    assert "give --space table:FILE" in ended.err


def test_ctrl_c_prints_what_was_found(tmp_path: Path) -> None:
    every = pd.DataFrame(list(product(range(9), repeat=4)), columns=list("abcd"))
    frame = every.assign(acc=0.5 + every.sum(axis=1) / 100, ms=1 + every.sum(axis=1))
    frame.to_csv(tmp_path / "large.csv", index=False)
    options = map(str, named(tmp_path / "large.csv", "--controller", "random", "--trials", 6561, ignore=""))
    command = [sys.executable, "-m", "mnas", "search", *options, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "evaluating rows: 0 of 6561\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    found = json.loads(out)
    assert (process.returncode, found["stopped"], found["exhausted"]) == (
        Exit.INTERRUPTED,
        "interrupted",
        False,
    )
    assert len(found["evaluated"]) < 6561
