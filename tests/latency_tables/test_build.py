from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from devices.errors import BadSettings, ProfilerUnavailable
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, OperatorTime, Pass, Settings
from devices.plan import Plan
from devices.registry import open_device
from latency_tables.build import PLAN, BuildReport, Progress, build
from latency_tables.errors import BadTable
from latency_tables.measuring import session
from latency_tables.measuring.alone import alone
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network, Origin
from latency_tables.status import status_of
from latency_tables.storage.lock import exclusive
from latency_tables.store import LatencyTable
from tests.latency_tables import desk

FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")


def chain(*sizes: int) -> Graph:
    """Logistics of vectors, told apart by an operator each of its size on an input of its own."""
    specs = [OpSpec("logistic", "float32", ((1, size),), (1, size)) for size in sizes]
    nodes = tuple(Node(spec, (-1 - index,)) for index, spec in enumerate(specs))
    return Graph(tuple((1, size) for size in sizes), "float32", nodes, tuple(range(len(sizes))))


NETWORKS = [
    Network("cover-0", chain(100, 200), "cover"),
    Network("cover-1", chain(300, 200), "cover"),
    Network("anchor-0", chain(100, 300), "anchor"),
]


class Desk:
    """A device that answers at once: operators take the microseconds of their number, some models fail."""

    def __init__(self, failing: Sequence[str] = (), failures: int = 10**6, rows: int = 2) -> None:
        self.facts = FACTS
        self.settings = Settings()
        self.seen: list[str] = []
        self._failing = failing
        self._failures = failures
        self._rows = rows

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        assert plan.passes == 1
        for model in models:
            self.seen.append(model.name)
            if model.name in self._failing and self._failures > 0:
                self._failures -= 1
                yield Failure(model.name, model.sha256, "WorkerCrashed", f"{model.name} ended the worker")
                continue
            rows = tuple(OperatorTime(index, "Sigmoid (NC)", True, 0.1) for index in range(self._rows))
            context = Context(FACTS, self.settings, "2026-01-02T03:04:05+00:00", "xnnpack", 2, 2, 0.0)
            yield Pass(model.name, model.sha256, 0, (0.3,) * 5, 0, None, 1.0, 1.0, None, rows, context)

    def close(self) -> None:
        pass


@pytest.fixture
def table(tmp_path):
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        yield made


def test_every_network_is_measured_in_every_pass(table):
    device = Desk()
    report = build(table, device, replace(PLAN, passes=4))
    assert table.measured() == {(one.name, index) for one in NETWORKS for index in range(4)}
    assert (report.measured, report.operators, report.missing, report.failures) == (12, 3, (), ())
    orders = {tuple(device.seen[start : start + 3]) for start in range(0, 12, 3)}
    assert len(orders) > 1


def test_progress_counts_up_to_the_total(table):
    seen: list[Progress] = []
    build(table, Desk(), replace(PLAN, passes=2), seen.append)
    assert [one.done for one in seen] == list(range(7))
    assert {one.total for one in seen} == {6}


def test_a_second_call_measures_only_what_is_missing(table):
    build(table, Desk(), replace(PLAN, passes=1))
    device = Desk()
    assert build(table, device, replace(PLAN, passes=1)).measured == 0
    assert device.seen == []
    assert build(table, device, replace(PLAN, passes=3)).measured == 6


def test_a_failure_is_a_value_and_its_operators_are_missing(table):
    report = build(table, Desk(failing=["cover-1"]), replace(PLAN, passes=2))
    assert report.missing == ()  # the anchor has both of its operators
    (failure,) = report.failures
    assert (failure.network, failure.error) == ("cover-1", "WorkerCrashed")
    assert table.measured() == {(name, index) for name in ("cover-0", "anchor-0") for index in range(2)}


def test_operators_that_no_other_network_has_are_reported_missing(table):
    unwritten = alone(OpSpec.parse("logistic/float32/1x300/1x300")).name
    report = build(table, Desk(failing=["cover-1", "anchor-0", unwritten]), replace(PLAN, passes=1))
    assert report.missing == ("logistic/float32/1x300/1x300",)
    assert len(report.failures) == 3


def test_a_failure_that_passes_leaves_no_trace(table):
    report = build(table, Desk(failing=["cover-1"], failures=1), replace(PLAN, passes=2))
    assert report.failures == ()
    assert len(table.measured()) == 6


def test_a_network_that_keeps_failing_is_tried_twice(table):
    device = Desk(failing=["cover-1"])
    build(table, device, replace(PLAN, passes=3))
    assert device.seen.count("cover-1") == 2


def test_where_profiles_fit_no_operators_networks_are_measured_whole_and_operators_alone(table):
    report = build(table, Desk(rows=3), replace(PLAN, passes=1))
    assert set(report.refused) == {one.name for one in NETWORKS}
    assert all("cannot be attributed" in reason for reason in report.refused.values())
    assert table.observations() == []
    assert (report.failures, report.missing) == ((), ())
    assert {name for name, _ in table.measured()} >= {one.name for one in NETWORKS}


def test_another_device_is_refused_by_what_differs(table):
    device = Desk()
    device.facts = replace(FACTS, cpu_model="another CPU", runtime_version="3.0", memory_bytes=1)
    device.settings = Settings(threads=2)
    with pytest.raises(BadTable) as caught:
        build(table, device)
    for part in ("cpu_model is 'another CPU', the table's is 'a CPU'", "runtime_version", "threads is 2"):
        assert part in str(caught.value)
    assert "memory" not in str(caught.value)
    assert device.seen == []


