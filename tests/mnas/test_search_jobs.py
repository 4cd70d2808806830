"""A search with several workers loses nothing and does nothing twice, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from controllers.seeded import ABANDONED
from mnas.run import make_run, read_run
from mnas.search import search
from mnas.study import NAME, Journal
from tests.mnas import toy, toy_jobs
from tests.mnas.toy import config

TRIALS = 12
JOBS = 2
STATES = {"trained": TrialState.COMPLETE, "infeasible": TrialState.PRUNED, "failed": TrialState.FAIL}


def start(path: Path, *options: str) -> subprocess.Popen[str]:
    script = Path(toy_jobs.__file__)
    return subprocess.Popen(
        [sys.executable, script, path, "--trials", str(TRIALS), "--jobs", str(JOBS), *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(script.parents[2])},
        start_new_session=True,
    )


def finish(path: Path, *options: str) -> None:
    process = start(path, *options)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")


def rows(path: Path) -> list[dict[str, object]]:
    file = path / "results.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def evaluations(path: Path) -> Counter[str]:
    log = Path(f"{path}.evaluations")
    return Counter(log.read_text().splitlines() if log.exists() else [])


def check_whole(path: Path, repeated: int = 0, trained: int = TRIALS) -> None:
    """Every result is there once, and the study knows the same.

    Args:
        path: of the run.
        repeated: evaluations that may have begun twice: what was running when a process was killed.
        trained: candidates that were asked for.
    """
    found = rows(path)
    firsts = [row for row in found if row["repeats"] is None]
    assert len({row["number"] for row in found}) == len(found)
    assert len({row["architecture"] for row in firsts}) == len(firsts)
    assert sum(row["state"] == "trained" for row in firsts) == trained
    for row in firsts:
        assert row["accuracy"] == (toy.accuracy(row["architecture"]) if row["state"] == "trained" else None)
    begun = evaluations(path)
    assert set(begun) == {row["architecture"] for row in firsts if row["state"] != "infeasible"}
    assert begun.total() <= len(begun) + repeated
    storage = JournalStorage(Journal(str(path / "journal.log")))
    trials = optuna.load_study(study_name=NAME, storage=storage).get_trials()
    told = {trial.number: trial for trial in trials if ABANDONED not in trial.user_attrs}
    assert {row["number"]: STATES[str(row["state"])] for row in found} == {
        number: trial.state for number, trial in told.items()
    }
    for row in found:
        if row["state"] == "trained":
            assert told[row["number"]].values == [row["accuracy"], row["latency_ms"]]


def story(path: Path) -> set[tuple[object, ...]]:
    """What a search found out, without order, numbers and times."""
    return {
        (row["architecture"], row["state"], row["accuracy"], row["latency_ms"])
        for row in rows(path)
        if row["repeats"] is None
    }


def test_it_finds_out_what_a_search_in_one_process_does(tmp_path: Path) -> None:
    """With `random`, whose proposals hang on no result: all but those of the last moments."""
    finish(tmp_path / "two")
    check_whole(tmp_path / "two")
    evaluator = toy_jobs.Toy(tmp_path / "log", 0.0, deadly=False, on_step=lambda *_: None)
    with make_run(tmp_path / "one", config(trials=TRIALS, cap_ms=2.2)) as run:
        search(toy.ToySpace(), "random", accuracy=evaluator, latency=toy.MacsLatency(), run=run)
    one, two = story(tmp_path / "one"), story(tmp_path / "two")
    assert len(one ^ two) <= 2 * JOBS
    assert len(one & two) >= TRIALS


@pytest.mark.parametrize(
    ("controller", "lives"), [("random", ("tell:2", "next:4", "record:3")), ("tpe", ("next:4", "tell:2"))]
)
def test_killed_again_and_again_nothing_is_lost_or_doubled(
    tmp_path: Path, controller: str, lives: tuple[str, ...]
) -> None:
    path = tmp_path / "run"
    kept: list[dict[str, object]] = []
    for life in lives:
        process = start(path, "--controller", controller, "--stop", life)
        workers: list[psutil.Process] = []
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                workers = psutil.Process(process.pid).children() or workers
            time.sleep(0.05)
        assert process.communicate() == (None, "")
        assert process.returncode == -signal.SIGKILL
        assert psutil.wait_procs(workers, timeout=20)[1] == []
        assert rows(path)[: len(kept)] == kept
        kept = rows(path)
    finish(path, "--controller", controller)
    assert rows(path)[: len(kept)] == kept
    check_whole(path, repeated=JOBS * len(lives))


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start(path, "--step-s", "0.1")
    while len(rows(path)) < 4:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1
    kept = rows(path)
    assert len(kept) >= 4
    finish(path)
    assert rows(path)[: len(kept)] == kept
    check_whole(path, repeated=JOBS)


def test_workers_that_die_cost_their_trial(tmp_path: Path) -> None:
    path = tmp_path / "run"
    finish(path, "--deadly", "--trials", "30")
    check_whole(path, trained=30)
    messages = {
        toy.accuracy(row["architecture"]) > toy_jobs.DEADLY: str(row["message"])
        for row in rows(path)
        if row["state"] == "failed" and row["repeats"] is None
    }
    assert messages[False] == "TrainingFailed: as told"
    assert "was killed (SIGKILL), most likely because memory ran out" in messages[True]
    assert "WorkerDied" in read_run(path).log_file.read_text()
