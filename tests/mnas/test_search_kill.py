"""A search killed at any moment loses nothing, repeats nothing and ends as if it had not been killed."""

from __future__ import annotations

import json
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("toy.py")
TRIALS = 16
CAP_MS = 2.2


def start(path: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, SCRIPT, path, "--trials", str(TRIALS), "--cap", str(CAP_MS), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def finish(path: Path, *options: str) -> None:
    process = start(path, *options)
    process.communicate(timeout=60)
    assert process.returncode == 0


def rows(path: Path) -> list[dict[str, object]]:
    file = path / "results.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def evaluations(path: Path) -> list[str]:
    log = Path(f"{path}.evaluations")
    return log.read_text().splitlines() if log.exists() else []


def story(path: Path) -> list[tuple[object, ...]]:
    """What a search did, without the numbers and times of its trials."""
    found = rows(path)
    by_number = {row["number"]: row["architecture"] for row in found}
    return [
        (
            row["architecture"],
            row["state"],
            row["accuracy"],
            row["latency_ms"],
            row["message"],
            by_number.get(row["repeats"]),
        )
        for row in found
    ]


class Lives:
    """A run directory, checked after each life of a process on it, with so many evaluations at once."""

    def __init__(self, path: Path, slots: int = 1) -> None:
        self.path = path
        self.slots = slots
        self.rows = rows(path)
        self.begun = evaluations(path)
        self.repeated = 0

    def ended(self) -> None:
        now, begun = rows(self.path), evaluations(self.path)
        assert now[: len(self.rows)] == self.rows, "a result was lost or changed"
        new = begun[len(self.begun) :]
        known = {row["architecture"] for row in self.rows}
        assert not known & set(new), "a finished candidate was trained again"
        again = set(new) & set(self.begun)
        in_flight = self.begun[-self.slots :] if self.slots == 1 else self.begun
        assert again <= set(in_flight), "only what was in flight is trained again"
        assert len(new) == len(set(new)), "one candidate was trained twice"
        self.repeated += len(again)
        self.rows, self.begun = now, begun


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    for name in ("random", "nsga2", "tpe"):
        finish(folder / name, "--controller", name)
    stories = {name: story(folder / name) for name in ("random", "nsga2", "tpe")}
    assert {entry[1] for entry in stories["random"]} == {"trained", "failed", "infeasible"}
    return stories


@pytest.mark.parametrize("controller", ["random", "nsga2", "tpe"])
def test_ten_random_moments_of_each_strategy(
    tmp_path: Path, controller: str, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    rng = random.Random(controller)
    kills, number = 0, 0
    while kills < 10:
        number += 1
        path = tmp_path / f"run{number}"
        lives = Lives(path)
        while kills < 10:
            process = start(path, "--controller", controller, "--sleep", "0.02")
            assert process.stdout is not None
            select.select([process.stdout], [], [], 60)  # from here on it holds the directory
            time.sleep(rng.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
            lives.ended()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
            kills += 1
        finish(path, "--controller", controller)
        lives.ended()
        assert story(path) == undisturbed[controller]


@pytest.mark.parametrize(
    "point", ["evaluate:2", "record:1", "record:5", "note:4", "note:7", "tell:1", "tell:5"]
)
def test_every_point_between_asking_and_telling(
    tmp_path: Path, point: str, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    """`tell` is the point after the result is on the disk and before the study knows it."""
    path = tmp_path / "run"
    process = start(path, "--stop", point)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    finish(path)
    assert story(path) == undisturbed["random"]
    assert len(evaluations(path)) <= len(set(evaluations(path))) + 1


@pytest.mark.parametrize("point", ["queue:1", "note:1", "close:1"])
def test_killed_again_while_it_closes_what_the_first_kill_left(
    tmp_path: Path, point: str, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    path = tmp_path / "run"
    for stop in ("evaluate:3", point, point):
        process = start(path, "--stop", stop)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    finish(path)
    assert story(path) == undisturbed["random"]
    assert len(evaluations(path)) == len(set(evaluations(path))) + 1


def test_killed_before_telling_nothing_is_evaluated_twice(tmp_path: Path) -> None:
    path = tmp_path / "run"
    start(path, "--stop", "tell:4").communicate(timeout=60)
    assert len(rows(path)) == 4
    finish(path)
    assert len(evaluations(path)) == len(set(evaluations(path)))


def test_resumes_over_lines_torn_at_any_byte(
    tmp_path: Path, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    """What a disk that lost power may leave: the last lines of journal and results half written."""
    path = tmp_path / "run"
    for cut in (1, 7, 40):
        start(path, "--stop", "tell:2").communicate(timeout=60)
        results = path / "results.jsonl"
        results.write_bytes(results.read_bytes()[:-cut])
        journal = path / "journal.log"
        journal.write_bytes(journal.read_bytes() + b'{"op_code":5,"worker_id":"x'[: cut - 1])
    finish(path)
    assert story(path) == undisturbed["random"]


def test_several_at_once_killed_at_every_point_lose_and_double_nothing(tmp_path: Path) -> None:
    """In this order, so that each of the last three finds what the one before it left in flight."""
    path = tmp_path / "run"
    lives = Lives(path, slots=3)
    for stop in ("record:2", "tell:2", "evaluate:5", "queue:2", "close:2", "note:2"):
        process = start(path, "--slots", "3", "--sleep", "0.01", "--stop", stop)
        process.communicate(timeout=60)
        lives.ended()
        assert process.returncode == -signal.SIGKILL
    finish(path, "--slots", "3")
    lives.ended()
    found = rows(path)
    assert sum(row["state"] == "trained" and row["repeats"] is None for row in found) == TRIALS
    assert len({row["number"] for row in found}) == len(found)
    first = [row["architecture"] for row in found if row["repeats"] is None]
    assert len(first) == len(set(first))
    evaluated = {row["architecture"] for row in found if row["state"] != "infeasible"}
    assert evaluated == set(evaluations(path))
