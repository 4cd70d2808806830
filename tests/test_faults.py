"""The fault campaign of benchmarks/faults.py: each kind of fault once, on twenty models, costs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.emulator.faults import KINDS
from tests.benchmark_modules import loaded
from tests.devices.phones import emulated_phone, needs
from tests.devices.sshd import SSHD

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "faults.py"
MODELS, SEED, SECONDS = 20, 3, 2.0
#: what runs side by side: jobs mostly wait, for a lease to end or a phone to cool
LANES = (
    ("heat", "key_revoked", "unplug", "disk_full"),
    ("host_killed", "reboot", "freeze", "corrupt"),
    ("sshd_killed", "runner_crash", "runner_garbage", "slow_link"),
)
ENDS_S = 280.0


@pytest.fixture(scope="module")
def lanes() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """The campaign's processes, by kind of fault."""
    needs("unshare", "mksh", "toybox", "ssh-keygen")
    if SSHD is None:
        pytest.skip("not installed: sshd")
    emulated_phone().close()  # skips where there can be none
    started: dict[str, subprocess.Popen[str]] = {}
    try:
        for kinds in LANES:
            command = [sys.executable, str(SCRIPT), "--json", "--models", str(MODELS), "--seed", str(SEED)]
            command += ["--seconds", str(SECONDS), *(word for kind in kinds for word in ("--kind", kind))]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            started |= dict.fromkeys(kinds, process)
        yield started
    finally:
        for process in set(started.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(scope="module")
def jobs(lanes: dict[str, subprocess.Popen[str]]) -> dict[str, dict[str, Any]]:
    """What became of each kind's job, by kind; what a lane said instead, where it told nothing."""
    found: dict[str, dict[str, Any]] = {}
    for kinds in LANES:
        process = lanes[kinds[0]]
        try:
            out, err = process.communicate(timeout=ENDS_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        try:
            told = {one["kinds"][0]: one for one in json.loads(out)["jobs"]}
        except ValueError:
            told = {}
        found |= {kind: told.get(kind, {"said": err[-3000:]}) for kind in kinds}
    return found


def test_every_kind_of_fault_has_its_turn() -> None:
    script = loaded("faults")
    assert sorted(kind for kinds in LANES for kind in kinds) == sorted(script.KINDS)
    assert set(script.KINDS) == {*KINDS, script.HOST_KILLED, script.SSHD_KILLED}


@pytest.mark.timeout(ENDS_S + 20)
@pytest.mark.parametrize("kind", [kind for kinds in LANES for kind in kinds])
def test_a_fault_costs_nothing(jobs: dict[str, dict[str, Any]], kind: str) -> None:
    job = jobs[kind]
    assert "said" not in job, job["said"]
    counts = {name: job[name] for name in ("lost", "doubled", "wrong", "unrestored", "running")}
    assert counts == dict.fromkeys(counts, 0), job
    assert job["fired"] >= 1, "the fault never happened: the job ended before it"
    assert job["starts"] > 1 or kind != "host_killed"


def test_a_seed_gives_the_same_campaign_and_every_kind_thrice() -> None:
    script = loaded("faults")
    planned = script.jobs(50, 7)
    assert planned == script.jobs(50, 7)
    assert planned != script.jobs(50, 8)
    single = [job.kinds[0] for job in planned[:-1]]
    assert all(single.count(kind) >= 3 for kind in script.KINDS)
    assert (len(planned), len(planned[-1].kinds)) == (51, 20)
    assert all(0 <= place < 1 for job in planned for place in job.places)
    assert set(planned[-1].kinds) <= set(KINDS)
