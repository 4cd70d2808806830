"""A table of a phone that is unplugged, gets hot and reboots in the middle, and of a job that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from devices.bench import watch, worklist
from devices.emulator import EmulatedPhone
from devices.emulator.faults import Fault
from devices.plan import Plan
from latency_tables.build import build
from latency_tables.fitting.joining import is_suspect
from latency_tables.measuring.session import Progress
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network, Origin
from latency_tables.store import LatencyTable
from tests.devices.bench_job import open_phone
from tests.devices.phones import emulated_phone, make_key

PLAN = Plan(passes=2, warmup_runs=0, min_runs=3, per_operator=True, deadline_s=20.0)
ROOT = Path(__file__).parents[2]
#: seconds for which nothing answers
GONE_S = 1.5


def chain(*filters: int) -> Graph:
    """Pointwise convolutions, one after the other."""
    shapes = [(1, 8, 8, channels) for channels in (4, *filters)]
    nodes = [
        Node(
            OpSpec("conv_2d", "float32", (before,), after, kernel=(1, 1), stride=(1, 1), padding="same"),
            (place - 1,),
        )
        for place, (before, after) in enumerate(pairwise(shapes))
    ]
    return Graph((shapes[0],), "float32", tuple(nodes), (len(nodes) - 1,))


NETWORKS = [
    Network("cover-0", chain(8, 16, 8), "cover"),
    Network("cover-1", chain(16, 8, 16), "cover"),
    Network("cover-2", chain(8, 8, 16), "cover"),
    Network("anchor-0", chain(8, 16, 16), "anchor"),
    Network("anchor-1", chain(16, 16, 8), "anchor"),
]
WANTED = sorted((one.name, index) for one in NETWORKS for index in range(PLAN.passes))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(watch, "WARM_S", 0.05)
    monkeypatch.setattr(worklist, "FIRST", 3)
    make_key(tmp_path / ".android/adbkey")


@pytest.fixture
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone(rooted=True, latency="operators") as phone:
        yield phone


@pytest.mark.parametrize("kind", ["unplug", "reboot", "heat"])
def test_what_goes_wrong_with_a_phone_costs_no_pass_and_doubles_none(
    phone: EmulatedPhone, tmp_path: Path, kind: str
) -> None:
    device = open_phone(phone.host, phone.port, 30.0)
    done = 0

    def disturb(at: Progress) -> None:
        nonlocal done
        done = at.done
        if done == 3:
            phone.inject(Fault(kind, seconds=GONE_S))

    try:
        with LatencyTable.create(
            tmp_path / "t.db", Origin({}, device.facts, device.settings), NETWORKS
        ) as table:
            report = build(table, device, PLAN, disturb)
            stored = [(one.network, one.pass_index) for one in table.bursts()]
            assert (report.missing, report.failures) == ((), ())
            assert sorted(set(stored)) == sorted(stored)
            assert set(stored) >= set(WANTED)
            # the phone's operators take a fixed time: nothing of the disturbance is in the latencies
            for network in NETWORKS:
                found = [max(one.samples_ms) for one in table.bursts() if one.network == network.name]
                assert max(found) < 1.05 * min(found)
    finally:
        device.close()
    assert done >= len(WANTED)


def test_a_budget_on_a_phone_keeps_the_batch_that_was_measured(phone: EmulatedPhone, tmp_path: Path) -> None:
    device = open_phone(phone.host, phone.port, 30.0)
    try:
        with LatencyTable.create(
            tmp_path / "t.db", Origin({}, device.facts, device.settings), NETWORKS
        ) as table:
            report = build(table, device, PLAN, budget_s=1e-3)
            assert (report.measured, report.budget_over) == (0, True)
            report = build(table, device, PLAN, budget_s=0.1)
            assert report.budget_over
            assert report.measured == 3  # the first batch, settled by the canary after it
            assert not [one for one in table.bursts() if is_suspect(one)]
            assert build(table, device, PLAN).measured == len(WANTED) - 3
            assert sorted((one.network, one.pass_index) for one in table.bursts()) == WANTED
    finally:
        device.close()


JOB = """
import sys
from pathlib import Path
from devices.bench import watch, worklist
from latency_tables.build import build
from latency_tables.store import LatencyTable
from tests.devices.bench_job import open_phone
from tests.latency_tables.test_build_faults import PLAN
watch.WARM_S, worklist.FIRST, worklist.BATCH_S = 0.05, 2, 0.5
device = open_phone(sys.argv[1], int(sys.argv[2]), 1.0)
try:
    with LatencyTable.open(sys.argv[3]) as table:
        build(table, device, PLAN, lambda at: print(at.done, flush=True))
finally:
    device.close()
"""


def test_a_killed_job_on_a_phone_goes_on(phone: EmulatedPhone, tmp_path: Path) -> None:
    device = open_phone(phone.host, phone.port, 1.0)
    with LatencyTable.create(tmp_path / "t.db", Origin({}, device.facts, device.settings), NETWORKS) as table:
        device.close()
        command = [sys.executable, "-c", JOB, phone.host, str(phone.port), str(tmp_path / "t.db")]
        with subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE) as job:
            assert job.stdout is not None
            while int(job.stdout.readline() or len(WANTED)) < 3:
                pass
            job.send_signal(signal.SIGKILL)
        kept = table.measured()
        assert 3 <= len(kept) < len(WANTED)
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
        stored = [(one.network, one.pass_index) for one in table.bursts()]
        assert sorted(stored) == WANTED
        assert table.missing() == []
