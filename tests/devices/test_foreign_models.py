"""Models that somebody else made run, or end within their deadline in one clear message."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from devices.adb import direct_tcp
from devices.device import Device
from devices.emulator import BENCHMARK_MODEL
from devices.facts import machine
from devices.measurement import Failure, ModelFile, Pass, Settings, gather
from devices.plan import Plan
from devices.records import from_plain, to_plain
from devices.registry import open_device
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.runners.litert import LitertDevice
from devices.setup.phone import set_up_phone
from devices.ssh import SshTransport
from devices.staging import Staging
from devices.survey import survey
from devices.warnings import warnings
from latency_tables.errors import BadModel
from latency_tables.tflite import describe
from mnas.cli.profile_view import show
from mnas.reports.profile_json import profile_json
from tests.command_line import Ended, running
from tests.devices import foreign
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import emulated_phone, make_key
from tests.devices.sshd import running_sshd

DEADLINE_S = 3.0
PLAN = Plan(min_runs=3, warmup_runs=1, deadline_s=DEADLINE_S)
#: what starting a worker and noticing its end may add
OVERHEAD_S = 15.0
QUICK = ("--passes", "1", "--runs", "3", "--min-time", "0", "--deadline", str(DEADLINE_S), "--quiet")

#: what Google's tool cannot run, for it draws numbers of 0 to 99 for indices too
BEYOND_THE_TOOL = {"embedding"}
#: what it may find to take 0 us
TOO_FAST_FOR_THE_TOOL = {"without_inputs", "without_operators", "scalar", "int16", "int64", "dynamic_image"}

Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def converted() -> foreign.Models:
    return foreign.converted()


@pytest.fixture(scope="module")
def endless() -> bytes:
    return foreign.endless()


@pytest.fixture(scope="module")
def crashing() -> bytes:
    return foreign.crashing()


@pytest.fixture(scope="module")
def damaged(converted: foreign.Models) -> foreign.Models:
    """Truncated and corrupted copies of models of different structure."""
    models = {}
    for name in ("float32", "int8", "float16_weights", "while_loop", "two_signatures", "dynamic_output"):
        content = converted[name]
        for number, part in enumerate(foreign.truncated(content, 25)):
            models[f"{name}-truncated-{number}"] = part
        for number, other in enumerate(foreign.corrupted(content, 125, seed=7)):
            models[f"{name}-corrupted-{number}"] = other
    return models


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    opened = open_device("local")
    yield opened
    opened.close()
    assert _workers(psutil.Process().children()) == []


def _workers(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [child for child in processes if "litert_worker" in _words(child)]


def _words(process: psutil.Process) -> str:
    """A process's command line; nothing of one that has ended since it was listed."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """The same runner at the other end of an SSH connection, with a staging."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        transport = SshTransport("board", config=server.config)
        staging = Staging(transport, f"{server.home}/.cache/mnas")
        device = LitertDevice("ssh://board", transport, staging=staging)
        yield device
        device.close()
        assert _workers(server.children()) == []


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Settings], Device]]:
    """The other runner, on the emulated phone, by its settings."""
    key = tmp_path_factory.mktemp("key") / "adbkey"
    work = "/data/local/tmp/mnas"
    make_key(key)
    with emulated_phone() as emulated, ExitStack() as stack:

        def phone(settings: Settings) -> Device:
            transport = direct_tcp(emulated.host, emulated.port, keys=[key])
            found = set_up_phone(transport, work, program=BENCHMARK_MODEL)
            facts = machine(survey(transport, work))
            device = BenchmarkModelDevice(emulated.address, transport, settings, work, found.sha256, facts)
            stack.callback(device.close)
            return device

        yield phone
        stack.close()
        wait_until(lambda: not emulated.processes())


@pytest.fixture(scope="module")
def phone(phones: Callable[[Settings], Device]) -> Device:
    """What it is asked to do runs on the runtime's own kernels, whether a delegate would take it or not."""
    return phones(Settings(delegate="cpu"))


