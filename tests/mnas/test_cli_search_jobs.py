"""`mnas search --jobs 2`, real trainings in real processes, killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mnas.run import read_run
from tests.command_line import Ended, running
from tests.mnas import measured_table

Run = Callable[..., Ended]

run = running("search")


def until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return true()


@pytest.mark.timeout(600)
def test_a_killed_search_leaves_no_process_behind_and_loses_no_result(run: Run, tmp_path: Path) -> None:
    table = measured_table.make(tmp_path / "small.db")
    path = tmp_path / "run"
    command = [sys.executable, "-m", "mnas", "search", "--dataset", "digits", "--table", str(table)]
    command += ["--target-ms", "1", "--steps", "1", "--batch-size", "8", "--trials", "60", "--seed", "3"]
    command += ["--measure-every", "0", "--jobs", "2", "-o", str(path)]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(command, stderr=err, stdout=subprocess.DEVNULL)
    try:
        whole = until(lambda: process.poll() is not None or results(path) >= 3, 400)
        assert whole, (tmp_path / "err").read_text()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(60)
    assert process.returncode == -signal.SIGKILL, (tmp_path / "err").read_text()
    assert len(children) >= 2
    assert until(lambda: not any(alive(child) for child in children), 60)
    kept = read_run(path).results()
    assert len({result.number for result in kept}) == len(kept) >= 3
    trained = sum(result.counts for result in kept)
    assert trained >= 3
    ended = run("--resume", path, "--trials", "60", "--json", "-q", "--controller", "random")
    assert ended.code == 2  # not its own settings; nothing is lost by that
    assert "controller is predictor_guided, not random" in " ".join(ended.err.split())
    assert [result.number for result in read_run(path).results()] == [result.number for result in kept]
    shown = json.loads(invoke_runs(path))
    assert (shown["state"], shown["trained"]) == ("stopped", trained)


def results(path: Path) -> int:
    file = path / "results.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def invoke_runs(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mnas", "runs", "show", str(path), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
