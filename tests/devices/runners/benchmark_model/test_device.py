"""Models measured with `benchmark_model`: the stand-in on an emulated phone, and programs that misbehave."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from devices.adb import direct_tcp
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone, Fault
from devices.errors import BadSettings, DeadlineExceeded, LinkLost, RuntimeMissing, TransientError
from devices.facts import MachineFacts, machine
from devices.measurement import Failure, ModelFile, Pass, Settings, gather
from devices.plan import Plan
from devices.runners.benchmark_model import program, visit
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.runners.benchmark_model.program import version_file
from devices.staging import Staging
from devices.survey import survey
from devices.transport import Transport
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import emulated_phone, make_key
from tests.devices.processes import running
from tests.devices.shells import Through

CONSOLES = Path(__file__).with_name("consoles")
WORK = "/data/local/tmp/mnas"
QUICK = Plan(warmup_runs=1, min_runs=5, deadline_s=20.0)
BROKEN = ModelFile("broken.tflite", b"TFL3 it is not")
PLAIN = MachineFacts("x86_64", None, None, None, "cpu", 2, (), None, "Linux", None, False)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "adbkey"
    make_key(path)
    return path


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone() as phone:
        yield phone


@pytest.fixture
def transport(phone: EmulatedPhone, key: Path) -> Iterator[Transport]:
    transport = direct_tcp(phone.host, phone.port, keys=[key])
    yield transport
    transport.close()


@pytest.fixture
def device(phone: EmulatedPhone, transport: Transport) -> Iterator[BenchmarkModelDevice]:
    device = on_phone(phone, transport)
    yield device
    device.close()
    wait_until(lambda: not phone.processes())


def on_phone(
    phone: EmulatedPhone,
    transport: Transport,
    settings: Settings | None = None,
    libraries: tuple[Path, ...] = (),
) -> BenchmarkModelDevice:
    content = BENCHMARK_MODEL.read_bytes()
    path = Staging(transport, WORK).keep("bin", "benchmark_model", content, executable=True)
    transport.push(b"2.2.0\n", version_file(path))
    found = machine(survey(transport, WORK))
    sha256 = hashlib.sha256(content).hexdigest()
    return BenchmarkModelDevice(
        phone.address, transport, settings or Settings(), WORK, sha256, found, libraries
    )


def passes(outcomes: Iterator[Pass | Failure]) -> list[Pass]:
    found = list(outcomes)
    assert not [outcome for outcome in found if isinstance(outcome, Failure)]
    return [outcome for outcome in found if isinstance(outcome, Pass)]


def failures(outcomes: Iterator[Pass | Failure]) -> list[Failure]:
    return [outcome for outcome in outcomes if isinstance(outcome, Failure)]


# --- on the emulated phone


def test_a_pass_is_complete(device: BenchmarkModelDevice, small: ModelFile) -> None:
    (found,) = passes(device.stream([small], replace(QUICK, min_runs=30)))
    assert (found.model, found.sha256, found.index) == ("small.tflite", small.sha256, 0)
    assert (found.samples_ms, found.dropped, found.operators, found.reference_ms) == ((), 0, None, None)
    summary = found.summary
    assert summary is not None
    assert summary.count == 30
    assert summary.median_ms is not None
    assert 0.01 < summary.min_ms <= summary.median_ms <= summary.max_ms < 1000
    assert summary.warmup_mean_ms is not None
    assert summary.initialisation_memory_bytes is not None
    assert found.first_inference_ms is not None
    assert found.initialisation_ms is not None
    assert 0 < found.initialisation_ms < 1000
    assert found.peak_memory_bytes is not None
    assert 0 < found.peak_memory_bytes < 10**9
    context = found.context
    assert context.facts == device.facts
    assert (context.facts.runtime, context.facts.runtime_version) == ("benchmark_model", "2.2.0")
    assert context.facts.runtime_sha256 == hashlib.sha256(BENCHMARK_MODEL.read_bytes()).hexdigest()
    assert (context.facts.abi, context.facts.cores, context.facts.python_version) == ("arm64-v8a", 8, None)
    assert context.settings.cpus == context.facts.clusters[-1].cpus
    assert (context.delegate, context.delegated_operators, context.total_operators) == ("xnnpack", 1, 1)
    assert context.governor is not None
    assert context.frequency_khz is not None
    assert context.frequency_khz > 100_000
    assert context.throttled is not None
    assert -1 < time.time() - datetime.fromisoformat(context.started_at).timestamp() < 60


def test_passes_visit_all_models_next_to_the_reference(
    device: BenchmarkModelDevice, tiny: ModelFile, small: ModelFile, network: ModelFile
) -> None:
    found = passes(device.stream([tiny, small, network], replace(QUICK, passes=3, reference=small, seed=1)))
    assert [each.index for each in found] == [0] * 3 + [1] * 3 + [2] * 3
    orders = [[each.model for each in found[i : i + 3]] for i in range(0, 9, 3)]
    assert len({tuple(order) for order in orders}) > 1
    assert all(each.reference_ms is not None and each.reference_ms > 0.01 for each in found)
    of = {name: gather(small, [each for each in found if each.model == name]) for name in set(orders[0])}
    assert of["tiny.tflite"].median_ms < of["small.tflite"].median_ms / 5
    assert of["small.tflite"].runs == 15


def test_operators_come_from_a_run_of_their_own(device: BenchmarkModelDevice, network: ModelFile) -> None:
    (found,) = passes(device.stream([network], replace(QUICK, per_operator=True)))
    assert found.operators
    assert [row.index for row in found.operators] == list(range(len(found.operators)))
    assert all(row.mean_ms >= 0 and row.label for row in found.operators)
    assert all(row.kind and row.name and row.times_called == 1 for row in found.operators)
    assert [row.total_ms for row in found.operators] == [row.mean_ms for row in found.operators]
    assert found.summary is not None
    total = sum(row.mean_ms for row in found.operators)
    assert 0.3 < total / found.summary.mean_ms < 3


def test_a_batch_is_one_push_and_one_shell(
    phone: EmulatedPhone, device: BenchmarkModelDevice, tiny: ModelFile, small: ModelFile, network: ModelFile
) -> None:
    passes(device.stream([tiny], QUICK))
    before = len(phone.log)
    passes(device.stream([tiny, small, network], replace(QUICK, passes=3)))
    opened = phone.log[before:]
    assert sum(name.startswith("sync") for name in opened) <= 1
    assert len(opened) <= 6  # is the program whole, which models are there, push, unpack, look again, run


def test_failing_models_are_reported_once_and_the_others_go_on(
    device: BenchmarkModelDevice, tiny: ModelFile
) -> None:
    models = [BROKEN, tiny, ModelFile("empty.tflite", b"")]
    found = list(device.stream(models, replace(QUICK, passes=3)))
    assert len(found) == 2 + 3
    failed = {each.model: each for each in found if isinstance(each, Failure)}
    assert {each.error for each in failed.values()} == {"ModelRejected"}
    assert failed["broken.tflite"].message.startswith("broken.tflite is refused by benchmark_model 2.2.0: ")


def test_a_crash_costs_one_model_once(
    phone: EmulatedPhone, device: BenchmarkModelDevice, tiny: ModelFile, small: ModelFile
) -> None:
    for kind, error in (("runner_crash", "WorkerCrashed"), ("runner_garbage", "UnreadableOutput")):
        phone.inject(Fault(kind))
        found = list(device.stream([tiny, small], replace(QUICK, passes=2)))
        (failure,) = failures(iter(found))
        assert failure.error == error
        assert failure.message.startswith(f"{failure.model}: ")
        assert "\x1b" not in failure.message
        assert len(found) == 3


def test_a_delegate_that_did_not_run_is_no_result(
    phone: EmulatedPhone, transport: Transport, key: Path, tiny: ModelFile
) -> None:
    device = on_phone(phone, transport, Settings(delegate="gpu"))
    (found,) = passes(device.stream([tiny], QUICK))
    assert found.context.delegate == "gpu"
    with emulated_phone(gpu="none") as other:
        theirs = direct_tcp(other.host, other.port, keys=[key])
        device = on_phone(other, theirs, Settings(delegate="gpu"))
        (failure,) = failures(device.stream([tiny], QUICK))
        assert (failure.error, failure.code) == ("DelegateFallback", "DELEGATE_FALLBACK")
        assert failure.delegated_operators == 0
        assert "it took no node (0 %)" in failure.message
        theirs.close()


def test_the_delegates_libraries_go_along_and_lie_together(
    phone: EmulatedPhone, transport: Transport, tiny: ModelFile, tmp_path: Path
) -> None:
    libraries = (tmp_path / "libQnnTfLiteDelegate.so", tmp_path / "libQnnHtp.so")
    for library in libraries:
        library.write_bytes(b"\x7fELF of " + library.name.encode())
    options = ("backend_type:htp", "skel_library_dir:{lib}")
    settings = Settings(delegate=f"external:{libraries[0].name}", delegate_options=options)
    device = on_phone(phone, transport, settings, libraries)
    (found,) = passes(device.stream([tiny], QUICK))
    sums = [hashlib.sha256(library.read_bytes()).hexdigest() for library in libraries]
    assert found.context.libraries == tuple(
        f"{library.name} sha256:{sha256}" for library, sha256 in zip(libraries, sums, strict=True)
    )
    assert found.context.settings.delegate_options == options
    (folder,) = (phone.folder / "local/tmp/mnas/lib").iterdir()
    for library in libraries:
        assert (folder / library.name).read_bytes() == library.read_bytes()
    with pytest.raises(BadSettings, match="cannot read the delegate's library"):
        on_phone(phone, transport, settings, (tmp_path / "none.so",))


def test_a_delegate_that_lies_there_is_named_with_what_it_contains(
    phone: EmulatedPhone, transport: Transport, tiny: ModelFile
) -> None:
    path = "/data/local/tmp/x.so"
    device = on_phone(phone, transport, Settings(delegate=f"external:{path}"))
    with pytest.raises(BadSettings, match=rf"no file {path} on the device that can be read"):
        list(device.stream([tiny], QUICK))
    for content in (b"\x7fELF", b"\x7fELF of another day"):
        phone.write(path, content)
        (found,) = passes(device.stream([tiny], QUICK))
        assert found.context.libraries == (f"{path} sha256:{hashlib.sha256(content).hexdigest()}",)


def test_a_program_that_was_changed_is_not_used(
    phone: EmulatedPhone, device: BenchmarkModelDevice, tiny: ModelFile
) -> None:
    path = f"{WORK}/bin/{hashlib.sha256(BENCHMARK_MODEL.read_bytes()).hexdigest()}/benchmark_model"
    passes(device.stream([tiny], QUICK))
    phone.write(path, BENCHMARK_MODEL.read_bytes().replace(b"echo", b"ecko"))
    with pytest.raises(RuntimeMissing, match=r"run `mnas devices setup adb://127\.0\.0\.1:\d+`"):
        next(device.stream([tiny], QUICK))


def test_a_device_without_the_program_says_what_to_do(transport: Transport, tiny: ModelFile) -> None:
    for sha256 in (None, "0" * 64):
        device = BenchmarkModelDevice("adb://x", transport, Settings(), WORK, sha256, PLAIN)
        with pytest.raises(
            RuntimeMissing, match=r"adb://x has no .*benchmark_model.*`mnas devices setup adb://x`"
        ):
            next(device.stream([tiny], QUICK))


def test_what_it_cannot_do_is_refused_before_anything_is_measured(
    phone: EmulatedPhone, transport: Transport, tiny: ModelFile
) -> None:
    device = on_phone(phone, transport, Settings(delegate="npu"))
    with pytest.raises(BadSettings, match="--use_npu"):
        next(device.stream([tiny], QUICK))
    with pytest.raises(BadSettings, match="give each thread a core"):
        on_phone(phone, transport, Settings(threads=2, cpus=(1,)))


def test_a_pulled_cable_ends_the_stream_and_the_next_one_begins_anew(
    phone: EmulatedPhone, device: BenchmarkModelDevice, tiny: ModelFile, small: ModelFile
) -> None:
    stream = device.stream([tiny, small], replace(QUICK, passes=50))
    next(stream)
    phone.unplug(0.3)
    with pytest.raises(TransientError):
        list(stream)
    time.sleep(0.5)
    for _ in range(20):
        try:
            assert len(passes(device.stream([tiny, small], QUICK))) == 2
            break
        except TransientError:
            time.sleep(0.1)
    else:
        pytest.fail("the phone was not reached again")


def test_a_stream_left_early_leaves_nothing_running(
    phone: EmulatedPhone, device: BenchmarkModelDevice, tiny: ModelFile, small: ModelFile
) -> None:
    stream = device.stream([tiny, small], replace(QUICK, passes=100))
    next(stream)
    stream.close()  # type: ignore[attr-defined] # it is a generator
    deadline = time.monotonic() + 5
    while phone.processes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(passes(device.stream([tiny], QUICK))) == 1


# --- with programs that misbehave


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[..., BenchmarkModelDevice]]:
    """A device whose program is a script of the test's: `$graph` is the model's path."""
    transport = Through([])
    before = running()

    def make(
        script: str, flags: str = "graph num_runs use_xnnpack result_file_path", helping: str = ""
    ) -> BenchmarkModelDevice:
        offered = "\n".join(f"--{flag}=x" for flag in flags.split())
        content = f"""#!/bin/sh