@pytest.fixture(scope="module")
def default_phone(phones: Callable[[Settings], Device]) -> Device:
    """It asks for the delegate that is asked for where nobody says anything."""
    return phones(Settings())


@pytest.fixture(scope="module", params=["device", "board", "phone"])
def every(request: pytest.FixtureRequest) -> Device:
    """A device with each of the runners, over each kind of link."""
    found: Device = request.getfixturevalue(request.param)
    return found


run = running("profile")


def _measure(device: Device, models: foreign.Models, plan: Plan = PLAN) -> dict[str, Pass | Failure]:
    files = [ModelFile(name, content) for name, content in models.items()]
    outcomes = {outcome.model: outcome for outcome in device.stream(files, plan)}
    assert set(outcomes) == set(models)
    return outcomes


def _failures(outcomes: dict[str, Pass | Failure], allowed: Sequence[str]) -> dict[str, str]:
    """Messages of the models that failed, each for an allowed reason and in words that name the model."""
    failed = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Failure)}
    for name, failure in failed.items():
        assert failure.error in allowed, (name, failure.message)
        assert name in failure.message
        assert len(failure.message) > len(name) + 10
        assert "Traceback" not in failure.message
    return {name: failure.message for name, failure in failed.items()}


def _check_samples(outcome: Pass | Failure) -> None:
    assert isinstance(outcome, Pass), outcome
    assert outcome.samples_ms or outcome.summary
    assert all(math.isfinite(sample) and sample > 0 for sample in outcome.samples_ms)


def _check_document(outcome: Pass | Failure, content: bytes) -> list[str]:
    """What is told of a model, to people and as JSON, holds together; the codes of its warnings."""
    _check_samples(outcome)
    assert isinstance(outcome, Pass)
    measured = gather(ModelFile(outcome.model, content), [outcome])
    assert measured.median_ms > 0
    assert measured.quantile_ms(0.25) > 0
    description = describe(content)
    doubts = warnings(measured)
    document = profile_json(measured, description, doubts)
    assert json.loads(json.dumps(document, allow_nan=False))["median_ms"] > 0
    assert from_plain(Pass, json.loads(json.dumps(to_plain(outcome)))) == outcome
    show(measured, description)
    return [doubt.code for doubt in doubts]


def test_whatever_the_converter_makes_runs(every: Device, converted: foreign.Models) -> None:
    outcomes = _measure(every, converted)
    if every.facts.runtime == "benchmark_model":
        failed = _failures(outcomes, ["ModelRejected", "DeviceTrouble"])
        assert failed.keys() <= {*BEYOND_THE_TOOL, *TOO_FAST_FOR_THE_TOOL}
        assert all(
            "less than a microsecond" in failed[name] for name in failed.keys() & TOO_FAST_FOR_THE_TOOL
        )
        assert all("failed to invoke" in failed[name] for name in failed.keys() & BEYOND_THE_TOOL)
        outcomes = {name: outcome for name, outcome in outcomes.items() if name not in failed}
    for name, outcome in outcomes.items():
        _check_document(outcome, converted[name])


def test_the_default_delegate_measures_what_it_does_not_take(
    default_phone: Device, converted: foreign.Models
) -> None:
    outcomes = _measure(default_phone, converted)
    failed = _failures(outcomes, ["ModelRejected", "DeviceTrouble"])
    assert failed.keys() <= {*BEYOND_THE_TOOL, *TOO_FAST_FOR_THE_TOOL}
    codes = {
        name: _check_document(outcome, converted[name])
        for name, outcome in outcomes.items()
        if name not in failed
    }
    assert "delegate_not_taken" not in codes["float32"]
    for name in {"int64", "without_operators", "without_inputs"} & codes.keys():
        assert "delegate_not_taken" in codes[name], name


