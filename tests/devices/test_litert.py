"""Real measurements of real models on this machine, also when the worker does not survive them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from devices.errors import (
    BadSettings,
    DeviceTrouble,
    LinkLost,
    ModelRejected,
    ProfilerUnavailable,
    RuntimeMissing,
)
from devices.facts import MachineFacts
from devices.governor import governor_now
from devices.local import LocalTransport
from devices.measurement import Failure, ModelFile, Pass, Settings, gather
from devices.plan import Plan
from devices.runners.litert import LitertDevice
from devices.runners.visits import schedule
from devices.staging import Staging
from devices.transport import Channel

QUICK = Plan(warmup_runs=1, min_runs=5, deadline_s=30.0)
BROKEN = ModelFile("broken.tflite", b"TFL3 it is not")


def passes(outcomes: Iterator[Pass | Failure]) -> list[Pass]:
    found = list(outcomes)
    assert not [outcome for outcome in found if isinstance(outcome, Failure)]
    return [outcome for outcome in found if isinstance(outcome, Pass)]


def worker_of(device: LitertDevice) -> psutil.Process:
    _ = device.facts
    found = [each for each in psutil.Process().children() if "litert_worker.py" in " ".join(each.cmdline())]
    return max(found, key=lambda each: each.create_time())


@contextlib.contextmanager
def while_running(action: Callable[[], object], after_s: float) -> Iterator[None]:
    timer = threading.Timer(after_s, action)
    timer.start()
    yield
    timer.join()


# --- measurements


def test_a_pass_is_complete(device: LitertDevice, small: ModelFile) -> None:
    (found,) = passes(device.stream([small], replace(QUICK, min_runs=30)))
    assert (found.model, found.sha256, found.index) == ("small.tflite", small.sha256, 0)
    assert len(found.samples_ms) + found.dropped == 30
    assert all(0.01 < sample < 1000 for sample in found.samples_ms)
    assert found.first_inference_ms > 0
    assert found.initialisation_ms > 0
    assert found.peak_memory_bytes is None or 0 < found.peak_memory_bytes < 2**30
    assert found.operators is None
    assert found.reference_ms is None
    context = found.context
    assert context.facts == device.facts
    assert context.facts.runtime == "ai_edge_litert"
    assert context.facts.cores >= 1
    assert context.settings.cpus == (max(os.sched_getaffinity(0)),)
    assert (context.delegate, context.delegated_operators, context.total_operators) == ("xnnpack", 1, 1)
    assert context.other_load is None or 0 <= context.other_load <= 1
    governors = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    assert (context.governor is not None) is governors.exists()
    assert context.started_at.startswith("20")


def test_a_model_of_more_work_takes_longer(device: LitertDevice, tiny: ModelFile, small: ModelFile) -> None:
    found = passes(device.stream([small, tiny], QUICK))
    medians = {each.model: gather(small, [each]).median_ms for each in found}
    assert medians["tiny.tflite"] < medians["small.tflite"] / 10


def test_a_burst_lasts_as_long_as_asked_for(device: LitertDevice, small: ModelFile) -> None:
    (found,) = passes(device.stream([small], replace(QUICK, min_runs=1, min_time_s=0.4)))
    runs = len(found.samples_ms) + found.dropped
    assert runs * max(found.samples_ms) >= 200


def test_passes_visit_all_models_in_changing_order_next_to_the_reference(
    device: LitertDevice, tiny: ModelFile, small: ModelFile, pooling_int8: ModelFile
) -> None:
    models = [tiny, small, pooling_int8]
    plan = replace(QUICK, passes=4, reference=small, seed=1)
    found = passes(device.stream(models, plan))
    assert [each.index for each in found] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    orders = [[each.model for each in found[i : i + 3]] for i in range(0, 12, 3)]
    assert all(sorted(order) == sorted(model.name for model in models) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert all(each.reference_ms is not None and each.reference_ms > 0.01 for each in found)
    assert len({each.reference_ms for each in found}) > 1
    assert orders == [[models[i].name for i in order] for order in schedule(3, plan)]


def test_models_are_sent_and_loaded_once(device: LitertDevice, small: ModelFile) -> None:
    """The figures of loading stay those of the one load."""
    found = passes(device.stream([small], replace(QUICK, passes=3)))
    assert len({each.initialisation_ms for each in found}) == 1
    assert len({each.first_inference_ms for each in found}) == 1


def test_the_schedule_is_the_seeds(tiny: ModelFile) -> None:
    plan = Plan(passes=5, seed=7)
    assert schedule(20, plan) == schedule(20, plan)
    assert schedule(20, plan) != schedule(20, replace(plan, seed=8))
    assert all(sorted(order) == list(range(20)) for order in schedule(20, plan))


def test_operators_the_delegate_does_not_take_are_counted(
    device: LitertDevice, pooling_int8: ModelFile
) -> None:
    (found,) = passes(device.stream([pooling_int8], replace(QUICK, per_operator=True)))
    assert (found.context.delegated_operators, found.context.total_operators) == (0, 1)
    assert found.operators is not None
    assert [(each.label, each.delegated) for each in found.operators] == [("AVERAGE_POOL_2D", False)]


def test_two_threads(small: ModelFile) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("this machine has one core")
    device = LitertDevice("local", LocalTransport(), Settings(threads=2))
    try:
        (found,) = passes(device.stream([small], replace(QUICK, per_operator=True)))
        assert found.context.settings == Settings(threads=2, cpus=tuple(cores[-2:]))
        assert set(worker_of(device).cpu_affinity()) == set(cores[-2:])
    finally:
        device.close()


def test_the_cores_asked_for_are_used(tiny: ModelFile) -> None:
    core = min(os.sched_getaffinity(0))
    device = LitertDevice("local", LocalTransport(), Settings(cpus=(core,)))
    try:
        (found,) = passes(device.stream([tiny], QUICK))
        assert found.context.settings.cpus == (core,)
        assert worker_of(device).cpu_affinity() == [core]
    finally:
        device.close()


# --- per-operator times


def test_operators_explain_the_run(device: LitertDevice, network: ModelFile) -> None:
    plan = Plan(passes=3, min_runs=10, per_operator=True)
    found = passes(device.stream([network], plan))
    shares = []
    for each in found:
        assert each.operators is not None
        assert [row.index for row in each.operators] == list(range(len(each.operators)))
        assert sum("DWConv" in row.label for row in each.operators) == 6
        assert all(row.mean_ms >= 0 and row.delegated for row in each.operators)
        shares.append(sum(row.mean_ms for row in each.operators) / gather(network, [each]).median_ms)
    assert 0.7 < sorted(shares)[1] < 1.3


def test_another_runtime_measures_but_has_no_profiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: ModelFile
) -> None:
    for name in ("ai_edge_litert", "tflite_runtime"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    device = LitertDevice("local", LocalTransport())
    try:
        with pytest.raises(ProfilerUnavailable, match=r"local: .* here is tensorflow\.lite 2\."):
            next(device.stream([small], replace(QUICK, per_operator=True)))
        (found,) = passes(device.stream([small], QUICK))
        assert found.context.facts.runtime == "tensorflow.lite"
        assert len(found.samples_ms) + found.dropped == 5
    finally:
        device.close()


# --- models and workers that fail


def test_a_refused_model_is_reported_once_and_the_others_go_on(device: LitertDevice, tiny: ModelFile) -> None:
    found = list(device.stream([BROKEN, tiny, ModelFile("empty.tflite", b"")], replace(QUICK, passes=3)))
    failures = {each.model: each for each in found if isinstance(each, Failure)}
    assert set(failures) == {"broken.tflite", "empty.tflite"}
    assert len(found) == 2 + 3
    broken = failures["broken.tflite"]
    assert (broken.sha256, broken.error) == (BROKEN.sha256, "ModelRejected")
    assert broken.message.startswith("broken.tflite is refused by ai_edge_litert")
    assert len(broken.message) > 60


def test_a_reference_that_cannot_run_is_an_error(device: LitertDevice, tiny: ModelFile) -> None:
    with pytest.raises(ModelRejected, match=r"the reference model broken\.tflite"):
        next(device.stream([tiny], replace(QUICK, reference=BROKEN)))
    assert passes(device.stream([tiny], QUICK))


def test_a_crash_costs_one_model_and_one_worker(
    tiny: ModelFile, small: ModelFile, pooling_int8: ModelFile
) -> None:
    device = LitertDevice("local", LocalTransport())
    try:
        victim = worker_of(device)

        def crash() -> None:
            Path(f"/proc/{victim.pid}/fd/2").write_text(
                "\x1b[31mERROR: node 3 is odd\x1b[0m\n", encoding="utf-8"
            )
            time.sleep(0.05)
            victim.send_signal(signal.SIGSEGV)

        plan = replace(QUICK, passes=2, min_time_s=0.6)
        with while_running(crash, after_s=0.2):
            found = list(device.stream([tiny, small, pooling_int8], plan))
        (failure,) = [each for each in found if isinstance(each, Failure)]
        assert failure.error == "WorkerCrashed"
        assert failure.message == (
            f"{failure.model}: the worker ended with signal 11 (SIGSEGV); "
            "the runtime's last line: ERROR: node 3 is odd"
        )
        assert sorted(each.index for each in found if isinstance(each, Pass)) == [0, 0, 1, 1]
        assert failure.model not in {each.model for each in found if isinstance(each, Pass)}
        assert worker_of(device).pid != victim.pid
    finally:
        device.close()


def test_a_hang_ends_at_the_deadline(tiny: ModelFile, small: ModelFile) -> None:
    device = LitertDevice("local", LocalTransport())
    try:
        victim = worker_of(device)
        begin = time.monotonic()
        with while_running(victim.suspend, after_s=0.2):
            found = list(device.stream([tiny, small], replace(QUICK, min_time_s=0.5, deadline_s=3.0)))
        assert time.monotonic() - begin < 15
        (failure,) = [each for each in found if isinstance(each, Failure)]
        assert failure.error == "DeadlineExceeded"
        assert f"{failure.model} was not measured within its deadline of 3 s" in failure.message
        assert len(found) == 2
        assert not psutil.pid_exists(victim.pid)
    finally:
        device.close()


def test_too_many_runs_for_the_deadline_leave_the_worker_alive(
    device: LitertDevice, small: ModelFile
) -> None:
    pid = worker_of(device).pid
    (failure,) = device.stream([small], replace(QUICK, min_runs=10**7, deadline_s=1.5))
    assert isinstance(failure, Failure)
    assert failure.error == "DeadlineExceeded"
    assert "runs of at least 10000000 were done" in failure.message
    assert worker_of(device).pid == pid


def test_an_interrupt_ends_the_burst_and_the_device_works_on(device: LitertDevice, tiny: ModelFile) -> None:
    """What is left of an interrupted request must not answer the next one."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    _ = device.facts
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            next(device.stream([tiny], replace(QUICK, min_time_s=5.0)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (found,) = passes(device.stream([tiny], QUICK))
    assert len(found.samples_ms) + found.dropped == 5


def test_a_stream_left_early_leaves_a_working_device(
    device: LitertDevice, tiny: ModelFile, small: ModelFile
) -> None:
    stream = device.stream([tiny, small], replace(QUICK, passes=5))
    next(stream)
    stream.close()  # type: ignore[attr-defined] # it is a generator
    assert len(passes(device.stream([tiny], QUICK))) == 1


# --- through a staging, as on a board


class Board(LocalTransport):
    """Counts what is pushed; its channels break when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[str] = []
        self.answers_left = 10**9

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        self.pushed.append(path)
        super().push(content, path, timeout_s)

    def spawn(self, command: Sequence[str]) -> Channel:
        channel = super().spawn(command)
        read_line = channel.read_line

        def read_or_break(timeout_s: float) -> bytes:
            self.answers_left -= 1
            if self.answers_left == 0:
                raise LinkLost("the cable is out")
            return read_line(timeout_s)

        channel.read_line = read_or_break  # type: ignore[method-assign]
        return channel


@pytest.fixture
def board() -> Iterator[Board]:
    transport = Board()
    yield transport
    transport.close()


def test_the_governor_of_the_workers_cores_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"0": "powersave\n", "1": "performance\n"}
    device = LitertDevice("local", LocalTransport(), Settings(1, (0,)))
    monkeypatch.setattr(device, "_read", lambda path: names.get(path.partition("/cpu/cpu")[2][:1], ""))
    assert governor_now(device) == "powersave"
    names["0"] = "no such file or directory"
    assert governor_now(device) is None
    device.close()


def test_staged_models_go_in_one_push_and_stay(
    tmp_path: Path, board: Board, tiny: ModelFile, small: ModelFile, pooling_int8: ModelFile
) -> None:
    work = tmp_path / "mnas"
    plan = replace(QUICK, passes=2, reference=small)
    device = LitertDevice("ssh://board", board, staging=Staging(board, str(work)))
    assert len(passes(device.stream([tiny, pooling_int8], plan))) == 4
    assert len(board.pushed) == 2  # the worker and the models
    assert all(Path(path).is_relative_to(work) for path in board.pushed)
    assert len(list(work.glob("models/*.tflite"))) == 3
    assert len(passes(device.stream([tiny, small], QUICK))) == 2
    assert len(board.pushed) == 2
    device.close()
    assert len(list(work.glob("models/*.tflite"))) == 3
    assert not list(work.glob("worker/*"))


def test_a_staged_model_that_was_changed_there_is_not_measured(
    tmp_path: Path, board: Board, tiny: ModelFile, small: ModelFile
) -> None:
    staging = Staging(board, str(tmp_path / "mnas"))
    device = LitertDevice("ssh://board", board, staging=staging)
    passes(device.stream([tiny], QUICK))
    Path(staging.path(tiny.sha256)).write_bytes(small.content)
    (found,) = passes(device.stream([tiny], QUICK))
    assert Path(staging.path(tiny.sha256)).read_bytes() == tiny.content
    assert gather(tiny, [found]).median_ms < 0.5
    device.close()


@pytest.mark.parametrize("answers", [1, 2, 3, 4])
def test_after_a_broken_link_it_begins_anew(
    tmp_path: Path, board: Board, tiny: ModelFile, small: ModelFile, answers: int
) -> None:
    """Also when the worker, seeing its host gone, has removed its own folder."""
    device = LitertDevice("ssh://board", board, staging=Staging(board, str(tmp_path / "mnas")))
    board.answers_left = answers
    plan = replace(QUICK, passes=2)
    with pytest.raises(LinkLost, match="the cable is out"):
        passes(device.stream([tiny, small], plan))
    for left in (tmp_path / "mnas").glob("worker/*"):
        shutil.rmtree(left)
    assert len(passes(device.stream([tiny, small], plan))) == 4
    device.close()


def test_a_board_that_was_not_set_up_says_how(tmp_path: Path, board: Board, tiny: ModelFile) -> None:
    staging = Staging(board, str(tmp_path / "mnas"))
    empty = tmp_path / "python"
    empty.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} -S -E "$@"\n', encoding="utf-8")
    empty.chmod(0o755)
    for python in (f"{tmp_path}/mnas/venv/bin/python", str(empty)):
        device = LitertDevice("ssh://pi@board", board, python=python, staging=staging)
        with pytest.raises(RuntimeMissing, match=r"run `mnas devices setup ssh://pi@board`") as caught:
            next(device.stream([tiny], QUICK))
        assert ("No module named 'numpy'" in str(caught.value)) is (python == str(empty))


def test_a_board_tells_its_own_facts(tmp_path: Path, board: Board, tiny: ModelFile) -> None:
    staging = Staging(board, str(tmp_path / "mnas"))
    machine = MachineFacts(
        "aarch64", None, "bcm2712", "Raspberry Pi 5", "4x Cortex-A76", 4, (), 2**33, "Debian 12", None, False
    )
    device = LitertDevice("ssh://board", board, staging=staging, machine=machine)
    (found,) = passes(device.stream([tiny], QUICK))
    facts = found.context.facts
    assert (facts.machine, facts.soc, facts.cores) == ("aarch64", "bcm2712", 4)
    assert facts.cpu_model == "Raspberry Pi 5, 4x Cortex-A76"
    assert facts.runtime == "ai_edge_litert"
    device.close()


@pytest.mark.parametrize("delegate", ["cpu", "gpu", "nnapi", "external:/lib.so"])
def test_other_delegates_are_refused(delegate: str) -> None:
    with pytest.raises(BadSettings, match=rf"has the delegate xnnpack, not {delegate}; .*benchmark_model"):
        LitertDevice("local", LocalTransport(), Settings(delegate=delegate))


# --- beginnings and ends


def test_a_python_without_a_runtime_is_told_what_to_install(tmp_path: Path, tiny: ModelFile) -> None:
    numpy_only = tmp_path / "python"
    packages = Path(psutil.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (tmp_path / name).symlink_to(packages / name)
    outside = Path(sys.executable).resolve()
    numpy_only.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {outside} -S "$@"\n', encoding="utf-8")
    numpy_only.chmod(0o755)
    device = LitertDevice("local", LocalTransport(), python=str(numpy_only))
    try:
        with pytest.raises(RuntimeMissing, match="pip install ai-edge-litert"):
            next(device.stream([tiny], QUICK))
    finally:
        device.close()


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_a_python_that_does_not_start_is_device_trouble(python: str, tiny: ModelFile) -> None:
    device = LitertDevice("local", LocalTransport(), python=python)
    try:
        with pytest.raises(DeviceTrouble, match=python):
            next(device.stream([tiny], QUICK))
    finally:
        device.close()


def test_closing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: ModelFile, small: ModelFile
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    device = LitertDevice("local", LocalTransport())
    stream = device.stream([tiny], replace(QUICK, passes=2, reference=small))
    next(stream)
    assert len(list(tmp_path.glob("mnas.*/*.tflite"))) == 2
    assert len(passes(stream)) == 1
    assert not list(tmp_path.glob("mnas.*/*.tflite"))
    worker = worker_of(device)
    device.close()
    device.close()
    assert not psutil.pid_exists(worker.pid)
    assert not list(tmp_path.glob("mnas.*"))


HOST = """
import sys
from devices.measurement import ModelFile
from devices.plan import Plan
from devices.registry import open_device
device = open_device("local")
model = ModelFile.from_path(sys.argv[1])
for _ in device.stream([model], Plan(passes=2, warmup_runs=0, min_runs=1)):
    print(device._worker._channel._process.pid, flush=True)
    break
next(device.stream([model], Plan(min_runs=10**6, deadline_s=3600)))
"""


def test_the_worker_dies_with_a_host_that_is_killed(tmp_path: Path, large: ModelFile) -> None:
    """In the middle of a run of the model, and its files go with it."""
    path = tmp_path / "large.tflite"
    path.write_bytes(large.content)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    host = subprocess.Popen([sys.executable, "-c", HOST, str(path)], stdout=subprocess.PIPE, env=environment)
    with host:
        assert host.stdout is not None
        worker = psutil.Process(int(host.stdout.readline()))
        time.sleep(0.5)
        assert worker.is_running()
        host.kill()
    gone, _ = psutil.wait_procs([worker], timeout=5)
    assert gone
    assert not list(tmp_path.glob("mnas.*"))