for a; do case $a in --help) {helping} echo '{offered}'; exit 1;; --graph=*) graph=${{a#*=}};; esac; done
{script}
""".encode()
        Staging(transport, str(tmp_path)).keep("bin", "benchmark_model", content, executable=True)
        sha256 = hashlib.sha256(content).hexdigest()
        return BenchmarkModelDevice("adb://fake", transport, Settings(), str(tmp_path), sha256, PLAIN)

    yield make
    transport.close()
    assert running() <= before


#: what the tool prints of a model that it runs in no microsecond, but for once
NOTHING = (
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n"
    "count=1 curr=7 min=7 max=7 avg=7 std=0 p5=7 median=7 p95=7\\n"
    "count=50 first=1 curr=0 min=0 max=1 avg=0.02 std=0 p5=0 median=0 p95=0\\n"
    "Inference timings in us: Init: 9, First inference: 7, Warmup (avg): 7, Inference (avg): 0.02\\n"
)
GOOD = f"cat {CONSOLES}/2024-desktop-xnnpack.txt"


def models(count: int) -> list[ModelFile]:
    return [ModelFile(f"m{i}", b"%d" % i) for i in range(count)]


def test_a_hang_costs_its_model_and_no_other(
    local: Callable[..., BenchmarkModelDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "GRACE_S", 0.0)
    device = local(f'[ "$(cat "$graph")" != 3 ] || sleep 1000; {GOOD}')
    begin = time.monotonic()
    found = list(device.stream(models(6), Plan(passes=3, deadline_s=1.0)))
    assert time.monotonic() - begin < 20
    (failure,) = failures(iter(found))
    assert (failure.model, failure.error) == ("m3", "DeadlineExceeded")
    assert re.fullmatch(
        r"m3 was not measured within its deadline of 1 s: benchmark_model did not end, and was stopped after "
        r"\d+\.\d s",
        failure.message,
    )
    kept = [(each.model, each.index) for each in found if isinstance(each, Pass)]
    assert sorted(kept) == sorted((f"m{i}", index) for i in (0, 1, 2, 4, 5) for index in range(3))


def test_a_program_that_hangs_when_it_is_asked_what_it_offers(
    local: Callable[..., BenchmarkModelDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "ASK_S", 0.5)
    device = local(GOOD, helping="sleep 1000;")
    with pytest.raises(DeadlineExceeded, match=r"benchmark_model --help gave no answer .* within 0\.5 s"):
        next(device.stream(models(1), QUICK))


def test_every_model_may_hang(
    local: Callable[..., BenchmarkModelDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "GRACE_S", 0.1)
    device = local("sleep 1000")
    found = list(device.stream(models(3), Plan(passes=2, deadline_s=0.1)))
    assert sorted(each.model for each in failures(iter(found))) == ["m0", "m1", "m2"]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("exit 0", "UnreadableOutput", "printed no result"),
        (f"printf '{NOTHING}'", "DeviceTrouble", "a run takes less than a microsecond"),
        ("echo nonsense; exit 9", "DeviceTrouble", "exit code 9"),
        ("kill -9 $$", "OutOfMemory", "memory"),
        ("kill -11 $$", "WorkerCrashed", "SIGSEGV"),
        ("head -c 300000 /dev/urandom", "UnreadableOutput", "no result"),
        ("yes", "UnreadableOutput", "larger than"),
        ("printf '\\033]0;title\\007\\033[31mterminate: bad_alloc\\n'; exit 134", "OutOfMemory", "bad_alloc"),
        (f"{GOOD}; kill -6 $$", "WorkerCrashed", "SIGABRT"),
        ("kill -9 $PPID; sleep 0.2", None, ""),
    ],
)
def test_programs_that_end_badly(
    local: Callable[..., BenchmarkModelDevice], script: str, error: str | None, message: str
) -> None:
    device = local(f'[ "$(cat "$graph")" != 1 ] || {{ {script}\n}}\n[ "$(cat "$graph")" = 1 ] || {GOOD}')
    found = list(device.stream(models(3), Plan(passes=2, deadline_s=10.0)))
    (failure,) = failures(iter(found))
    assert failure.model == "m1"
    assert error is None or failure.error == error
    assert message in failure.message
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", failure.message)
    assert len(found) == 1 + 4


def test_a_result_file_of_another_run_is_refused(local: Callable[..., BenchmarkModelDevice]) -> None:
    wrong = Path(__file__).with_name("result.pb")
    device = local(f'for a; do case $a in --result_file_path=*) cp {wrong} "${{a#*=}}";; esac; done; {GOOD}')
    (failure,) = failures(device.stream(models(1), QUICK))
    assert failure.error == "UnreadableOutput"


def test_the_shell_of_a_broken_link_is_given_up(
    local: Callable[..., BenchmarkModelDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link error is nobody's failure: it leaves the stream."""
    from devices.runners.program_loop import ProgramLoop

    device = local(GOOD)
    waited = ProgramLoop.wait

    def wait(self: ProgramLoop, deadline_s: float) -> object:
        if calls:
            calls.pop()
            return waited(self, deadline_s)
        self.kill()
        raise LinkLost("the cable is out")

    calls = [1, 2]
    monkeypatch.setattr(ProgramLoop, "wait", wait)
    stream = device.stream(models(5), QUICK)
    assert isinstance(next(stream), Pass)
    assert isinstance(next(stream), Pass)
    with pytest.raises(LinkLost):
        next(stream)
