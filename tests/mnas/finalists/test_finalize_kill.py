"""Finalizing that is killed at any moment loses nothing, trains nothing twice and ends as if undisturbed."""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.finalists.ledger import Ledger
from mnas.jsonl import read_jsonl
from tests.mnas import finished

SCRIPT = "tests.mnas.finalists.light_finalize"
ROOT = Path(__file__).parents[3]
KILLS = 5


def start(path: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", SCRIPT, path, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def finish(path: Path) -> None:
    process = start(path)
    process.communicate(timeout=60)
    assert process.returncode == 0


def story(path: Path) -> list[tuple[object, ...]]:
    """What finalizing found out, without the measuring that was cut off."""
    records = Ledger(path / "finalists.jsonl").read()
    assert not records.troubles
    return [
        (one.name, one.dtype, one.seeds, one.model, one.accuracies, one.measurement)
        for one in records.finals()
    ]


def lines(path: Path) -> list[object]:
    file = path / "finalists.jsonl"
    return list(read_jsonl(file)) if file.exists() else []


def begun(path: Path) -> list[str]:
    log = Path(f"{path}.trainings")
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    finished.searched(path, finished.POINTS)
    finish(path)
    assert len(begun(path)) == 6
    found = story(path)
    assert len(found) == 6
    assert all(len(accuracies) == 2 and measured for *_, accuracies, measured in found)  # type: ignore[arg-type]
    return found


def test_killed_at_random_moments(tmp_path: Path, undisturbed: list[tuple[object, ...]]) -> None:
    rng = random.Random(0)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        path = tmp_path / f"run{number}"
        finished.searched(path, finished.POINTS)
        for _ in range(KILLS):
            kept, trained = lines(path), {f"{one['name']}, seed {one['seed']}" for one in records(path)}
            before = begun(path)
            process = start(path, "--sleep", "0.06")
            assert process.stdout is not None
            select.select([process.stdout], [], [], 60)  # from here on it holds the run
            time.sleep(rng.uniform(0.2, 1.2))
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
            assert lines(path)[: len(kept)] == kept, "a record was lost or changed"
            assert not trained & set(begun(path)[len(before) :]), "something was trained twice"
            if process.returncode == 0:
                break
            kills += 1
        finish(path)
        assert story(path) == undisturbed
        assert len(begun(path)) <= len(set(begun(path))) + kills


def records(path: Path) -> list[dict[str, object]]:
    return [line for line in lines(path) if isinstance(line, dict) and line["record"] == "trained"]
