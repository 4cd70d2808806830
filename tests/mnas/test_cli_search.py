"""`mnas search` as its users see it: what it prints, its JSON fields and their document, its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devices.measurement import Context, DeviceFacts, Pass, Settings
from devices.registry import open_device
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from mnas.cli.app import Exit
from mnas.cli.search import document, outcome
from mnas.least import fastest
from mnas.run import Result, make_run, read_run
from mnas.search_settings import begin
from mnas.tables import TableRequest, networks_of
from tests.command_line import Ended, running
from tests.mnas.documented import documented, fields
from tests.mnas.measured_table import make
from tests.mnas.toy import MacsLatency, ToySpace, accuracy, config, run_search

FACTS = DeviceFacts("local", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
REQUEST = TableRequest.for_space(
    "mnasnet-small-images", resolution=28, width=0.05, channels=1, classes=10, anchors=1
)
NEW = ("--dataset", "digits", "--steps", "1", "--batch-size", "8", "--trials", "2", "--seed", "3")

Run = Callable[..., Ended]


run = running("search")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in which an operator takes a microsecond, and one more per thousand multiplications."""
    path = tmp_path_factory.mktemp("table") / "small.db"
    context = Context(FACTS, Settings(), "2026-01-02T03:04:05+00:00", "xnnpack", 2, 2, 0.0)
    with LatencyTable.create(path, Origin(vars_of(REQUEST), FACTS, Settings()), networks_of(REQUEST)) as made:
        for network in made.networks():
            times = [1e-3 + spec.macs / 1e6 for spec in network.graph.specs]
            burst = Pass(network.name, "0" * 64, 0, (sum(times),) * 3, 0, None, 1.0, 1.0, None, (), context)
            told = [Attribution((node,), time, ("as told",)) for node, time in enumerate(times)]
            made.add(network.name, 0, burst, told)
    return path


def vars_of(request: TableRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__dataclass_fields__}


