"""The worker file: what it may use, its parts, and its protocol, spoken directly."""

from __future__ import annotations

import ast
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices.local import LocalTransport
from devices.measurement import ModelFile
from devices.runners import litert_worker as worker
from devices.runners.litert import WORKER_FILE

SOURCE = WORKER_FILE.read_text(encoding="utf-8")
RUNTIMES = {"ai_edge_litert", "tflite_runtime", "tensorflow"}

Ask = Callable[..., dict[str, Any]]


# --- what an old board has


def test_the_file_parses_as_python_3_8() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 8))
    evaluated = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"list", "dict"}
    ]
    annotations = {
        id(child)
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
        for child in ast.walk(annotation)
    }
    assert all(id(node) in annotations for node in evaluated), (
        "list[...] is evaluated, which Python 3.8 cannot"
    )


def test_it_imports_the_standard_library_numpy_and_a_runtime_only() -> None:
    names = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names - {"numpy"} - RUNTIMES <= sys.stdlib_module_names


def test_it_uses_of_numpy_what_1_19_has() -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np"
    }
    assert used <= {"__version__", "array", "dtype", "iinfo", "median", "percentile", "random"}


# --- its parts


@pytest.mark.parametrize(
    "dtype",
    ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", "c8", "S1", "O"],
)
def test_random_inputs_of_every_type(dtype: str) -> None:
    values = worker.random_values(np.dtype(dtype), 500, np.random.RandomState(0))
    assert values.shape == (500,)
    if dtype not in "S1O":
        assert values.dtype == np.dtype(dtype)
        assert len(set(values.tolist())) > 1
        assert np.isfinite(values).all()
        again = worker.random_values(np.dtype(dtype), 500, np.random.RandomState(0))
        assert (values == again).all()
    if dtype in {"i4", "u4", "i8", "u8"}:
        assert set(values.tolist()) == {0, 1}


def test_a_type_without_random_values_is_refused() -> None:
    with pytest.raises(worker.Refusal, match="datetime64"):
        worker.random_values(np.dtype("M8[s]"), 1, np.random.RandomState(0))


@pytest.mark.parametrize(
    ("shape", "dtype", "fits"),
    [
        ([2**31 - 1], np.bytes_, False),
        ([1, 2**20, 2**10, 3], np.float32, False),
        ([2**16] * 4, np.int8, False),
        ([1, 224, 224, 3], np.float32, True),
        ([-1, 224, 224, 3], np.float32, True),
        ([0, 2**31 - 1], np.float32, True),
        ([], np.float32, True),
    ],
    ids=str,
)
def test_inputs_that_memory_cannot_hold_are_refused_with_both_figures(
    shape: list[int], dtype: Any, fits: bool
) -> None:
    details = [{"shape": np.array(shape, dtype=np.int32), "dtype": dtype}]
    worker.check_inputs(details, None)
    if fits:
        worker.check_inputs(details, 10**9)
    else:
        with pytest.raises(worker.Refusal, match=r"would take \d+\.\d GB, more than half of the 1\.0 GB"):
            worker.check_inputs(details, 10**9)


def test_many_inputs_count_together() -> None:
    detail = {"shape": np.array([10**6]), "dtype": np.float32}
    worker.check_inputs([detail] * 31, 10**9)
    with pytest.raises(worker.Refusal, match=r"float32 of shape \(1000000,\)"):
        worker.check_inputs([detail] * 32, 10**9)


def test_the_runtime_gets_no_more_than_its_share_of_memory() -> None:
    """In a process of its own: the limit stays."""
    code = (
        "import numpy as np\n"
        "from devices.runners import litert_worker as worker\n"
        "worker.limit_memory(2 * 10**8)\n"
        "np.ones(10**8, dtype=np.uint8)\n"
        "try:\n    np.ones(2 * 10**8, dtype=np.uint8)\n"
        "except MemoryError:\n    print('refused')\n"
        "worker.limit_memory(4 * 10**8)\n"
        "np.ones(2 * 10**8, dtype=np.uint8)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_a_runtime_without_a_reason_is_thought_to_lack_memory() -> None:
    assert worker.reason(RuntimeError("node 3 is odd")) == "node 3 is odd"
    for silent in (RuntimeError(), RuntimeError("RuntimeError"), RuntimeError(" ")):
        assert "gives no reason; most likely the memory" in worker.reason(silent)


def test_directories_that_killed_hosts_left_are_removed(tmp_path: Path) -> None:
    """Those that are old and that no process names."""
    mine = "mnas.mine0000"
    names = (mine, "mnas.stale000", "mnas.young000", "mnas.running0", "mnas.longer000", "other.000000")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "litert_worker.py").write_text("", encoding="utf-8")
        if "young" not in name:
            os.utime(tmp_path / name, (0, 0))
    (tmp_path / "mnas.linked00").symlink_to(tmp_path / "other.000000")
    with subprocess.Popen(
        ["cat", "-", str(tmp_path / "mnas.running0")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"!")  # which comes back when it surely runs
        process.stdin.flush()
        process.stdout.read(1)
        worker.remove_stale(str(tmp_path / mine))
        process.kill()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names, "mnas.linked00"} - {"mnas.stale000"}
    worker.remove_stale(str(tmp_path / "other.000000"))
    assert {path.name for path in tmp_path.iterdir()} == left
    worker.remove_stale(str(tmp_path / mine))
    assert {path.name for path in tmp_path.iterdir()} == left - {"mnas.running0"}


