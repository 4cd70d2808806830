"""The stand-in for `benchmark_model` on the phone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from devices.emulator import BENCHMARK_MODEL, EmulatedPhone, Fault, known_latency_ms
from devices.measurement import ModelFile
from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write
from tests.devices.emulator.hosts import Host, wait_until
from tests.devices.phones import emulated_phone

PROGRAM = "/data/local/tmp/benchmark_model"
SHORT = "--num_runs=5 --min_secs=0.01 --warmup_min_secs=0.01"


@pytest.fixture(scope="module")
def known() -> Iterator[EmulatedPhone]:
    with emulated_phone(latency="known") as phone:
        install(phone)
        yield phone


@pytest.fixture(scope="module")
def real() -> Iterator[EmulatedPhone]:
    with emulated_phone() as phone:
        install(phone)
        yield phone


def install(phone: EmulatedPhone, *models: ModelFile) -> None:
    phone.write(PROGRAM, BENCHMARK_MODEL.read_bytes())
    (phone.root / PROGRAM.lstrip("/")).chmod(0o755)
    for model in models:
        phone.write(f"/data/local/tmp/{model.name}", model.content)


def run(phone: EmulatedPhone, flags: str, before: str = "") -> tuple[str, int | None]:
    """Everything it prints, and its exit code."""
    with Host(phone) as host:
        out, err, code = host.shell_v2(f"{before} {PROGRAM} {flags}")
    return (out + err).decode(errors="replace"), code


def test_it_reports_the_known_latency_of_the_model(
    known: EmulatedPhone, tiny: ModelFile, pooling_int8: ModelFile
) -> None:
    install(known, tiny, pooling_int8)
    for model in (tiny, pooling_int8):
        text, code = run(known, f"--graph=/data/local/tmp/{model.name} --min_secs=0 --num_runs=7")
        expected = round(1000 * known_latency_ms(model.sha256))
        assert code == 0
        assert f"count=7 curr={expected}(all same) p5={expected}" in text
        assert f"Inference (avg): {expected:g}" in text
    assert known_latency_ms(tiny.sha256) != known_latency_ms(pooling_int8.sha256)
    assert 1 <= known_latency_ms("0" * 64) == 1 <= known_latency_ms("f" * 64) <= 100


def test_it_really_runs_the_model(real: EmulatedPhone, tiny: ModelFile, large: ModelFile) -> None:
    install(real, tiny, large)
    averages = []
    for model in (tiny, large):
        text, code = run(real, f"--graph=/data/local/tmp/{model.name} {SHORT}")
        assert code == 0, text
        averages.append(float(re.findall(r"Inference \(avg\): (\S+)", text)[0]))
    assert averages[1] > 100 * averages[0]


def test_it_talks_as_the_tool_of_today(real: EmulatedPhone, tiny: ModelFile) -> None:
    install(real, tiny)
    text, code = run(
        real,
        f"--graph=tiny.tflite {SHORT} --use_xnnpack=true --num_threads=1 --enable_op_profiling=true "
        "--result_file_path=result.pb --report_peak_memory_footprint=true --made_up=3 extra",
        "cd /data/local/tmp;",
    )
    assert code == 0
    for line in (
        "INFO: STARTING!",
        "WARN: Unconsumed cmdline flags: --made_up=3 extra",
        "INFO: Num threads: [1]",
        "INFO: Graph: [tiny.tflite]",
        "INFO: Use xnnpack: [1]",
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the "
        "delegate.",
    ):
        assert text.splitlines().count(line) == 1, line
    assert re.search(r"\(TfLiteXNNPackDelegate\) node", text)
    assert re.search(r"\t +CONV_2D\t.*%\t", text)
    assert real.read("/data/local/tmp/result.pb").startswith(b"\x0a\x00\x12")


def test_it_talks_as_the_tool_of_2019(start_phone: Callable[..., EmulatedPhone], tiny: ModelFile) -> None:
    phone = start_phone(console="2019", latency="known")
    install(phone, tiny)
    text, code = run(phone, f"--graph=/data/local/tmp/tiny.tflite {SHORT} --enable_op_profiling=true")
    assert code == 0
    assert text.startswith("STARTING!\nMin num runs: [5]\n")
    assert re.search(r"^Average inference timings in us: Warmup: \d+, Init: \d+, no stats: \d+$", text, re.M)
    assert "[start]" in text
    assert "p95" not in text
    assert "--result_file_path" not in run(phone, "--help")[0]


def test_its_help_and_its_failures(real: EmulatedPhone, tiny: ModelFile) -> None:
    install(real, tiny, ModelFile("broken.tflite", b"TFL3" * 20), ModelFile("empty.tflite", b""))
    text, code = run(real, "--help")
    assert code == 1
    assert "\t--use_gpu=false" in text
    for flags, said in (
        ("", "Please specify the name of your TF Lite input file with --graph"),
        ("--graph=/nothing", "Failed to mmap model /nothing"),
        ("--graph=/data/local/tmp/broken.tflite", "Failed to mmap model"),
        ("--graph=/data/local/tmp/empty.tflite", "Failed to mmap model"),
        ("--num_runs=many", "Failed to parse flag"),
        ("--graph=/data/local/tmp/tiny.tflite --external_delegate_path=/no.so", "Failed to apply EXTERNAL"),
    ):
        text, code = run(real, flags)
        assert code == 1, flags
        assert said in text, flags
        assert text.rstrip().endswith("ERROR: Benchmarking failed.")


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("works", "Replacing 12 out of 12 node(s) with delegate (TfLiteGpuDelegateV2)"),
        ("partial", "Replacing 6 out of 12 node(s) with delegate (TfLiteGpuDelegateV2)"),
        ("none", "Created 0 GPU delegate kernels."),
    ],
)
def test_a_gpu_may_not_run_the_model(
    start_phone: Callable[..., EmulatedPhone], network: ModelFile, gpu: str, said: str
) -> None:
    phone = start_phone(gpu=gpu, latency="known")
    install(phone, network)
    text, code = run(phone, f"--graph=/data/local/tmp/network.tflite {SHORT} --use_gpu=true")
    assert code == 0
    assert said in text
    on_cpu = {
        "works": "",
        "partial": "Replacing 6 out of 7 node(s)",
        "none": "Replacing 12 out of 12 node(s)",
    }
    assert (f"{on_cpu[gpu]} with delegate (TfLiteXNNPackDelegate)" in text) is (gpu != "works")


def test_the_next_run_crashes_or_prints_garbage(known: EmulatedPhone, tiny: ModelFile) -> None:
    install(known, tiny)
    flags = f"--graph=/data/local/tmp/tiny.tflite {SHORT}"
    known.inject(Fault("runner_crash"))
    assert run(known, flags)[1] == 139
    known.inject(Fault("runner_garbage"))
    text, code = run(known, flags)
    assert code == 0
    assert "\x1b[2J" in text
    text, code = run(known, flags)
    assert code == 0
    assert "Inference (avg)" in text


def test_it_has_no_more_memory_than_a_phone(known: EmulatedPhone) -> None:
    spec = "average_pool_2d/float32/1x8000x8000x4/1x8000x8000x4/k3x3/s1x1/same"
    greedy = ModelFile("greedy.tflite", write(single(OpSpec.parse(spec))))
    install(known, greedy)
    text, code = run(known, f"--graph=/data/local/tmp/greedy.tflite {SHORT}")
    assert code == 134
    assert "std::bad_alloc" in text


def test_it_ends_with_the_one_who_started_it(real: EmulatedPhone, tiny: ModelFile) -> None:
    install(real, tiny)
    with Host(real) as host:
        stream = host.open(f"shell,v2,raw:exec {PROGRAM} --graph=/data/local/tmp/tiny.tflite --min_secs=99")
        wait_until(
            lambda: (
                sorted("inside" in words for _, words in real.processes()) == [False, True]
            )  # it, and what runs for it
        )
        stream.close()
        wait_until(lambda: not real.processes())
        wait_until(lambda: not re.search(r"^\d+$", host.shell("ls /.emulator"), re.M))


def test_it_can_be_slowed_down(known: EmulatedPhone, tiny: ModelFile) -> None:
    install(known, tiny)
    known.slow(1.5)
    text, _ = run(known, f"--graph=/data/local/tmp/tiny.tflite {SHORT}")
    known.slow(1)
    assert f"curr={int(1.5 * round(1000 * known_latency_ms(tiny.sha256)))}(" in text


def test_a_run_starts_fast(known: EmulatedPhone, tiny: ModelFile) -> None:
    install(known, tiny)
    loop = (
        f"i=0; while [ $i -lt 20 ]; do {PROGRAM} --graph=/data/local/tmp/tiny.tflite {SHORT} >/dev/null 2>&1 "
        "|| echo failed; i=$((i + 1)); done"
    )
    with Host(known) as host:
        begun = time.monotonic()
        assert host.shell(loop) == ""
        assert time.monotonic() - begun < 20 * 0.15  # a Python that starts and loads LiteRT takes more
