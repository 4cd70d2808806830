"""Exit codes and messages of the root command, seen from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controllers.errors import UnknownController
from devices.errors import BadSettings, DeadlineExceeded, RuntimeMissing, WorkerCrashed
from latency_tables.errors import BadModel, MissingOperators
from mnas.cli.app import Exit, Interrupted, exit_code
from mnas.errors import BadInput, Infeasible
from tests.command_line import invoke

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


INTERRUPTED_AT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv.pop(2) == "module" and runpy.run_module("mnas", run_name="__main__", alter_sys=True)
from mnas.cli import main
main()
"""


@pytest.mark.parametrize("entry", ["script", "module"])
@pytest.mark.parametrize(
    "module", ["mnas.cli.app", "typer", "rich.console", "mnas.cli.commands", "mnas.cli.zoo"]
)
def test_ctrl_c_while_the_command_line_is_loaded_is_no_traceback(entry: str, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, module, entry, "zoo", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


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
        ("report", __file__),
        ("report", "x" * 300),
        ("search", "-o", "x" * 300),
        ("finalize", "x" * 300),
        ("demo", "-o", "x" * 300),
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


@pytest.mark.parametrize("command", ["zoo list", "zoo list --json", "--version"])
def test_results_that_cannot_be_printed_end_in_one_message(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == Exit.BAD_INPUT
    assert re.fullmatch(r"error: .*No space left on device\n", done.stderr)


@pytest.mark.parametrize("command", ["zoo list", "zoo list --json", "zoo --help", "--version"])
def test_a_reader_that_has_seen_enough_is_no_trouble(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *command.split()], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            OSError(28, "No space left on device", "a[b].jsonl"),
            2,
            "error: a[b].jsonl: No space left on device",
        ),
        (
            PermissionError(13, "Permission denied", "x/pareto.csv"),
            2,
            "error: x/pareto.csv: Permission denied",
        ),
        (OSError("a reason without a number"), 2, "error: a reason without a number"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("go on with: mnas x"), 130, "interrupted: go on with: mnas x"),
    ],
)
def test_what_ends_a_command_is_told_in_one_line(
    raised: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> None:
        raise raised

    monkeypatch.setattr("mnas.run.read_run", fail)
    ended = invoke("report", "a-run", monkeypatch=monkeypatch, capsys=capsys)
    assert ended == (code, "", f"{said}\n")
