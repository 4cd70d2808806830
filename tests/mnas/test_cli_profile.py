"""`mnas profile` as its users see it: what it prints, its JSON fields and their document, its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.errors import DeviceTrouble
from devices.measurement import Context, DeviceFacts, Measurement, OperatorTime, Pass, Settings
from devices.warnings import warnings
from latency_tables.tflite import describe, write
from mnas.lower import lower
from mnas.recipes import recipe
from mnas.reports.profile_json import operator_times, profile_json
from tests.command_line import Ended, running
from tests.mnas.documented import PAGE, documented, fields

QUICK = ("--passes", "1", "--runs", "20", "--min-time", "0")


Run = Callable[..., Ended]


run = running("profile")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.tflite"
    path.write_bytes(write(lower(recipe("mobilenetv2-0.5").at(64, 64)).graph))
    return path


def test_the_json_has_exactly_the_documented_fields(run: Run, model: Path) -> None:
    ended = run(str(model), *QUICK, "--per-op", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    listed = documented("profile")
    absent = {field for field in listed if field.startswith("warnings[]") and not document["warnings"]}
    absent |= {field for field in listed if field.startswith(("plateau.", "summary[]"))}
    found = fields(document)
    if not document["device"]["clusters"]:
        absent |= {field for field in listed if field.startswith("device.clusters[].")}
        found -= {"device.clusters[]"}
    assert found - {"warnings[]"} == listed - absent


def test_the_figures_agree_with_each_other_and_with_the_file(run: Run, model: Path) -> None:
    document = json.loads(run(str(model), *QUICK, "--per-op", "--json").out)
    network = lower(recipe("mobilenetv2-0.5").at(64, 64))
    assert document["macs"] == network.macs
    folded = sum(
        node.spec.output[-1]
        for node, norm in zip(network.graph.nodes, network.normalised, strict=True)
        if norm
    )
    assert document["parameters"] == network.parameters - folded  # scale and shift have become one bias
    assert document["file_bytes"] == model.stat().st_size
    assert document["inputs"][0]["shape"] == [1, 64, 64, 3]
    assert 0 < document["q25_ms"] <= document["median_ms"] <= document["q75_ms"] <= document["p95_ms"]
    assert document["samples"] == len(document["samples_ms"])
    assert document["samples"] + document["dropped_samples"] >= 20
    assert document["peak_memory_bytes"] > 0
    assert document["first_inference_ms"] > 0 < document["initialisation_ms"]
    rows = document["per_operator"]
    assert sum(row["share_percent"] for row in rows) == pytest.approx(100)
    assert sum(row["mean_ms"] for row in rows) == pytest.approx(document["per_operator_sum_ms"])
    assert 50 < document["per_operator_explained_percent"] < 150
    assert len(rows) >= len(network.graph.nodes)


def test_without_per_op_there_are_no_operator_times(run: Run, model: Path) -> None:
    document = json.loads(run(str(model), *QUICK, "--json").out)
    assert document["per_operator"] is document["per_operator_sum_ms"] is None


def test_warnings_are_data_and_go_to_standard_error(run: Run, model: Path) -> None:
    ended = run(str(model), "--passes", "1", "--runs", "3", "--min-time", "0", "--json")
    found = {each["code"]: each["message"] for each in json.loads(ended.out)["warnings"]}
    assert "few_samples" in found
    assert all(message in ended.err.replace("\n", " ") for message in found.values())


def test_quiet_prints_neither_progress_nor_warnings(run: Run, model: Path) -> None:
    few = ("--passes", "1", "--runs", "3", "--min-time", "0")
    ended = run(str(model), *few, "-q")
    assert (ended.code, ended.err) == (0, "")
    assert "measuring small.tflite: 0 of 1" in run(str(model), *few).err


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_model_is_named(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    ended = run(str(path))
    assert (ended.code, ended.out) == (2, "")
    assert f"error: {path}: " in ended.err


def test_people_get_a_panel_and_a_table_within_80_columns(run: Run, model: Path) -> None:
    ended = run(str(model), *QUICK, "--per-op")
    assert ended.code == 0, ended.err
    for word in ("small.tflite", "latency", "first inference", "peak memory", "MACs", "parameters", "share"):
        assert word in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    shares = [float(share) for share in re.findall(r"(\d+\.\d)%\s*$", ended.out, flags=re.MULTILINE)]
    assert len(shares) > 50
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("no-such.tflite",), "no-such.tflite"),
        (("{model}", "-d", "nowhere"), "'nowhere'"),
        (("{model}", "--threads", "0"), "threads is 0"),
        (("{model}", "--cpus", "one"), "'one'"),
        (("{model}", "--cpus", "9999"), "9999"),
        (("{model}", "--runs", "0"), "runs"),
        (("{model}", "--min-time", "9", "--deadline", "8"), "--deadline 8"),
        (("{model}", "--min-time", "nan"), "--min-time nan"),
        (("{model}", "--deadline", "inf"), "--deadline inf"),
        (("{model}", "--passes", "0"), "passes is 0"),
        (("{folder}",), "directory"),
    ],
)
def test_bad_input_ends_with_2_and_one_message(
    run: Run, model: Path, arguments: tuple[str, ...], says: str
) -> None:
    ended = run(*(argument.format(model=model, folder=model.parent) for argument in arguments))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("error:") == 1
    assert "Traceback" not in ended.err


def _measurement(*passes: tuple[OperatorTime, ...] | None) -> Measurement:
    facts = DeviceFacts("local", "x86_64", "a processor", 2, None, "Linux", "3.11", "ai_edge_litert", "2.3.0")
    context = Context(facts, Settings(), "2026-11-25T09:00:00Z", "xnnpack", 7, 10, 0.5, True)
    return Measurement(
        "m",
        "0" * 64,
        100,
        tuple(
            Pass("m", "0" * 64, index, (1.0, 2.0), 0, None, 2.0, 3.0, None, rows, context, all_preempted=True)
            for index, rows in enumerate(passes)
        ),
    )


def test_every_warning_is_documented(model: Path) -> None:
    measurement = _measurement(None)
    found = warnings(measurement)
    document = profile_json(measurement, describe(model.read_bytes()), found)
    assert {field for field in fields(document) if "warnings" in field} <= documented("profile")
    assert all(f"`{each.code}`" in PAGE.read_text() for each in found)
    assert len(found) >= 5


def test_operator_times_are_medians_over_passes() -> None:
    passes = [(OperatorTime(0, "a", True, ms), OperatorTime(1, "b", False, 2 * ms)) for ms in (1.0, 9.0, 2.0)]
    assert operator_times(_measurement(*passes)) == passes[2]
    assert operator_times(_measurement(None, None)) is None
    told = [(OperatorTime(0, "a", True, ms, "A", "[a]:0", 1, ms),) for ms in (1.0, 9.0, 2.0)]
    assert operator_times(_measurement(*told)) == told[2]


def test_passes_that_disagree_on_the_operators_are_refused() -> None:
    with pytest.raises(DeviceTrouble, match="different operators"):
        operator_times(_measurement((OperatorTime(0, "a", True, 1.0),), (OperatorTime(0, "b", True, 1.0),)))