def test_a_new_python_changes_no_table_but_a_new_system_does(table):
    build(table, Desk(), replace(PLAN, passes=1))
    device = Desk()
    device.facts = replace(FACTS, python_version="3.13", memory_bytes=2**29)
    assert build(table, device, replace(PLAN, passes=2)).measured == 3
    device.facts = replace(FACTS, operating_system="an OS, Linux 6.2")
    with pytest.raises(BadTable, match=r"operating_system is 'an OS, Linux 6\.2', the table's is 'an OS'"):
        build(table, device, replace(PLAN, passes=3))


def test_another_governor_is_refused_before_a_pass_is_kept(table):
    build(table, desk.Desk(governor="performance"), replace(PLAN, passes=1))
    before = table.measured()
    with pytest.raises(BadTable, match="governor is 'powersave', the table's is 'performance'"):
        build(table, desk.Desk(governor="powersave"), replace(PLAN, passes=2))
    assert table.measured() == before
    build(table, desk.Desk(governor=None), replace(PLAN, passes=2))
    assert len(table.measured()) == 2 * len(NETWORKS)


def test_a_second_builder_is_refused_with_the_first_ones_number(table):
    with exclusive(table_lock(table)), pytest.raises(BadTable, match=f"process {os.getpid()} is at work"):
        build(table, Desk())
    build(table, Desk(), replace(PLAN, passes=1))
    assert not table_lock(table).exists()


def test_a_plan_without_operators_is_refused(table):
    with pytest.raises(BadSettings, match="per-operator"):
        build(table, Desk(), replace(PLAN, per_operator=False))


def test_a_device_without_a_profiler_has_its_operators_measured_alone(table):
    class Blind(Desk):
        def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
            if plan.per_operator:
                raise ProfilerUnavailable("no profiler here")
            return super().stream(models, plan)

    report = build(table, Blind(), replace(PLAN, passes=2))
    assert (report.profiler, report.missing, report.failures) == ("no profiler here", (), ())
    names = {name for name, _ in table.measured()}
    assert names == {one.name for one in table.networks()}
    assert names >= {alone(OpSpec.parse(key)).name for key in table.operators()}
    assert status_of(table).complete
    assert build(table, Blind(), replace(PLAN, passes=2)).measured == 0


def test_an_interruption_keeps_what_was_measured(table):
    def interrupt(state: Progress) -> None:
        if state.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(table, Desk(), replace(PLAN, passes=2), interrupt)
    assert len(table.measured()) == 4
    assert build(table, Desk(), replace(PLAN, passes=2)).measured == 2


def table_lock(table):
    from pathlib import Path

    return Path(f"{table.address}.lock")


def test_a_budget_that_ends_in_the_middle_is_told_and_the_next_call_goes_on(table, monkeypatch):
    def build_for(seconds: float) -> BuildReport:
        device = desk.Desk()
        monkeypatch.setattr(session, "monotonic", device.clock)
        return build(table, device, replace(PLAN, passes=3), budget_s=seconds)

    report = build_for(2.0)
    assert (report.measured, report.budget_over, len(report.missing)) == (2, True, 0)
    report = build_for(4.0)
    assert (report.measured, report.budget_over) == (4, True)
    report = build_for(3.0)
    assert (report.measured, report.budget_over, report.missing) == (3, False, ())
    assert sorted(table.measured()) == sorted((one.name, index) for one in NETWORKS for index in range(3))


def test_a_budget_that_ends_before_every_operator_was_seen_names_what_is_missing(table, monkeypatch):
    device = desk.Desk()
    monkeypatch.setattr(session, "monotonic", device.clock)
    report = build(table, device, replace(PLAN, passes=3), budget_s=1.0)
    assert report.budget_over
    assert len(report.missing) == 1
    assert report.alone == ()


JOB = """
import sys
from dataclasses import replace
from devices.registry import open_device
from latency_tables.measuring.alone import alone
from latency_tables.build import PLAN, build
from latency_tables.store import LatencyTable
device = open_device("local")
plan = replace(PLAN, passes=4, warmup_runs=1, min_runs=3, min_time_s=0.0)
build(LatencyTable.open(sys.argv[1]), device, plan, lambda state: print(state.done, flush=True))
device.close()
"""


def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path):
    path = tmp_path / "t.db"
    device = open_device("local")
    try:
        LatencyTable.create(path, Origin({}, device.facts, device.settings), NETWORKS).close()
    finally:
        device.close()
    rng = random.Random(0)
    told = 0
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", JOB, str(path)], stdout=subprocess.PIPE) as job:
            assert job.stdout is not None
            first = int(job.stdout.readline())
            assert first >= told
            told = first
            for _ in range(rng.randint(0, 3)):
                told = int(job.stdout.readline() or told)
            time.sleep(rng.random() * 0.05)
            job.send_signal(signal.SIGKILL)
        with LatencyTable.open(path) as table:
            assert len(table.measured()) >= told
    job = subprocess.run([sys.executable, "-c", JOB, str(path)], check=True, capture_output=True, text=True)
    assert job.stdout.split()[-1] == "12"
    with LatencyTable.open(path) as table:
        bursts = [(one.network, one.pass_index) for one in table.bursts()]
        assert sorted(bursts) == sorted((one.name, index) for one in NETWORKS for index in range(4))
        assert len(table.observations()) == 24
        assert table.predict(NETWORKS[0].graph.specs).latency_ms > 0