def test_preempted_runs_are_left_out() -> None:
    timed = [(None, 10, False), (None, 50, True), (None, 11, False)]
    assert worker.undisturbed(timed) == ([timed[0], timed[2]], False)


def test_when_all_are_preempted_the_fastest_quarter_is_kept() -> None:
    timed = [(None, ns, True) for ns in (50, 10, 40, 20, 30, 60, 70, 80)]
    assert worker.undisturbed(timed) == ([timed[1], timed[3]], True)
    assert worker.undisturbed(timed[:1]) == (timed[:1], True)


def test_a_burst_ends_when_both_limits_are_reached() -> None:
    preemption = worker.Preemption(1)
    far = time.perf_counter_ns() + 10**11
    assert len(worker.burst(lambda: None, 7, 0, far, preemption)) == 7
    assert len(worker.burst(lambda: time.sleep(0.01), 1, 55_000_000, far, preemption)) in range(1, 7)
    results = worker.burst(iter(range(9)).__next__, 3, 0, far, preemption)
    assert [result for result, _, _ in results] == [0, 1, 2]


def test_a_burst_keeps_its_deadline() -> None:
    with pytest.raises(worker.Refusal, match=r"runs of at least 1000000 were done"):
        worker.burst(
            lambda: time.sleep(0.001), 10**6, 0, time.perf_counter_ns() + 50_000_000, worker.Preemption(1)
        )


def test_sleeping_is_not_being_preempted() -> None:
    timed = worker.burst(
        lambda: time.sleep(0.001), 20, 0, time.perf_counter_ns() + 10**11, worker.Preemption(1)
    )
    assert sum(preempted for _, _, preempted in timed) < 10


def test_an_operators_mean_leaves_outliers_out_and_keeps_fractions() -> None:
    assert worker.trimmed_mean([0] * 85 + [1] * 15) == pytest.approx(0.15)
    assert worker.trimmed_mean([100] * 20 + [101] * 10 + [900]) == pytest.approx(100 + 1 / 3)
    assert worker.trimmed_mean([5]) == 5
    assert worker.trimmed_mean([10, 10, 20, 20]) == 15


def events(wall: float, run: int | None, *operators: int, label: str = "Convolution") -> worker.Events:
    return wall, run, [(label, True, elapsed) for elapsed in operators]


@pytest.mark.parametrize(
    ("runs", "graph", "message"),
    [
        ([events(110.0, 100)], 3, "no operator"),
        ([events(1100.0, 1000, 500, 500)], 40, "2 operators were reported for 40"),
        ([events(1100.0, 1000, *[1] * 30)], 2, "30 operators were reported for 2"),
        ([events(1100.0, 1000, 500), events(1100.0, 1000, 250, 250)], 2, "differ from run to run"),
        ([events(1100.0, 1000, 500), events(1100.0, 1000, 500, label="Add")], 1, "differ from run to run"),
        ([events(900.0, 1000, 900)], 1, "reported as 1000 us"),
        ([events(900.0, None, 800)], 1, "reported as None us"),
        ([events(1100.0, 1000, 700, 700)], 2, "operators take 1400 us of a run of 1000 us"),
        ([events(1100.0, 1000, 200, 200)], 2, "explain 40 %"),
    ],
)
def test_the_profilers_self_test_refuses(runs: list[worker.Events], graph: int, message: str) -> None:
    with pytest.raises(worker.Refusal, match=message) as caught:
        worker.check_events(runs, graph)
    assert caught.value.kind == "ProfilerUnavailable"


def test_the_profilers_self_test_passes_what_is_sound() -> None:
    worker.check_events([events(1100.0, 1000, 480, 510), events(1090.0, 998, 490, 500)], 2)
    worker.check_events([events(90.0, 3, 0, 1, 2)] * 3, 2)
    worker.check_events([events(1100.0, 1000, 990)], None)


def test_the_profiler_is_used_with_versions_that_were_tried() -> None:
    assert worker.profiler_obstacle("ai_edge_litert", worker.PROFILER_VERSIONS[-1]) is None
    assert "99.0 was not tried" in str(worker.profiler_obstacle("ai_edge_litert", "99.0"))
    assert "tflite_runtime 2.14" in str(worker.profiler_obstacle("tflite_runtime", "2.14"))


