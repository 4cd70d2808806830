"""Exit codes and messages of the root command, seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controllers.errors import UnknownController
from devices.errors import BadSettings, DeadlineExceeded, RuntimeMissing, WorkerCrashed
from latency_tables.errors import BadModel, MissingOperators
from mnas.cli.app import Exit, exit_code
from mnas.errors import BadInput, Infeasible

COMMAND = [sys.executable, "-m", "mnas"]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("x"), 2),
        (Infeasible("x"), 2),
        (BadModel("x"), 2),
        (BadSettings("x"), 2),
        (UnknownController("x"), 2),
        (MissingOperators(["x"], "t"), 2),
        (WorkerCrashed("x"), 3),
        (DeadlineExceeded("x"), 3),
        (RuntimeMissing("x"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_help_reads_like_a_table_of_contents() -> None:
    done = _run("--help")
    assert done.returncode == 0
    places = [
        done.stdout.index(f"│ {name} ")
        for name in ("profile", "table", "zoo", "search", "finalize", "report", "pick", "demo")
    ]
    assert places == sorted(places)
    assert "Exit codes" in done.stdout


def test_no_arguments_show_the_help() -> None:
    assert "profile" in _run().stdout + _run().stderr


def test_version() -> None:
    done = _run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, "mnas 0.1.0")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("profile",),
        ("profile", "no-such-file.tflite"),
        ("profile", "no-such-file.tflite", "--json"),
        ("table", "show", "no-such-table.db"),
        ("table", "predict", "no-such-table.db", "mobilenetv2"),
        ("zoo", "export", "no-such-network", "-o", "x.tflite"),
        ("pick", "no-such-run", "--under-ms", "20"),
        ("report", "no-such-run"),
        ("finalize", "no-such-run"),
        ("search", "-o", "no-such-run"),
    ],
)
def test_bad_input_ends_in_one_message_and_code_two(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.returncode == Exit.BAD_INPUT
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    job = subprocess.Popen(
        [*COMMAND, "table", "build", "--space", "mnasnet", "-d", "local", "-o", str(tmp_path / "t.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / "t.db").exists() and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == Exit.INTERRUPTED, err
    assert out == ""
    assert "Traceback" not in err
