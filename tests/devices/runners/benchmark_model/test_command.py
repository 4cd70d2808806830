"""Command lines: what each binary is asked, by what its help says that it knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devices.errors import BadSettings, ProfilerUnavailable
from devices.measurement import Settings
from devices.plan import Plan
from devices.runners.benchmark_model import Offers, command


def printed(*flags: str) -> str:
    """Help as the tool prints it: columns between tabs."""
    rows = "".join(f"\t--{flag}={'x':20}\tstring\toptional\twhat --{flag} does\n" for flag in flags)
    return f"usage: ./benchmark_model <flags>\nFlags:\n{rows}"


COMMON = ("num_runs", "min_secs", "max_secs", "warmup_runs", "warmup_min_secs", "num_threads", "graph")
OLD = Offers.of_help(printed("num_runs", "num_threads", "warmup_runs", "graph", "use_nnapi"))
TFLITE = Offers.of_help(
    printed(
        *COMMON,
        "enable_op_profiling",
        "use_xnnpack",
        "use_gpu",
        "gpu_backend",
        "use_nnapi",
        "disable_nnapi_cpu",
        "external_delegate_path",
        "external_delegate_options",
        "result_file_path",
    )
)
LITERT = Offers.of_help(
    printed(
        *COMMON,
        "use_profiler",
        "use_cpu",
        "use_gpu",
        "use_npu",
        "gpu_backend",
        "dispatch_library_path",
        "compiler_plugin_library_path",
        "result_file_path",
    )
)
PLAN = Plan(min_runs=40, min_time_s=0.5, warmup_runs=3, deadline_s=30)


def flags(
    offers: Offers, delegate: str = "xnnpack", plan: Plan = PLAN, libraries: tuple[str, ...] = ()
) -> set[str]:
    asked = command(
        "/w/benchmark_model", "/w/m.tflite", Settings(2, delegate=delegate), plan, offers, libraries=libraries
    )
    at = asked.index("/w/benchmark_model")
    return set(asked[at + 1 :])


def test_the_whole_command() -> None:
    assert command(
        "/w/bin/x/benchmark_model", "/w/m.tflite", Settings(4), PLAN, TFLITE, result_path="/w/r.pb"
    ) == [
        "/w/bin/x/benchmark_model",
        "--graph=/w/m.tflite",
        "--num_threads=4",
        "--num_runs=40",
        "--warmup_runs=3",
        "--min_secs=0.5",
        "--warmup_min_secs=0",
        "--max_secs=30",
        "--use_xnnpack=true",
        "--result_file_path=/w/r.pb",
    ]


def test_a_binary_of_2018_is_asked_nothing_that_it_does_not_know() -> None:
    asked = command("b", "m", Settings(delegate="cpu"), PLAN, OLD, result_path="r.pb")
    assert asked == ["b", "--graph=m", "--num_threads=1", "--num_runs=40", "--warmup_runs=3"]


@pytest.mark.parametrize(
    ("offers", "delegate", "expected"),
    [
        (TFLITE, "xnnpack", {"--use_xnnpack=true"}),
        (TFLITE, "cpu", {"--use_xnnpack=false"}),
        (TFLITE, "gpu", {"--use_gpu=true"}),
        (TFLITE, "gpu-opencl", {"--use_gpu=true", "--gpu_backend=cl"}),
        (TFLITE, "gpu-opengl", {"--use_gpu=true", "--gpu_backend=gl"}),
        (TFLITE, "nnapi", {"--use_nnapi=true", "--disable_nnapi_cpu=true"}),
        (TFLITE, "external:/v/libvx.so", {"--external_delegate_path=/v/libvx.so"}),
        (LITERT, "xnnpack", {"--use_cpu=true"}),
        (LITERT, "gpu", {"--use_gpu=true"}),
        (LITERT, "npu", {"--use_npu=true"}),
        (OLD, "nnapi", {"--use_nnapi=true"}),
    ],
)
def test_delegates(offers: Offers, delegate: str, expected: set[str]) -> None:
    everything = {"--use_", "--gpu_", "--disable_", "--external_"}
    assert {flag for flag in flags(offers, delegate) if any(map(flag.startswith, everything))} == expected


@pytest.mark.parametrize(
    ("offers", "delegate"),
    [
        (OLD, "xnnpack"),
        (OLD, "gpu"),
        (OLD, "external:x.so"),
        (TFLITE, "npu"),
        (LITERT, "cpu"),
        (LITERT, "nnapi"),
    ],
)
def test_a_delegate_that_a_binary_does_not_offer_is_refused_with_what_it_offers(
    offers: Offers, delegate: str
) -> None:
    with pytest.raises(BadSettings, match=f"cannot run the delegate {delegate}.* it has .*--use_"):
        flags(offers, delegate)


def test_libraries_of_a_delegate_are_found_where_they_were_put() -> None:
    libraries = ("/w/lib/1/libQnnHtp.so", "/w/lib/1/libQnnTFLiteDelegate.so")
    asked = command(
        "b", "m", Settings(delegate="external:libQnnTFLiteDelegate.so"), PLAN, TFLITE, libraries=libraries
    )
    assert asked[:3] == ["env", "LD_LIBRARY_PATH=/w/lib/1", "ADSP_LIBRARY_PATH=/w/lib/1"]
    assert "--external_delegate_path=/w/lib/1/libQnnTFLiteDelegate.so" in asked
    asked = command(
        "b", "m", Settings(delegate="npu"), PLAN, LITERT, libraries=("/w/lib/libLiteRtDispatch.so",)
    )
    assert {"--dispatch_library_path=/w/lib", "--compiler_plugin_library_path=/w/lib"} < set(asked)


@pytest.mark.parametrize(
    ("delegate", "libraries", "folder"),
    [
        ("external:libQnnTFLiteDelegate.so", ("/w/lib/1/libQnnHtp.so",), "/w/lib/1"),
        ("external:/data/local/tmp/q/libQ.so", (), "/data/local/tmp/q"),
        ("external:/vendor/lib64/libQ.so", (), "/vendor/lib64"),
    ],
)
def test_a_delegate_is_told_its_options_and_where_its_libraries_lie(
    delegate: str, libraries: tuple[str, ...], folder: str
) -> None:
    told = ("backend_type:htp", "skel_library_dir:{lib}", "library_path:{lib}/libQnnHtp.so")
    asked = command(
        "b", "m", Settings(delegate=delegate, delegate_options=told), PLAN, TFLITE, libraries=libraries
    )
    assert (
        f"--external_delegate_options=backend_type:htp;skel_library_dir:{folder};library_path:{folder}/libQnnHtp.so"
        in asked
    )


def test_loaders_look_beside_a_delegate_of_the_device_unless_it_is_the_systems() -> None:
    for path, begin in (
        ("/data/local/tmp/q/x.so", ["env", "LD_LIBRARY_PATH=/data/local/tmp/q"]),
        ("/vendor/lib64/x.so", ["b", "--graph=m"]),
        ("/usr/lib/x.so", ["b", "--graph=m"]),
    ):
        assert command("b", "m", Settings(delegate=f"external:{path}"), PLAN, TFLITE)[:2] == begin


def test_options_that_cannot_be_told_are_refused() -> None:
    here = Settings(delegate="external:x.so", delegate_options=("dir:{lib}",))
    with pytest.raises(BadSettings, match=r"option dir:\{lib\} needs the folder .* none is known: name them"):
        command("b", "m", here, PLAN, TFLITE)
    odd = Settings(delegate="external:/data/a:b/x.so", delegate_options=("dir:{lib}",))
    with pytest.raises(BadSettings, match="has a colon or a semicolon"):
        command("b", "m", odd, PLAN, TFLITE)
    old = Offers(TFLITE.flags - {"external_delegate_options"})
    with pytest.raises(
        BadSettings, match="no flag --external_delegate_options; it has --external_delegate_path"
    ):
        command("b", "m", Settings(delegate="external:/x.so", delegate_options=("a:b",)), PLAN, old)


def test_profiling() -> None:
    profiled = replace(PLAN, per_operator=True)
    assert "--enable_op_profiling=true" in flags(TFLITE, plan=profiled)
    assert "--use_profiler=true" in flags(LITERT, plan=profiled)
    assert not any("profil" in flag for flag in flags(TFLITE) | flags(LITERT))
    with pytest.raises(ProfilerUnavailable):
        flags(OLD, "cpu", plan=profiled)


def test_there_is_always_a_first_inference() -> None:
    assert "--warmup_runs=1" in flags(TFLITE, plan=replace(PLAN, warmup_runs=0))


@pytest.mark.parametrize("text", ["", "benchmark_model: not found", "--help=false bool"])
def test_what_is_no_help_is_refused(text: str) -> None:
    with pytest.raises(BadSettings, match="not the help of benchmark_model"):
        Offers.of_help(text)


def test_help_as_adb_shows_it() -> None:
    # a line of github.com/tensorflow/tensorflow/issues/55364, tabs lost
    offers = Offers.of_help(
        "usage: /data/local/tmp/android_aarch64_benchmark_model <flags>\r\nFlags:\r\n"
        "--graph= string optional graph file name\r\n"
        "--hexagon_lib_path=/data/local/tmp string optional The library path for the underlying "
        "Hexagon libraries.\r\n"
    )
    assert offers.flags == {"graph", "hexagon_lib_path"}


def test_help_as_manuals_print_it() -> None:
    # lines of wiki.st.com/stm32mpu-ecosystem-v5 (TFLite 2) and of TI's Processor SDK 6.2 (TFLite 1.12)
    offers = Offers.of_help(
        "usage: ./benchmark_model <flags>\nFlags:\n"
        "        --num_runs=50                           int32   optional        expected number of runs, "
        "see also min_secs, max_secs\n"
        "        --min_secs=1                            float   optional        minimum number of seconds "
        "to rerun for, potentially making the actual number of runs to be greater than num_runs\n"
        "        --max_secs=150                          float   optional        Note if --max-secs is "
        "exceeded in the middle of a run, the benchmark will continue to the end of the run\n"
        "        --run_delay=-1  float   delay between runs in seconds\n"
        "        --num_threads=1 int32   number of threads\n"
        "        --graph=        string  graph file name\n"
    )
    assert offers.flags == {"num_runs", "min_secs", "max_secs", "run_delay", "num_threads", "graph"}


def test_a_hostile_name_stays_one_argument() -> None:
    name = "/w/$(reboot); --use_gpu=true\n.tflite"
    assert command("b", name, Settings(), PLAN, TFLITE)[1] == f"--graph={name}"