class Graph:
    """An interpreter that knows its operators."""

    def __init__(self, *nodes: tuple[str, list[int], list[int]]) -> None:
        self.nodes = nodes

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [
            {"index": i, "op_name": name, "inputs": inputs, "outputs": outputs}
            for i, (name, inputs, outputs) in enumerate(self.nodes)
        ]


def test_delegated_operators_are_counted() -> None:
    chain = (("CONV_2D", [0, 9, -1], [1]), ("SOFTMAX", [1], [2]), ("MUL", [2, 1], [3]), ("ADD", [3, 0], [4]))
    assert worker.delegation(Graph(*chain)) == ("none", 0, 4)
    part = (*chain, ("DELEGATE", [0, 9], [1]), ("DELEGATE", [2, 1, 0], [4]))
    assert worker.delegation(Graph(*part)) == ("xnnpack", 3, 4)
    assert worker.delegation(Graph(*chain, ("DELEGATE", [0, 9], [4]))) == ("xnnpack", 4, 4)
    assert worker.delegation(object()) == ("unknown", None, None)


def test_other_load_is_what_others_took(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = worker.LoadMeter([0])
    snapshots = iter([(0, 0.0, 0), (1_000_000_000, 0.9e9, 600_000_000)])
    monkeypatch.setattr(meter, "snapshot", lambda: next(snapshots))
    meter.history = []
    meter.mark()
    assert meter.other_load() == pytest.approx(0.3)


def test_a_load_over_too_short_a_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = worker.LoadMeter([0])
    snapshots = iter([(0, 0.0, 0), (100_000_000, 0.0, 100_000_000)])
    monkeypatch.setattr(meter, "snapshot", lambda: next(snapshots))
    meter.history = []
    meter.mark()
    assert meter.other_load() is None


def test_throttling_is_told_from_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, str] = {}

    def read(path: str) -> str | None:
        return files.get(path.removeprefix("/sys/devices/system/cpu/cpu0/"))

    monkeypatch.setattr(worker, "read_text", read)
    assert worker.throttled_since(worker.throttle_count([0]), [0]) is None
    files["thermal_throttle/core_throttle_count"] = "4\n"
    assert worker.throttled_since(worker.throttle_count([0]), [0]) is False
    assert worker.throttled_since(3, [0]) is True
    files.clear()
    files.update({"cpufreq/scaling_max_freq": "1500000\n", "cpufreq/cpuinfo_max_freq": "1500000\n"})
    assert worker.throttled_since(None, [0]) is False
    files["cpufreq/scaling_max_freq"] = "600000\n"
    assert worker.throttled_since(None, [0]) is True


def test_the_governor_is_told_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "/sys/devices/system/cpu/cpu"
    files = {
        f"{folder}{cpu}/cpufreq/scaling_governor": f"{name}\n" for cpu, name in enumerate(("b", "a", "a"))
    }
    monkeypatch.setattr(worker, "read_text", files.get)
    assert worker.governor([1, 2]) == "a"
    assert worker.governor([0, 1]) == "a, b"
    assert worker.governor([3]) is None
    assert worker.governor(None) is None


def test_the_frequency_is_the_highest_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "/sys/devices/system/cpu/cpu"
    texts = ("1800000\n", "2400000\n", "<unsupported>\n")
    files = {f"{folder}{cpu}/cpufreq/scaling_cur_freq": text for cpu, text in enumerate(texts)}
    monkeypatch.setattr(worker, "read_text", files.get)
    assert worker.frequency_khz([0, 1, 2, 3]) == 2_400_000
    assert worker.frequency_khz([2, 3]) is None
    assert worker.frequency_khz(None) is None


@pytest.mark.parametrize(
    ("highest_khz", "threads", "expected"),
    [
        ((2_400, 2_400, 1_800, 1_800), 1, [1]),
        ((2_400, 2_400, 1_800, 1_800), 2, [0, 1]),
        ((2_400, 2_400, 1_800, 1_800), 3, [0, 1, 3]),
        ((1_800, 1_800, 2_400, 2_400), 2, [2, 3]),
        ((1_800, 1_800, 1_800, 1_800), 2, [2, 3]),
        ((None, None, None, None), 2, [2, 3]),
        ((None, 1_800, None, None), 1, [1]),
    ],
)
def test_the_fastest_cores_are_chosen_and_of_equals_the_last(
    monkeypatch: pytest.MonkeyPatch, highest_khz: tuple[int | None, ...], threads: int, expected: list[int]
) -> None:
    taken: list[list[int]] = [list(range(len(highest_khz)))]
    files = {
        f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq": f"{khz}000\n"
        for cpu, khz in enumerate(highest_khz)
        if khz
    }
    monkeypatch.setattr(worker, "read_text", files.get)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(taken[-1]))
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: taken.append(list(cpus)))
    assert worker.choose_cpus(threads, None) == expected
    assert taken[-1] == expected