def test_operators_of_converted_models_are_timed_or_said_not_to_be(
    every: Device, converted: foreign.Models
) -> None:
    plan = Plan(min_runs=3, warmup_runs=1, deadline_s=DEADLINE_S, per_operator=True)
    outcomes = _measure(every, converted, plan)
    _failures(outcomes, ["ProfilerUnavailable", "ModelRejected", "DeviceTrouble"])
    for name, outcome in outcomes.items():
        if isinstance(outcome, Pass):
            assert outcome.operators
            _check_document(outcome, converted[name])
    assert isinstance(outcomes["float32"], Pass)
    assert isinstance(outcomes["int8"], Pass)


def test_unusual_models_run_or_end_in_one_message(phone: Device) -> None:
    """But for the one that would fill this machine's memory: the tool, and its stand-in, check no sizes."""
    models = foreign.unusual()
    del models["two_billion_strings"]
    outcomes = _measure(phone, models)
    failed = _failures(outcomes, ["ModelRejected", "OutOfMemory", "DeviceTrouble", "BadSettings"])
    assert "64_tebibytes" in failed
    assert (
        isinstance(outcomes["integer_division"], Pass)
        or "less than a microsecond" in failed["integer_division"]
    )


def test_unusual_models_run_or_are_refused(device: Device) -> None:
    outcomes = _measure(device, foreign.unusual())
    refused = _failures(outcomes, ["ModelRejected"])
    assert "(2147483647,)) would take 137.4 GB, more than half of the" in refused["two_billion_strings"]
    assert "the memory does not suffice" in refused["64_tebibytes"]
    for name in ("strings", "nothing_in_it", "nothing_by_two_billion"):
        outcome = outcomes[name]
        assert isinstance(outcome, Pass), outcome
        assert outcome.peak_memory_bytes is None or outcome.peak_memory_bytes < 10**8


def test_operators_beyond_the_runtime_are_refused(every: Device) -> None:
    models = foreign.beyond_the_runtime()
    assert _failures(_measure(every, models), ["ModelRejected"]).keys() == models.keys()


def test_what_is_no_model_is_refused(every: Device) -> None:
    models = foreign.not_models()
    assert _failures(_measure(every, models), ["ModelRejected"]).keys() == models.keys()


def test_models_that_contradict_themselves_are_refused(every: Device, converted: foreign.Models) -> None:
    models = foreign.hostile(converted["float32"])
    assert _failures(_measure(every, models), ["ModelRejected"]).keys() == models.keys()


def test_a_hang_and_a_crash_cost_one_failure_each(
    every: Device, converted: foreign.Models, endless: bytes, crashing: bytes
) -> None:
    models = {"endless": endless, "crashing": crashing, "sound": converted["float32"]}
    plan = Plan(passes=2, min_runs=3, warmup_runs=1, deadline_s=DEADLINE_S)
    files = [ModelFile(name, content) for name, content in models.items()]
    begin = time.monotonic()
    outcomes = list(every.stream(files, plan))
    assert time.monotonic() - begin < DEADLINE_S + OVERHEAD_S
    kinds = Counter((one.model, one.error if isinstance(one, Failure) else "ran") for one in outcomes)
    assert kinds == {
        ("endless", "DeadlineExceeded"): 1,
        ("crashing", "WorkerCrashed"): 1,
        ("sound", "ran"): 2,
    }


@pytest.mark.parametrize("link", ["board", "phone"])
def test_some_damaged_files_at_the_other_end_of_a_link(
    request: pytest.FixtureRequest, damaged: foreign.Models, link: str
) -> None:
    models = {name: damaged[name] for name in list(damaged)[::9]}
    failed = _failures(
        _measure(request.getfixturevalue(link), models),
        ["ModelRejected", "WorkerCrashed", "DeadlineExceeded", "OutOfMemory", "DeviceTrouble", "BadSettings"],
    )
    assert all(name in failed for name in models if "truncated" in name)


