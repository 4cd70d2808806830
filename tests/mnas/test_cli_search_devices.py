"""`mnas search` over several devices and costs, what it refuses, and how it goes on: as its users see it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from controllers import registry
from devices.measurement import DeviceFacts
from devices.registry import open_device
from mnas.cli import runs as cli_runs
from mnas.cli import search as cli_search
from mnas.config import RunConfig
from mnas.run import Result, make_run, read_run
from mnas.search_settings import begin
from mnas.wanted import read
from tests.command_line import Ended, running
from tests.mnas import measured_table
from tests.mnas.documented import documented, fields
from tests.mnas.toy import config

Run = Callable[..., Ended]

run = running("search")

NEW = ("--dataset", "digits", "--steps", "1", "--batch-size", "8", "--seed", "3")


@pytest.fixture(scope="module")
def here() -> DeviceFacts:
    with closing(open_device("local")) as device:
        return device.facts


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, here: DeviceFacts) -> tuple[str, str]:
    """One of this machine, and an int8 one of a board that is not there."""
    folder = tmp_path_factory.mktemp("tables")
    board = replace(here, address="board", cpu_model="a board's")
    first = measured_table.make(folder / "here.db", facts=here)
    return str(first), str(measured_table.make(folder / "board.db", dtype="int8", facts=board))


@pytest.fixture(scope="module")
def two(tables: tuple[str, str]) -> tuple[str, ...]:
    return ("--table", f"one={tables[0]}", "--table", f"two={tables[1]}")


def begun(tables: tuple[str, str], targets: list[str], caps: list[str], **given: Any) -> RunConfig:
    words = read([f"one={tables[0]}", f"two={tables[1]}"], targets, caps, [])
    return begin({"dataset": "digits", **words, **given}, {"steps": 1, "batch_size": 8})


@pytest.mark.timeout(900)  # two trainings, minutes where the machine is busy
def test_searches_for_two_devices_and_keeps_both_tables(
    run: Run, two: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    asked = (*two, "--target-ms", "one=0.6", "--cap", "two=0.9", "--objective", "parameters", "--trials", "2")
    asked += ("--measure-every", "0", "--controller", "nsga2", "--controller-option", "population=4")
    ended = run(*NEW, *asked, "-o", path, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert [(one["name"], one["device"], one["objective"]) for one in found["costs"]] == [
        ("latency_ms", "one", True),
        ("latency_ms:two", "two", False),
        ("parameters", None, True),
    ]
    assert found["trained"] == 2
    for one in found["front"]:
        costs = {cost["name"]: cost["value"] for cost in one["costs"]}
        assert costs["latency_ms:two"] <= 0.9
        assert costs["parameters"] > 1000
    assert fields(found) - {"failures[]", "best_under_target"} <= documented("search")

    made = read_run(path)
    assert (path / "table-two.db").exists()
    assert made.config.settings == registry.settled("nsga2", {"population": 4})
    also = made.config.also["latency_ms:two"]
    assert (also.dtype, made.config.dtype, also.device) == ("int8", "float32", "board")

    same = run(*NEW, *asked, "-o", path, "--json", "-q")
    assert (same.code, same.err, json.loads(same.out)) == (0, "", found)
    resumed = run("--resume", path, "--json", "-q")
    assert json.loads(resumed.out) == found
    other = run("--resume", path, "--cap", "two=0.8")
    assert other.code == 2
    assert "cap of latency_ms:two is 0.9, not 0.8" in " ".join(other.err.split())
    text = run("--resume", path).out
    assert "two ms" in text
    assert "at or under 0.6 ms on one" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--target-ms", "three=1"),
            r"three is neither the name of a table nor a cost; tables are named one, two",
        ),
        (("--target-ms", "1"), r"does not say of which device; there are one, two"),
        (("--target-ms", "one=0.6", "--cap", "two=0.001"), "reaches 0.001 ms on two"),
        (("--target-ms", "one=0.6", "--cap", "parameters=10"), "reaches 10 parameters"),
        (("--target-ms", "one=0.6", "--target-ms", "two=0.0001"), "reaches 0.0001 ms on two"),
        (("--target-ms", "one=0.6", "--cap", "energy_mj:two=5"), "does not know energy_mj:two"),
        (("--target-ms", "one=0.6", "--reward", "steep"), "reward 'steep'; allowed: soft, hard"),
        (("--target-ms", "one=0.6", "--alpha", "0.5"), "alpha is 0.5; it must be 0 or less"),
        (("--target-ms", "one=0.6", "--measure-every", "-1"), "measure_every is -1"),
        (("--target-ms", "one=0.6", "--jobs", "0"), "greater than or equal to 1"),
        (
            ("--target-ms", "one=0.6", "--controller", "nsga2", "--controller-option", "size=3"),
            "nsga2 has no setting 'size'",
        ),
        (("--target-ms", "one=0.6", "--controller-option", "population"), "give KEY=VALUE"),
        (("--target-ms", "one=0.6", "--accuracy", "acc"), "--accuracy: only for --space table:FILE"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    run: Run, two: tuple[str, ...], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    ended = run(*NEW, *two, *options, "-o", tmp_path / "run")
    assert (ended.code, ended.out) == (2, "")
    assert re.search(message, " ".join(ended.err.split())), ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


def test_tables_must_be_of_one_space(run: Run, tables: tuple[str, str], built: Path, tmp_path: Path) -> None:
    """The other one is for three channels."""
    asked = ("--table", f"one={tables[0]}", "--table", f"two={built}", "--target-ms", "one=0.6")
    ended = run(*NEW, *asked, "-o", tmp_path / "run")
    assert ended.code == 2
    assert "was made for channels 3, not 1" in " ".join(ended.err.split())


def test_a_name_of_the_inventory_is_the_device(tables: tuple[str, str], tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text('[devices.two]\naddress = "ssh://nobody@127.0.0.1:9"\n')
    words = read([f"one={tables[0]}", f"two={tables[1]}"], ["one=0.6", "two=0.9"], [], [])
    made = begin({"dataset": "digits", **words}, {}, bench)
    assert made.also["latency_ms:two"].device == "two"
    assert begun(tables, ["one=0.6", "two=0.9"], []).also["latency_ms:two"].device == "board"


def test_resuming_needs_a_run(run: Run, tmp_path: Path) -> None:
    ended = run("--resume", tmp_path / "nothing")
    assert (ended.code, ended.out) == (2, "")
    assert "is not a run directory" in " ".join(ended.err.split())
    assert run().code == 2
    with make_run(tmp_path / "run", config()) as made:
        made.record(Result(0, (0,), "in_8x8x1,cv_r1_k3_s1_c8,fc_2", 0.5, 1.25, "trained", 0.1))
    both = run("--resume", tmp_path / "run", "-o", tmp_path / "other")
    assert (both.code, "leave -o" in both.err) == (2, True)


def test_help_lists_the_strategies(run: Run) -> None:
    text = " ".join(run("--help").out.replace("│", " ").split())
    assert all(name in text for name in registry.names())


def shown() -> list[str]:
    """Every `mnas search` and `mnas runs` command line of the README and of the pages about searching."""
    root = Path(__file__).parents[2]
    pages = (root / "README.md", *sorted((root / "docs").glob("*search*.md")))
    text = "\n".join(page.read_text() for page in pages)
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    found = re.findall(r"^mnas ((?:search|runs) .*)", blocks, re.MULTILINE)
    assert len(found) > 3
    return found


@pytest.mark.parametrize("line", shown())
def test_every_command_line_in_the_documents_can_be_parsed(line: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (cli_search, cli_runs):
        module.register(app)
    command: Any = typer.main.get_command(app)
    words = shlex.split(line.partition(">")[0], comments=True)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    with command.make_context(command.name, words):
        pass
