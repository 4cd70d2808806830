"""Real consoles: every figure that they print, and nothing that they do not."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import DeviceTrouble, UnreadableOutput
from devices.measurement import Settings
from devices.runners.benchmark_model import Result, Statistics, fallback, parse, parse_all, share
from devices.runners.benchmark_model.delegates import Reader
from devices.runners.benchmark_model.lines import MOST_CHARACTERS, lines
from tests.devices.runners.benchmark_model.corpus import FAILURES, HERE, RESULTS, SAID, console

MIB = 1 << 20
TAKEN = (
    "INFO: Replacing {} out of {} node(s) with delegate ({}) node, yielding 1 partitions for subgraph {}.\n"
)


def approximately(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)


def test_every_console_has_its_source_and_its_fields() -> None:
    files = {file.stem for file in (HERE / "consoles").iterdir()}
    assert files == set(SAID)
    assert len(files) >= 20
    assert all(said["source"] for said in SAID.values())
    assert {name[:4] for name in files} >= {str(year) for year in range(2018, 2027)}


@pytest.mark.parametrize("name", RESULTS)
def test_latencies(name: str) -> None:
    said, result = SAID[name], parse(console(name))
    for phase, found in (("inference", result.inference), ("warmup", result.warmup)):
        expected = said.get(phase)
        if expected is None:
            assert found is None
            continue
        for field in Statistics.__slots__:
            assert getattr(found, field) == approximately(expected.get(field.removesuffix("_ms"))), field
    assert result.init_ms == approximately(said.get("init"))
    assert result.first_inference_ms == approximately(said.get("first_inference"))
    assert result.model == said.get("model")
    for field in ("init_memory", "overall_memory", "peak_memory"):
        expected = said.get(field)
        assert getattr(result, f"{field}_bytes") == (None if expected is None else round(expected * MIB))


@pytest.mark.parametrize("name", RESULTS)
def test_operators(name: str) -> None:
    said, result = SAID[name], parse(console(name))
    assert len(result.operators) == said.get("operator_count", 0)
    assert len(result.initialisation_operators) == said.get("initialisation_operator_count", 0)
    assert [row.index for row in result.operators] == list(range(len(result.operators)))
    for index, kind, called_name, mean, called, total, delegated in said.get("operators", []):
        row = result.operators[index]
        assert (row.kind, row.name, row.times_called, row.delegated) == (kind, called_name, called, delegated)
        assert row.mean_ms == pytest.approx(mean)
        assert row.total_ms == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("name", sorted(SAID))
def test_delegates(name: str) -> None:
    reader = Reader()
    for line in lines(console(name)):
        reader.take(line)
    said, found = SAID[name], reader.delegates()
    none = {-1: None}
    assert [(one.delegate, one.taken, one.nodes, one.partitions) for one in found.taken] == [
        tuple(row) for row in said.get("taken", [])
    ]
    assert [(one.delegate, one.how, one.kernels) for one in found.applied] == [
        (delegate, how, none.get(kernels, kernels)) for delegate, how, kernels in said.get("applied", [])
    ]
    assert found.gpu_kernels == said.get("gpu_kernels")
    assert found.gpu_backend == said.get("gpu_backend")
    assert list(found.unconsumed) == said.get(
        "unconsumed", [] if name != "2021-unconsumed-graph" else ["--graph", "test"]
    )
    assert list(found.refused) == said.get("refused", [])
    assert found.accelerators == (tuple(said["accelerators"]) if "accelerators" in said else None)


@pytest.mark.parametrize(
    ("name", "delegate", "says"),
    [(name, delegate, says) for name in RESULTS for delegate, says in SAID[name].get("fallback", {}).items()],
)
def test_a_delegate_that_did_not_run_the_model_has_no_result(name: str, delegate: str, says: str) -> None:
    found = fallback(parse(console(name)), Settings(delegate=delegate))
    if says:
        assert found is not None
        assert delegate in str(found)
        assert re.search(says, str(found))
    else:
        assert found is None


@pytest.mark.parametrize("name", FAILURES)
def test_a_run_without_a_result_is_none(name: str) -> None:
    with pytest.raises(UnreadableOutput, match="benchmark_model"):
        parse(console(name))


def test_two_runs_on_one_console() -> None:
    first, second = parse_all(console("2021-nxp-two-runs"))
    assert (first.inference.count, second.inference.count) == (15523, 2254)
    assert (len(first.operators), len(second.operators)) == (0, 8)
    both = console("2020-denoising-gpu") + console("2023-cmake-cpu")
    assert [one.model for one in parse_all(both)] == [
        SAID[name]["model"] for name in ("2020-denoising-gpu", "2023-cmake-cpu")
    ]
    assert parse(both) == parse(console("2023-cmake-cpu"))


@pytest.mark.parametrize("name", FAILURES)
def test_a_run_that_failed_after_one_that_did_not_has_no_result(name: str) -> None:
    if console(name).lstrip().startswith(("STARTING!", "INFO: STARTING!")):
        with pytest.raises(UnreadableOutput):
            parse(console("2023-cmake-cpu") + console(name))


@pytest.mark.parametrize("name", RESULTS)
def test_a_console_that_breaks_off_gives_a_result_only_with_the_measured_runs(name: str) -> None:
    text = console(name)
    means = {one.inference.mean_ms for one in parse_all(text)}
    kept = text.splitlines(keepends=True)
    for count in range(len(kept)):
        try:
            part = parse("".join(kept[:count]))
        except UnreadableOutput:
            continue
        assert part.inference.mean_ms in means


# -- noise and garbage

LOGS = (
    "",
    'WARNING: linker: Warning: "/data/local/tmp/benchmark_model" unused DT entry: DT_RUNPATH',
    "ERROR: Following operations are not supported by GPU delegate:",
    "INFO: Initialized TensorFlow Lite runtime.",
    "I/Adreno  (12345): QUALCOMM build                   : 0905e9f, Ia11ce2d146",
    '06-18 10:20:41.926  4669  4669 W libc    : Access denied finding property "vendor.debug"',
    "W0000 00:00:1715271820.470456    8120 tflite_model_loader.cc:200] TFLite Model reader fallback: 0.5",
    "\x1b[31mspeed 3.2 MB/s\x1b[0m",
    "type 54 str SoftmaxAxis0",
    "mean 12.5 ms, max=13",
)
noise = st.sampled_from(LOGS) | st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r=[]", exclude_categories=["Cs"]), max_size=60
).filter(lambda text: not _ours(text))


def _ours(text: str) -> bool:
    """Whether a made-up line may be one of the tool's own."""
    words = (
        "count",
        "infer",
        "replac",
        "delegat",
        "benchmark",
        "number of",
        "timings",
        "created",
        "memory",
        "init",
    )
    return any(word in text.lower() for word in words)