def test_damaged_files_run_or_fail_one_by_one(device: Device, damaged: foreign.Models) -> None:
    outcomes = _measure(device, damaged)
    failed = _failures(outcomes, ["ModelRejected", "WorkerCrashed", "DeadlineExceeded"])
    assert all(name in failed for name in damaged if "truncated" in name)
    assert len(failed) > len(damaged) / 3  # the damage does reach the structure
    for name in damaged.keys() - failed.keys():
        _check_samples(outcomes[name])


def test_damaged_files_are_described_or_refused_at_once(damaged: foreign.Models) -> None:
    for name, content in damaged.items():
        begin = time.monotonic()
        with suppress(BadModel):
            describe(content)
        assert time.monotonic() - begin < 1.0, name


def _clear(ended: Ended, name: str) -> None:
    """One message and nothing else, or one document and nothing but warnings beside it."""
    assert "Traceback" not in ended.err
    if ended.code == 0:
        assert json.loads(ended.out)["median_ms"] > 0
        assert "error:" not in ended.err
    else:
        assert ended.code in (2, 3), (name, ended)
        assert ended.out == ""
        (message,) = ended.err.strip().splitlines()
        assert message.startswith("error: "), name
        assert len(message) > 30


def test_the_command_line_says_what_is_wrong(
    run: Run, tmp_path: Path, converted: foreign.Models, endless: bytes, crashing: bytes
) -> None:
    codes = {
        **dict.fromkeys(("float32", "float16_weights", "int8", "uint8_in_and_out", "dynamic_range"), 0),
        **dict.fromkeys(("several_inputs", "dynamic_batch", "while_loop", "two_signatures"), 0),
        **dict.fromkeys(("empty", "text", "truncated", "custom_operator", "stride_of_zero"), 2),
        **dict.fromkeys(("endless", "crashing"), 3),
    }
    models = {
        **converted,
        **foreign.not_models(),
        **foreign.beyond_the_runtime(),
        **foreign.hostile(converted["float32"]),
        "truncated": converted["float32"][:5000],
        "endless": endless,
        "crashing": crashing,
    }
    for name, code in codes.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(models[name])
        begin = time.monotonic()
        ended = run(str(path), *QUICK, "--json")
        assert time.monotonic() - begin < DEADLINE_S + OVERHEAD_S
        assert ended.code == code, (name, ended)
        _clear(ended, name)


def test_the_command_line_survives_damaged_files(run: Run, tmp_path: Path, damaged: foreign.Models) -> None:
    path = tmp_path / "damaged.tflite"
    for name in list(damaged)[::75]:
        path.write_bytes(damaged[name])
        _clear(run(str(path), *QUICK, "--json"), name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_endless_run_ends_with_its_host(
    tmp_path: Path, endless: bytes, number: signal.Signals, code: int
) -> None:
    path = tmp_path / "endless.tflite"
    path.write_bytes(endless)
    command = [sys.executable, "-m", "mnas", "profile", str(path), "--deadline", "100"]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        family = psutil.Process(host.pid)
        workers = _wait_for(lambda: [each for each in family.children() if _busy(each)])
        host.send_signal(number)
        out, err = host.communicate(timeout=OVERHEAD_S)
        assert (host.returncode, out) == (code, ""), err
        assert "Traceback" not in err
        assert psutil.wait_procs(workers, timeout=OVERHEAD_S)[1] == []
    finally:
        host.kill()
        host.communicate()


def _busy(worker: psutil.Process) -> bool:
    """Whether a worker is past its imports and in the endless run: it has used a second of its core."""
    try:
        return "litert_worker" in " ".join(worker.cmdline()) and worker.cpu_times().user > 1.0
    except psutil.Error:  # a short-lived helper that has ended
        return False


def _wait_for(found: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while not (processes := found()):
        assert time.monotonic() < deadline, "no worker is busy"
        time.sleep(0.1)
    return processes
