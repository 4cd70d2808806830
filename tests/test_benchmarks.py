"""Every script in benchmarks/ explains itself, runs tiny, prints JSON alone and its verdict last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmark_modules import FOLDER, loaded

#: the others are what scripts share
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "= options(" in path.read_text())


def _run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def common() -> ModuleType:
    return loaded("common")


def test_a_benchmark_of_theirs_that_hangs_is_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    agreement = loaded("agreement")
    monkeypatch.setattr(agreement, "LAUNCH", "import time; time.sleep(60)")
    monkeypatch.setattr(agreement, "TIMEOUT_S", 0.5)
    arguments = Namespace(cpus=(0,), threads=1, runs=1, folder=tmp_path)
    with pytest.raises(agreement.DeviceTrouble, match=r"more than 0\.5 s on model\.tflite"):
        agreement.theirs(tmp_path / "model.tflite", arguments)


def test_there_are_benchmarks() -> None:
    assert "agreement.py" in {path.name for path in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_names_the_common_options(script: Path) -> None:
    done = _run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
    assert "--tiny" in done.stdout
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tiny_run_prints_one_document_and_its_verdict_last(script: Path) -> None:
    done = _run(script, "--tiny", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["tiny"] is True
    assert document["met"] is None
    assert done.stderr.splitlines()[-1] == f"verdict: -: {document['verdict']}"


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("agreement.py", ("--pairs", "0"), "'0' is no whole number of 1 or more"),
        ("agreement.py", ("--runs", "x"), "'x' is no whole number of 1 or more"),
        ("agreement.py", ("--threads", "0"), "'0' is no whole number"),
        ("agreement.py", ("--threads", "4", "--cpus", "CORE"), "give each thread a core"),
        ("agreement.py", ("--cpus", "a"), "'a' names no cores that can be used here; those are "),
        ("agreement.py", ("--cpus", "99999"), "'99999' names no cores"),
        ("agreement.py", ("--cpus", "CORE,CORE"), "names no cores"),
        ("agreement.py", ("--tiny", "no-such.tflite"), "no-such.tflite: No such file"),
        ("writer.py", ("--cpu", "99999"), "'99999' names no cores"),
        ("table_build.py", ("--operators", "0"), "'0' is no whole number of 1 or more"),
        ("table_build.py", ("--space", "none"), "space 'none'; allowed: mnasnet"),
        ("writer.py", ("--rounds", "0"), "'0' is no whole number of 1 or more"),
        ("predict.py", ("--rows", "0"), "'0' is no whole number of 1 or more"),
        ("search.py", ("--only", "none"), "no table 'none'; there are: fashion-192; "),
        ("search.py", ("--strategies", "none; ppo"), "no strategy 'none'; there are: random; "),
        ("search_tables.py", (), "name a table: fashion-192, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_is_told_from_a_missed_goal(script: str, arguments: tuple[str, ...], message: str) -> None:
    core = str(min(os.sched_getaffinity(0)))
    done = _run(FOLDER / script, *(argument.replace("CORE", core) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("met", "code", "word"), [(True, 0, "met"), (False, 1, "MISSED"), (None, 0, "-")])
def test_the_verdict_is_printed_last_and_decides_the_exit_code(
    common: ModuleType, capsys: pytest.CaptureFixture[str], met: bool | None, code: int, word: str
) -> None:
    with pytest.raises(SystemExit) as ending:
        common.finish(Namespace(json=False, tiny=False), {"ratio": 1.0}, common.Verdict(met, "1.0 of 1.1"))
    assert ending.value.code == code
    assert capsys.readouterr().out == f"verdict: {word}: 1.0 of 1.1\n"


def test_json_goes_alone_to_standard_output(common: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        common.finish(Namespace(json=True, tiny=False), {"ratio": 2.0}, common.Verdict(False, "2 of 1"))
    printed = capsys.readouterr()
    assert ending.value.code == 1
    assert json.loads(printed.out) == {"ratio": 2.0, "tiny": False, "met": False, "verdict": "2 of 1"}
    assert printed.err == "verdict: MISSED: 2 of 1\n"


def test_a_tiny_run_is_never_judged(common: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        common.finish(Namespace(json=False, tiny=True), {}, common.Verdict(False, "far off"))
    assert ending.value.code == 0
    assert "not judged" in capsys.readouterr().out


def test_the_bootstrap_interval_holds_the_median_and_narrows(common: ModuleType) -> None:
    few = [0.9, 1.0, 1.1, 1.2, 0.8]
    low, high = common.bootstrap_median(few)
    assert 0.8 <= low <= 1.0 <= high <= 1.2
    many_low, many_high = common.bootstrap_median(few * 40)
    assert many_high - many_low < high - low
    assert common.bootstrap_median([2.5]) == (2.5, 2.5)
    assert common.bootstrap_median(few, seed=1) == common.bootstrap_median(few, seed=1)