def test_searches_and_goes_on(run: Run, table: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    options = ("--table", str(table), "--target-ms", "1", "--cap-ms", "1.5", "-o", str(path))
    ended = run(*NEW, *options, "--json")
    assert ended.code == 0, ended.err
    first = json.loads(ended.out)
    assert first["trained"] == first["trials"] == 2
    assert 0 < first["front"][0]["accuracy"] < 1
    assert all(candidate["latency_ms"] <= 1.5 for candidate in first["front"])
    assert "training: 0 of 2, 0 on the front" in ended.err
    assert "training: 2 of 2" in ended.err
    assert fields(first) - {"failures[]", "cap_ms"} <= documented("search")

    settings = tomllib.loads((path / "config.toml").read_text())
    assert (settings["space"], settings["resolution"], settings["width"]) == (
        "mnasnet-small-images",
        28,
        0.05,
    )
    assert (settings["channels"], settings["classes"], settings["device"]) == (1, 10, "local")
    assert settings["training"]["steps"] == 1

    same = run(*NEW, *options, "--json", "--quiet")
    assert (same.code, same.err) == (0, "")
    assert json.loads(same.out) == first

    table.rename(table.with_suffix(".moved"))  # the run has its own copy
    longer = run("-o", str(path), "--trials", "3")
    table.with_suffix(".moved").rename(table)
    assert longer.code == 0, longer.err
    assert "3 trained" in longer.out
    assert f"mnas finalize {path}" in longer.out.replace("\n", "")
    assert len(read_run(path).trained()) == 3


def test_other_settings_are_refused_by_name(run: Run, table: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with make_run(path, config()) as made:
        made.record(Result(0, (0,), "in_8x8x1,cv_r1_k3_s1_c8,fc_2", 0.5, 1.25, "trained", 0.1))
    ended = run("-o", str(path), "--seed", "4", "--target-ms", "2")
    assert (ended.code, ended.out) == (2, "")
    assert "target_ms is 1.5, not 2.0; seed is 0, not 4" in ended.err
    ended = run("-o", str(path), "--table", str(table))
    assert ended.code == 2
    assert "table is not set" in ended.err


def test_an_unreachable_target_is_refused_at_once(run: Run, table: Path, tmp_path: Path) -> None:
    ended = run(*NEW, "--table", str(table), "--target-ms", "0.001", "-o", str(tmp_path / "run"))
    assert (ended.code, ended.out) == (2, "")
    assert "no architecture of mnasnet-small-images at 28 pixels reaches 0.001 ms" in ended.err
    assert re.search(r"the fastest takes 0\.\d+ ms", ended.err)
    assert not (tmp_path / "run").exists()


def test_a_table_measured_under_other_conditions_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    with closing(open_device("local")) as device:
        facts = replace(device.facts, runtime_version="0.0.1")
    table = make(tmp_path / "old.db", facts=facts)
    options = (*NEW, "--table", str(table), "--target-ms", "1", "-o", str(tmp_path / "run"), "-q")
    ended = run(*options)
    assert (ended.code, ended.out) == (2, "")
    assert "the table's is '0.0.1'" in ended.err
    assert "in spite of that: --across runtime_version" in " ".join(ended.err.split())
    assert not (tmp_path / "run").exists()
    ended = run(*options, "--across", "weather")
    assert (ended.code, "'weather' is nothing in which devices differ" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "also needs --dataset, --target-ms, --table"),
        (("--dataset", "digits", "--target-ms", "1"), "also needs --table"),
        (("--dataset", "digits", "--target-ms", "1", "--measure"), "also needs --space"),
        (
            ("--dataset", "digits", "--target-ms", "1", "--table", "none.db"),
            "there is no latency table none.db",
        ),
        (("--dataset", "mnist", "--target-ms", "1", "--table", "TABLE"), "no dataset 'mnist'"),
        (("--dataset", "digits", "--target-ms", "0", "--table", "TABLE"), "target_ms is 0.0"),
        (
            ("--dataset", "digits", "--target-ms", "3", "--cap-ms", "2", "--table", "TABLE"),
            "below target_ms 3",
        ),
        (("--dataset", "digits", "--target-ms", "3", "--table", "TABLE", "--trials", "0"), "trials is 0"),
        (("--dataset", "digits", "--target-ms", "3", "--table", "TABLE", "--steps", "0"), "steps"),
        (
            ("--dataset", "digits", "--target-ms", "3", "--table", "TABLE", "--width", "1"),
            "width 0.05, not 1.0",
        ),
        (
            ("--dataset", "digits", "--target-ms", "3", "--table", "TABLE", "--dtype", "int8"),
            "dtype float32, not int8",
        ),
        (
            ("--dataset", "digits", "--target-ms", "3", "--table", "TABLE", "--controller", "annealing"),
            "random, nsga2",
        ),
        (("--dataset", "digits", "--target-ms", "3", "--table", "TABLE", "--measure"), "not from both"),
        (("--dataset", "digits", "--target-ms", "3", "--measure", "--space", "nasnet"), "space 'nasnet'"),
    ],
)
def test_bad_input_ends_in_one_message(
    run: Run, table: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    given = [str(table) if option == "TABLE" else option for option in options]
    ended = run(*given, "-o", str(tmp_path / "run"))
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err.replace("\n", " ")
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


def test_failures_and_giving_up_are_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> float:
        raise OSError("no space left on device")

    with make_run(tmp_path / "a", config(trials=9)) as made:
        status = run_search(made, fail)
        assert outcome(made, status) is Exit.FAILURES
        assert "5 evaluations failed in a row: 0 of 9 candidates are trained" in capsys.readouterr().err
        shown = document(made, status)
    assert shown["failures"][0]["message"] == "OSError: no space left on device"
    assert shown["best_under_target"] is None
    assert fields(shown) - documented("search") == {"best_under_target", "front[]"}  # null has no fields
    _, least = fastest(ToySpace(), MacsLatency().predict_ms)
    with make_run(tmp_path / "b", config(trials=1, cap_ms=least, target_ms=least)) as made:
        status = run_search(made)
        assert status.count("infeasible") == 100
        assert outcome(made, status) is Exit.FAILURES
        assert f"100 proposals were above the cap of {least:g} ms: raise it" in capsys.readouterr().err
    with make_run(tmp_path / "c", config(trials=100, target_ms=1.0)) as made:
        status = run_search(made, accuracy, stages=1)
        assert outcome(made, status) is Exit.DONE
        assert "18 of 100 candidates are trained. There is nothing more to find" in capsys.readouterr().err


def test_interrupting_keeps_what_is_there_and_says_how_to_go_on(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-m", "mnas", "search", *NEW, "--trials", "50", "--table", str(table)]
    process = subprocess.Popen(
        [*command, "--target-ms", "1", "-o", str(path)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    deadline = time.monotonic() + 200
    try:
        while process.poll() is None and time.monotonic() < deadline and not _lines(path / "results.jsonl"):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"interrupted: everything measured so far is kept; go on with: mnas search --resume {path}" in err
    assert "the table's is 'a CPU'" in err
    assert "Traceback" not in err
    assert len(read_run(path).trained()) >= 1


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_settings_that_nothing_could_start_with_can_be_corrected(
    run: Run, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a run"
    new = (*NEW[:-4], "--trials", "1", "--table", str(table), "--target-ms", "1", "-o", str(path))
    for share, count in (("0.00001", 0), ("0.99999", 1437)):
        ended = run(*new, "--validation-share", share)
        assert (ended.code, ended.out) == (2, "")
        assert f"{count} of 1437 images for validation" in ended.err
        assert not path.exists()
    given = {"dataset": "digits", "table": str(table), "target_ms": 1.0, "trials": 1}
    with make_run(path, begin(given, {"steps": 1, "batch_size": 8}), table):
        pass  # killed before there was a result
    ended = run("-o", str(path), "--validation-share", "0.00002")
    assert "0 of 1437 images for validation" in ended.err
    assert read_run(path).config.validation_share == 0.1
    ended = run("-o", str(path), "--validation-share", "0.2", "--epochs", "0.01", "--json")  # the rest stays
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["trained"] == 1
    made = read_run(path).config
    assert (made.target_ms, made.training["epochs"], "steps" in made.training) == (1, 0.01, False)
    assert json.loads(ended.out)["next"] == f"mnas finalize '{path}'"
    assert "other settings" in run("-o", str(path), "--validation-share", "0.1").err


def test_measuring_candidates_instead_of_a_table(run: Run, tmp_path: Path) -> None:
    small = ("--space", "mnasnet-small-images", "--resolution", "28", "--width", "0.05")
    path = tmp_path / "run"
    ended = run(*NEW, *small, "--measure", "--target-ms", "50", "--trials", "1", "-o", str(path), "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["trained"] == 1
    assert 0 < found["best_under_target"]["latency_ms"] < 50
    assert read_run(path).config.latency == "device"
    assert not (path / "table.db").exists()


@pytest.mark.parametrize("place", ["/etc/passwd/x", "/proc/x", "x" * 300])
def test_places_where_no_run_can_be_end_in_one_message(run: Run, table: Path, place: str) -> None:
    ended = run(*NEW, "--table", str(table), "--target-ms", "1", "-o", place)
    assert (ended.code, ended.out) == (2, "")
    assert place.removesuffix("/x") in ended.err
    assert "Traceback" not in ended.err


def test_a_full_disk_ends_in_one_message(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with make_run(path, config()):
        pass
    (path / "log.txt").unlink()
    (path / "log.txt").symlink_to("/dev/full")
    ended = run("-o", str(path))
    assert (ended.code, ended.out) == (2, "")
    assert f"{path / 'log.txt'}: No space left on device" in ended.err


def test_help_shows_an_example(run: Run) -> None:
    assert "Example: mnas search --dataset digits" in run("--help").out