def test_peak_memory_sees_what_was_given_back() -> None:
    memory = worker.PeakMemory()
    block = np.ones(64 * 2**20, dtype=np.uint8)
    del block
    added = memory.added()
    assert added is None or 60 * 2**20 < added < 200 * 2**20


def test_one_measurement_at_a_time_on_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    first, second, elsewhere = worker.CoreLock([0, 1]), worker.CoreLock([1]), worker.CoreLock([2])
    first.take(5.0)
    begin = time.monotonic()
    elsewhere.take(5.0)
    assert time.monotonic() - begin < 1
    second.take(0.2)
    waited = time.monotonic() - begin
    assert 0.2 <= waited < 2
    first.free()
    second.take(5.0)
    assert time.monotonic() - begin < waited + 1
    for lock in (first, second, elsewhere):
        for file in lock.files:
            os.close(file)


def test_waiting_for_the_core_counts_towards_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(_: dict[str, Any], deadline_ns: int) -> dict[str, Any]:
        return {"left_s": (deadline_ns - time.perf_counter_ns()) / 1e9}

    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    waiting, other = worker.Worker(), worker.CoreLock([0])
    waiting.lock = worker.CoreLock([0])
    monkeypatch.setattr(waiting, "measure_alone", left)
    assert waiting.measure({"deadline_s": 2.0})["left_s"] > 1.5
    other.take(5.0)
    assert waiting.measure({"deadline_s": 2.0})["left_s"] <= 1.5  # a quarter of it was waited
    for lock in (waiting.lock, other):
        for file in lock.files:
            os.close(file)


def test_a_runtime_that_does_not_fit_its_numpy_is_not_the_models_fault() -> None:
    def interpreter(**_: object) -> None:
        raise SystemError("<built-in method CreateWrapperFromFile> returned a result with an error set")

    broken = worker.Worker()
    broken.interpreter = interpreter
    with pytest.raises(worker.Refusal, match=r"does not work with NumPy \d") as caught:
        worker.Loaded(broken, {"key": "a", "path": "/a.tflite"}, 0)
    assert caught.value.kind == "RuntimeMissing"


# --- its protocol


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    transport = LocalTransport()
    channel = transport.spawn([sys.executable, str(WORKER_FILE), str(tmp_path_factory.mktemp("worker"))])

    def ask(line: bytes | None = None, **fields: Any) -> dict[str, Any]:
        channel.write((line or json.dumps(fields).encode()) + b"\n", 10.0)
        reply: dict[str, Any] = json.loads(channel.read_line(60.0))
        return reply

    assert ask(id=1, command="hello", threads=1, cpus=None)["id"] == 1
    yield ask
    transport.close()


def request(model: dict[str, str], **fields: Any) -> dict[str, Any]:
    plan = {
        "warmup_runs": 1,
        "min_runs": 5,
        "min_time_s": 0.0,
        "deadline_s": 30.0,
        "per_operator": False,
        "seed": 3,
    }
    return {"command": "measure", "model": model, "reference": None, **plan, **fields}


def test_models_come_as_bytes_or_by_path(ask: Ask, small: ModelFile, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(small.content)
    for i, model in enumerate(({"base64": base64.b64encode(small.content).decode()}, {"path": str(path)})):
        for per_operator in (False, True):
            reply = ask(id=i, **request({"key": str(i), **model}, per_operator=per_operator))
            assert "error" not in reply, reply
            assert reply["id"] == i
            assert 1 <= len(reply["samples_ms"]) <= 5
            assert len(reply["samples_ms"]) + reply["dropped"] == 5
            assert (reply["operators"] is not None) is per_operator


def test_what_is_no_request_gets_an_answer_too(ask: Ask) -> None:
    assert "not a request" in ask(b"hello?")["message"]
    assert ask(b'{"id": 5, "command": "dance"}') == {
        "id": 5,
        "error": "DeviceTrouble",
        "message": "KeyError: 'dance'",
    }
    assert ask(id=6, **request({"key": "gone", "path": "/no/such/model"}))["error"] == "ModelRejected"
    assert ask(id=7, command="unload", keys=["never seen"]) == {"id": 7}


def test_the_runtimes_output_cannot_reach_the_replies(ask: Ask) -> None:
    pid = ask(id=8, command="hello", threads=1, cpus=None)["pid"]
    assert Path(f"/proc/{pid}/fd/1").readlink() == Path(f"/proc/{pid}/fd/2").readlink()