@pytest.mark.parametrize("name", RESULTS)
@settings(max_examples=15)
@given(data=st.data())
def test_noise_between_lines_changes_nothing(name: str, data: st.DataObject) -> None:
    kept = console(name).split("\n")
    for line in data.draw(st.lists(noise, min_size=1, max_size=12)):
        kept.insert(data.draw(st.integers(0, len(kept))), line)
    assert parse("\n".join(kept)) == parse(console(name))


@pytest.mark.parametrize("name", RESULTS)
def test_what_a_log_puts_before_lines_changes_nothing(name: str) -> None:
    kept = console(name).splitlines()
    for prefix in (
        "05-31 10:31:13.006 21767 21767 I tflite  : ",
        "2023-06-14 10:55:21.084 18088-18088 tflite             org.tensorflow.lite.benchmark    I  ",
        "I/tflite  ( 6266): ",
        "INFO: ",
    ):
        assert parse("\r\n".join(prefix + line for line in kept)) == parse(console(name))


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A console, or two, with lines left out, doubled, shuffled, cut and changed."""
    names = st.sampled_from(sorted(SAID))
    kept = [
        line for name in draw(st.lists(names, min_size=1, max_size=2)) for line in console(name).split("\n")
    ]
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, len(kept) - 1))
        what = draw(st.sampled_from(("drop", "double", "cut", "swap", "figure", "text")))
        if what == "drop" and len(kept) > 1:
            del kept[at]
        elif what == "double":
            kept.insert(at, kept[at])
        elif what == "cut":
            kept[at] = kept[at][: draw(st.integers(0, 80))]
        elif what == "swap":
            other = draw(st.integers(0, len(kept) - 1))
            kept[at], kept[other] = kept[other], kept[at]
        elif what == "figure":
            kept[at] = "".join(
                draw(st.sampled_from("0123456789e.-=%([")) if draw(st.integers(0, 9)) == 0 else c
                for c in kept[at][:200]
            )
        else:
            kept[at] = draw(st.text(max_size=100))
    return "\n".join(kept)


@settings(max_examples=300)
@given(st.text() | st.text("count=1234567890.e firstcurrminmaxavg\n", max_size=400) | mangled())
def test_any_text_is_a_result_or_unreadable(text: str) -> None:
    try:
        found = parse(text)
    except UnreadableOutput:
        return
    assert isinstance(found, Result)
    assert found.inference.mean_ms >= 0
    for delegate in ("cpu", "xnnpack", "gpu", "gpu-opencl", "nnapi", "npu", "external:x.so"):
        fallback(found, Settings(delegate=delegate))


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[" * 400_000,
        "\x1b]" * 400_000,
        " " * 2_000_000,
        ("[node type] [times called]\n" + " 1.000" * 1000 + "\n") * 100,
        "count=" + "1" * 1_000_000,
        ("count=5 " + "a=1 " * 2000 + "\n") * 100,
        "Replacing 1 out of 1 node(s) with delegate (" + "(" * 100_000,
        "05-31 10:31:13.006 21767 21767 I " * 50_000,
        "STARTING!\ncount=1 curr=5\n" * 20_000,
        "Graph: [" * 200_000,
    ],
    ids=range(10),
)
def test_hostile_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    with pytest.raises(UnreadableOutput):
        parse(text)
    assert time.process_time() - began < 5


def test_a_text_that_is_too_long_is_no_console() -> None:
    with pytest.raises(UnreadableOutput, match="characters are no console"):
        parse("x" * (MOST_CHARACTERS + 1))


# -- what real consoles of a kind were not found for, from the tool's own source


def test_all_runs_alike() -> None:
    found = parse(
        "count=3 curr=7(all same)\ncount=50 curr=32(all same)\n"
        "Inference timings in us: Init: 10, First inference: 7, Warmup (avg): 7, Inference (avg): 32\n"
    )
    assert found.inference == Statistics(0.032, 50, 0.032, 0.032, 0.032, 0.0)


def test_no_runs_are_no_result() -> None:
    with pytest.raises(UnreadableOutput, match="no result"):
        parse("STARTING!\ncount=0\ncount=0\nInitialized session in 5ms.\n")


def test_called_graphs_and_delegates_insides_are_not_counted_again() -> None:
    header = "[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n"

    def table(kind: str) -> str:
        row = f"\t{kind}\t 1.000\t 1.000\t100.000%\t100.000%\t 0.000\t 1\t[x]:0\n"
        return f"{header}{row}\nNumber of nodes executed: 1\n"

    text = (
        console("2023-cmake-cpu")
        + "Primary graph (name: main) Operator-wise Profiling Info for Regular Benchmark Runs:\n"
        + table("WHILE")
        + "Subgraph (index: 1, name: body) Operator-wise Profiling Info for Regular Benchmark Runs:\n"
        + table("ADD")
        + "Subgraph (index: 1) Timings (microseconds): count=1 curr=1000\n"
        + "Delegate internal: \n"
        + table("MUL")
    )
    assert [row.kind for row in parse(text).operators] == ["WHILE"]


def test_a_table_with_a_row_that_cannot_be_read_is_none() -> None:
    text = console("2022-riscv-one-warmup-run").replace("60.957\t  2.066%", "60.9x7\t  2.066%")
    with pytest.raises(UnreadableOutput, match="30 rows that can be read, and should have 31"):
        parse(text)


def test_means_that_contradict_each_other_are_no_result() -> None:
    text = console("2023-cmake-cpu").replace("Inference (avg): 116066", "Inference (avg): 16066")
    with pytest.raises(UnreadableOutput, match="contradicts itself"):
        parse(text)


def test_a_result_without_extremes_is_no_summary() -> None:
    assert parse(console("2023-cmake-cpu")).summary().count == 50
    with pytest.raises(UnreadableOutput, match="use a version that prints them"):
        parse(console("2018-readme-profile")).summary()


def test_a_median_of_no_microsecond_is_no_summary() -> None:
    line = "count=50 first=1 curr=0 min=0 max=1 avg=0.02 std=0 p5=0 median={} p95=0\n"
    told = "Inference timings in us: Init: 10, First inference: 7, Warmup (avg): 7, Inference (avg): 0.02\n"
    warmup = "count=1 curr=7\n"
    with pytest.raises(DeviceTrouble, match=r"less than a microsecond.* whole microseconds \(1 us\)"):
        parse(warmup + line.format(0) + told).summary()
    nothing = warmup + "count=50 curr=0(all same)\n" + told.replace("(avg): 0.02", "(avg): 0")
    with pytest.raises(DeviceTrouble, match="less than a microsecond"):
        parse(nothing).summary()
    some = parse(warmup + line.replace("p95=0", "p95=1").format(1) + told)
    assert some.summary().quantile_ms(0.25) > 0


def test_nnapi_that_took_everything_and_then_did_not_run_it() -> None:
    text = TAKEN.format(31, 31, "TfLiteNnapiDelegate", 0) + console("2026-oppo-nnapi-not-executed")
    found = fallback(parse(text), Settings(delegate="nnapi"))
    assert found is not None
    assert "will not be executed" in str(found)


NOT_BY = "Though {} delegate is explicitly applied, the model graph will not be executed by the delegate.\n"


def test_a_model_that_xnnpack_takes_nothing_of_is_a_result_of_the_processor() -> None:
    text = "INFO: XNNPACK delegate created.\n" + NOT_BY.format("XNNPACK") + console("2023-cmake-cpu")
    result = parse(text)
    assert fallback(result, Settings()) is None
    assert share(result, Settings()) == (0, None)
    assert fallback(result, Settings(delegate="cpu")) is None
    told = parse(TAKEN.format(0, 31, "TfLiteXNNPackDelegate", 0) + text)
    assert fallback(told, Settings()) is None
    assert share(told, Settings()) == (0, 31)


@pytest.mark.parametrize(
    "said",
    [
        "Unconsumed cmdline flags: --use_xnnpack=true",
        "Failed to apply XNNPACK delegate.",
        "Could not create XNNPACK delegate: platform may not support delegate",
    ],
)
def test_xnnpack_that_was_not_offered_the_model_has_no_result(said: str) -> None:
    found = fallback(parse(f"{NOT_BY.format('XNNPACK')}{said}\n{console('2023-cmake-cpu')}"), Settings())
    assert found is not None
    assert said.removeprefix("Unconsumed cmdline flags: ").rstrip(".") in str(found)


@pytest.mark.parametrize(
    ("said", "delegate"),
    [
        (NOT_BY.format("GPU"), "gpu"),
        ("Created 0 GPU delegate kernels.\n", "gpu"),
        (NOT_BY.format("NNAPI"), "nnapi"),
        (NOT_BY.format("EXTERNAL"), "external:libx.so"),
    ],
)
def test_an_accelerator_that_took_nothing_says_so(said: str, delegate: str) -> None:
    found = fallback(parse(said + console("2023-cmake-cpu")), Settings(delegate=delegate))
    assert found is not None
    assert str(found).endswith("; it took no node (0 %)")
    assert (found.delegated_operators, found.total_operators) == (0, None)


def test_a_fallback_tells_how_much_was_taken_as_figures() -> None:
    found = fallback(parse(console("2026-oppo-gpu-54-of-559")), Settings(delegate="gpu"))
    assert found is not None
    assert (found.delegated_operators, found.total_operators) == (54, 559)
    found = fallback(parse(console("2023-cmake-cpu")), Settings(delegate="gpu"))
    assert found is not None
    assert (found.delegated_operators, found.total_operators) == (None, None)


def test_a_missing_library_of_an_external_delegate_is_the_reason() -> None:
    why = 'dlopen failed: library "liby.so" not found'
    said = f"INFO: Unable to load external delegate from : /w/libx.so ({why})\n"
    found = fallback(parse(said + console("2023-cmake-cpu")), Settings(delegate="external:libx.so"))
    assert found is not None
    assert why in str(found)


def test_nnapi_on_its_reference_only_is_the_cpu() -> None:
    text = console("2023-cmake-cpu") + TAKEN.format(31, 31, "TfLiteNnapiDelegate", 0)
    asked = Settings(delegate="nnapi")
    assert fallback(parse(text), asked) is None
    assert (
        fallback(parse(f"NNAPI accelerators available: [google-edgetpu,nnapi-reference]\n{text}"), asked)
        is None
    )
    found = fallback(parse(f"NNAPI accelerators available: [nnapi-reference]\n{text}"), asked)
    assert found is not None
    assert "nnapi-reference, which is the CPU" in str(found)


def test_a_flag_for_the_delegate_that_the_tool_does_not_know() -> None:
    text = console("2023-chromeos-gpu-opencl-peak") + "WARN: Unconsumed cmdline flags: --gpu_backend=gl\n"
    found = fallback(parse(text), Settings(delegate="gpu-opengl"))
    assert found is not None
    assert "does not know --gpu_backend=gl" in str(found)


def test_several_graphs_of_one_model_are_added_up() -> None:
    text = console("2023-cmake-cpu")
    for graph, taken in ((0, 3), (1, 5), (1, 6)):  # the second was prepared twice
        text += TAKEN.format(taken, 6, "LITERT_CL", graph)
    found = fallback(parse(text), Settings(delegate="gpu"))
    assert found is not None
    assert "9 of 12 nodes (75.0 %)" in str(found)


@pytest.mark.parametrize(
    "said",
    [
        # of github.com/google-ai-edge/LiteRT-LM/issues/1466 and LiteRT/issues/5594
        "02-19 10:07:32.809 20624 20624 E litert  : [dispatch_delegate.cc:122] Failed to create a dispatch "
        "delegate kernel: No usable Dispatch runtime found",
        "02-19 10:07:32.809 20624 20624 E litert  : [dispatch_delegate.cc:107] Failed to initialize Dispatch "
        "API: ERROR: [external/litert/litert/runtime/dispatch/dispatch_delegate.cc:168]",
        "ERROR: [dispatch_delegate.cc:134] Failed to create a dispatch delegate kernel: No usable Dispatch "
        "runtime found",
    ],
)
def test_an_npu_that_was_given_nodes_and_has_no_runtime_for_them(said: str) -> None:
    took = (
        "02-19 10:07:32.809 20624 20624 I tflite  : Replacing 1 out of 1 node(s) with delegate "
        "(DispatchDelegate) node, yielding 1 partitions for subgraph 0.\n"
    )
    text = console("2023-cmake-cpu") + took
    assert fallback(parse(text), Settings(delegate="npu")) is None
    found = fallback(parse(f"{text}{said}\n"), Settings(delegate="npu"))
    assert found is not None
    assert re.search("dispatch", str(found), re.IGNORECASE)
    assert fallback(parse(f"{text}{said}\n"), Settings(delegate="external:x.so")) is None


def test_nodes_that_a_delegate_and_the_runtime_both_tell_of_are_counted_once() -> None:
    # how Qualcomm's delegate and TFLite say it
    own = (
        "INFO: [Qnn Delegate] TfLiteQnnDelegate delegate: 357 nodes delegated out of 357 nodes "
        "with 1 partitions.\n"
    )
    runtime = (
        "VERBOSE: Replacing 357 out of 357 node(s) with delegate (TfLiteQnnDelegate) node, "
        "yielding 1 partitions for the whole graph.\n"
    )
    asked = Settings(delegate="external:/w/libQnnTFLiteDelegate.so")
    for text in (own, runtime, own + runtime, runtime + own):
        result = parse(console("2023-cmake-cpu") + text)
        assert share(result, asked) == (357, 357)
        assert fallback(result, asked) is None


def test_rows_of_a_delegate_between_rows_of_the_processor() -> None:
    # a table that Synaptics documents for a model of which NNAPI runs a part
    table = """\
Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
            [node type]  [first]  [avg ms]      [%]    [cdf%]  [mem KB] [times called] [Name]
    TfLiteNnapiDelegate    3.826     4.011  62.037%   62.037%     0.000         1      []:64
RESIZE_NEAREST_NEIGHBOR    0.052     0.058   0.899%   62.936%     0.000         1      []:38
    TfLiteNnapiDelegate    2.244     2.396  37.064%  100.000%     0.000         1      []:65
"""
    rows = parse(console("2024-synaptics-nnapi") + table).operators
    assert [(row.kind, row.name, row.mean_ms, row.delegated) for row in rows] == [
        ("TfLiteNnapiDelegate", "[]:64", 4.011, True),
        ("RESIZE_NEAREST_NEIGHBOR", "[]:38", 0.058, False),
        ("TfLiteNnapiDelegate", "[]:65", 2.396, True),
    ]
