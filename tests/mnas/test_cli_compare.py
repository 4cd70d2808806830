"""`mnas compare` as its users see it: the table, the JSON fields and their document, exit codes, refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write
from mnas.comparing import DISQUALIFYING, FIELDS, TEMPERATURE_C
from tests.command_line import Ended, invoke, running
from tests.mnas.documented import documented, fields

Run = Callable[..., Ended]
run = running("compare")
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `mnas profile --json` really prints; a noisy machine's warnings are taken off."""
    path = tmp_path_factory.mktemp("models") / "tiny.tflite"
    path.write_bytes(write(single(OpSpec.parse("conv_2d/float32/1x8x8x8/1x8x8x8/k3x3/s1x1/same"))))
    with pytest.MonkeyPatch.context() as patch:
        text: list[str] = []
        patch.setattr("mnas.cli.output.sys.stdout", _Collector(text))
        quick = ("--passes", "2", "--runs", "40", "--min-time", "0", "--json", "-q")
        ended = invoke("profile", str(path), *quick, monkeypatch=patch, capsys=_Nothing())
    assert ended.code == 0, text
    return {**json.loads("".join(text)), "warnings": []}


class _Collector:
    """A standard output that keeps what is written."""

    def __init__(self, text: list[str]) -> None:
        self.write = text.append

    def flush(self) -> None:
        pass


class _Nothing:
    def readouterr(self) -> Any:
        return Ended(0, "", "")


@pytest.fixture
def file(tmp_path: Path, measured: dict[str, Any]) -> Callable[..., Path]:
    """Writes a file as `mnas profile --json` prints it, with some fields changed."""

    def make(name: str, **changes: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(changed(measured, **changes)))
        return path

    return make


def changed(measured: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A document with other values; `device_X` is `device.X`."""
    device = {key.removeprefix("device_"): value for key, value in changes.items() if key[:7] == "device_"}
    rest = {key: value for key, value in changes.items() if key[:7] != "device_"}
    return {**measured, **rest, "device": {**measured["device"], **device}}


def scaled(measured: dict[str, Any], factor: float) -> dict[str, Any]:
    """The latencies of a device that takes so many times longer."""
    return {
        "pass_medians_ms": [factor * one for one in measured["pass_medians_ms"]],
        **{name: factor * measured[name] for name in ("median_ms", "q25_ms", "q75_ms", "p95_ms")},
    }


def refused(run: Run, *arguments: object) -> str:
    """The one message that a command ends with, exit code 2 and nothing on standard output."""
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, ""), ended
    assert ended.err.startswith("error: ")
    assert ended.err.count("error:") == 1
    assert "Traceback" not in ended.err
    assert ESCAPE not in ended.err
    return " ".join(ended.err.split())


def test_people_get_a_table_within_80_columns(
    run: Run, file: Callable[..., Path], measured: dict[str, Any]
) -> None:
    slower = file("b", model="n.tflite", sha256="1" * 64, **scaled(measured, 3.0))
    ended = run(file("a"), slower)
    assert (ended.code, ended.err) == (0, "")
    words = " ".join(ended.out.split())
    for word in ("model", "device", "A ms", "B ms", "B / A", "95 %", "3.000", "200.0%", "slower"):
        assert word in words
    assert "n.tflite" in words
    assert max(map(len, ended.out.splitlines())) <= 80


def test_long_names_are_folded_not_cut(run: Run, file: Callable[..., Path]) -> None:
    name = "mobilenet_v3_large_100_224_int8_quantised_per_channel_final.tflite"
    address = "adb://emulator-5554-with-a-serial-number-as-long-as-some-makers-have-them"
    ended = run(*(file(side, model=name, device_address=address) for side in "ab"))
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 80
    folded = [line.split("  ") for line in ended.out.splitlines()]
    assert name in "".join(line[1].strip() for line in folded if len(line) > 1)


def test_the_json_has_exactly_the_documented_fields(
    run: Run, file: Callable[..., Path], measured: dict[str, Any]
) -> None:
    a, b = file("a"), file("b", **scaled(measured, 2.0))
    ended = run(a, b, "--json")
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert fields(document) == documented("compare")
    (one,) = document["comparisons"]
    assert one["ratio"] == pytest.approx(2.0)
    assert one["low"] < 2.0 < one["high"]
    assert one["differ"] is True
    assert one["a"]["median_ms"] == measured["median_ms"]
    assert one["a"]["samples"] == measured["samples"]
    assert one["a"]["device"] == "local"


def test_the_same_measurement_shows_no_difference(run: Run, file: Callable[..., Path]) -> None:
    a = file("a")
    (one,) = json.loads(run(a, a, "--json").out)["comparisons"]
    assert (one["ratio"], one["differ"]) == (1.0, False)
    assert {"no", "difference", "seen"} <= set(run(a, a).out.split())


def test_with_one_pass_nothing_is_claimed(
    run: Run, file: Callable[..., Path], measured: dict[str, Any]
) -> None:
    b = file("b", **{**scaled(measured, 9.0), "pass_medians_ms": measured["pass_medians_ms"][:1]})
    ended = run(file("a"), b, "--json")
    (one,) = json.loads(ended.out)["comparisons"]
    assert one["low"] is one["high"] is one["differ"] is None
    assert one["ratio"] == pytest.approx(9.0)
    assert {"one", "pass,"} <= set(run(file("a"), b).out.split())


def test_files_of_several_are_joined_by_model_and_device(
    run: Run, tmp_path: Path, measured: dict[str, Any]
) -> None:
    both = [changed(measured, model=f"{key}.tflite", sha256=key * 64) for key in "12"]
    sides = [both, [changed(one, **scaled(one, 2.0)) for one in reversed(both)]]
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, side in zip(paths, sides, strict=True):
        path.write_text(json.dumps({"measurements": side, "failures": []}))
    document = json.loads(run(*paths, "--json").out)
    assert [one["a"]["model"] for one in document["comparisons"]] == ["1.tflite", "2.tflite"]
    assert all(one["b"]["model"] == one["a"]["model"] for one in document["comparisons"])
    assert all(one["ratio"] == pytest.approx(2.0) for one in document["comparisons"])


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "device": ({"device_address": "adb://B"}, "the device differs (local and adb://B)"),
    "processor": ({"device_cpu_model": "Cortex-X9"}, "and Cortex-X9)"),
    "unit": ({"device_identity": "ff"}, "the unit differs (unknown and ff)"),
    "system": ({"device_operating_system": "Debian 99"}, "the system differs ("),
    "build": ({"device_os_build": "AP4A.1"}, "the build differs ("),
    "delegate-options": ({"delegate_options": ["a:b"]}, "the delegate-options differs ("),
    "libraries": ({"libraries": ["l sha256:1"]}, "the libraries differs (none and l sha256:1)"),
    "runtime": (
        {"device_runtime": "benchmark_model"},
        "the runtime differs (ai_edge_litert and benchmark_mo",
    ),
    "runtime-version": ({"device_runtime_version": "9.9"}, "the runtime-version differs ("),
    "program": ({"device_runtime_sha256": "f" * 64}, "the program differs (unknown and fff"),
    "delegate": ({"delegate": "gpu"}, "the delegate differs (xnnpack and gpu)"),
    "threads": ({"threads": 64}, "the threads differ"),
    "cores": ({"cpus": [77]}, "the cores differ"),
    "governor": ({"governor": "powersave"}, "the governor differs ("),
    "conditions": ({"conditions": ["screen on"]}, "the conditions differ"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_each_difference_is_refused_by_name_unless_it_is_the_question(
    run: Run, file: Callable[..., Path], field: str
) -> None:
    changes, says = CHANGES[field]
    a, b = file("a"), file("b", **changes)
    said = refused(run, a, b)
    assert says in said
    assert "cannot be compared: " in said
    assert "Measure both under the same conditions, or say with --across what is meant to differ" in said
    assert refused(run, b, a).count("differ") == said.count("differ")
    assert run(a, b, "--across", field).code == 0
    other = next(name for name in FIELDS if name != field)
    assert says in refused(run, a, b, "--across", other)


def test_temperatures_far_apart_are_refused(run: Run, file: Callable[..., Path]) -> None:
    a = file("a", temperature_before_c=30.0)
    b = file("b", temperature_before_c=30.5 + TEMPERATURE_C)
    assert "one began at 30 °C and the other at 40.5 °C" in refused(run, a, b)
    assert run(a, b, "--across", "temperature").code == 0
    assert run(a, file("c", temperature_before_c=29.5 + TEMPERATURE_C)).code == 0
    assert run(a, file("d", temperature_before_c=None)).code == 0


def test_several_reasons_are_told_at_once_and_all_must_be_meant(run: Run, file: Callable[..., Path]) -> None:
    a, b = file("a"), file("b", threads=64, delegate="gpu")
    said = refused(run, a, b)
    assert "the threads differ" in said
    assert "the delegate differs" in said
    assert "the threads differ" in refused(run, a, b, "--across", "delegate")
    assert run(a, b, "--across", "delegate", "--across", "threads").code == 0


@pytest.mark.parametrize("code", DISQUALIFYING)
def test_doubtful_measurements_are_refused_whatever_is_meant_to_differ(
    run: Run, file: Callable[..., Path], code: str
) -> None:
    doubtful = file("b", warnings=[{"code": code, "message": "so it was"}])
    everything = [word for field in (*FIELDS, "temperature") for word in ("--across", field)]
    assert f"tiny.tflite on local carries the warning {code}" in refused(
        run, file("a"), doubtful, *everything
    )
    assert run(file("a"), file("c", warnings=[{"code": "few_samples", "message": ""}])).code == 0


def test_what_may_be_meant_to_differ_is_listed(run: Run, file: Callable[..., Path]) -> None:
    said = refused(run, file("a"), file("a"), "--across", "colour")
    assert "--across colour" in said
    assert all(name in said for name in (*FIELDS, "temperature"))


def test_models_without_counterpart_are_named(run: Run, tmp_path: Path, measured: dict[str, Any]) -> None:
    both = [changed(measured, model=f"{key}.tflite", sha256=key * 64) for key in "12"]
    for name, side in {"a": both, "b": both[:1], "twice": [both[0], both[0]]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"measurements": side, "failures": []}))
    said = refused(run, tmp_path / "a.json", tmp_path / "b.json")
    assert "without a counterpart: 2.tflite on local" in said
    assert "one holds a model twice" in refused(run, tmp_path / "b.json", tmp_path / "twice.json")


NO_PROFILE = "must be what mnas profile --json printed"
TEXTS = {
    "nothing": (b"", f"is not JSON: it {NO_PROFILE}"),
    "words": (b"latency 3 ms", f"is not JSON: it {NO_PROFILE}"),
    "bytes": (b"\xff\xfe\x00", f"is not JSON: it {NO_PROFILE}"),
    "long number": (b"1" * 5000, f"is not JSON: it {NO_PROFILE}"),
    "number": (b"3", "is not what mnas profile --json prints: it lacks model, sha256"),
    "null": (b"null", "it lacks model"),
    "empty list": (b"[]", "it lacks model"),
    "empty object": (b"{}", "it lacks model, sha256, median_ms"),
    "no measurements": (b'{"measurements": [], "failures": []}', f"holds no measurement: it {NO_PROFILE}"),
    "not a list": (b'{"measurements": {"a": 1}}', f"holds no measurement: it {NO_PROFILE}"),
    "failures": (b'{"measurements": [], "failures": [1]}', "holds models that could not be measured"),
    "a table": (b'[{"model": "m"}]', "it lacks model"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_measurement_is_refused(
    run: Run, tmp_path: Path, file: Callable[..., Path], name: str
) -> None:
    content, says = TEXTS[name]
    path = tmp_path / "other.json"
    path.write_bytes(content)
    for order in ((path, file("a")), (file("a"), path)):
        said = refused(run, *order)
        assert str(path) in said
        assert says in said


def test_files_that_cannot_be_read_are_named(run: Run, tmp_path: Path, file: Callable[..., Path]) -> None:
    assert f"cannot read {tmp_path}/gone.json: No such file" in refused(
        run, file("a"), tmp_path / "gone.json"
    )
    assert f"cannot read {tmp_path}: Is a directory" in refused(run, tmp_path, file("a"))


VALUES = {
    "median_ms": ["2", None, -1.0, 0, math.nan, math.inf, [1], True, 10**400],
    "q25_ms": ["2", None, math.nan],
    "samples": ["3", None, 1.5],
    "pass_medians_ms": ["abc", None, 3, ["a"], [None], [0.0, 0.0], [math.nan], [math.inf], [[1.0]], [-1.0]],
    "warnings": [3, "ab", [{}], [3], [{"code": 3}], None],
    "temperature_before_c": ["30", [1], math.nan],
    "sha256": [["a"], None, 3],
    "model": [3, None, "\x1b[2J\x07m.tflite", "[red]m[/]"],
    "device_address": [3, None, ["x"], "adb://\x1b]0;owned\x07\n"],
}


def test_values_of_another_kind_are_refused_not_computed_with(
    run: Run, file: Callable[..., Path], measured: dict[str, Any]
) -> None:
    odd = []
    for field, values in VALUES.items():
        for number, value in enumerate(values):
            a, b = file("a", temperature_before_c=30.0), file("b", **{field: value})
            for options in ((), ("--json",)):
                try:
                    ended = run(a, b, *options, "--across", "device")
                except Exception as error:  # noqa: BLE001 - each is a traceback on the user's screen
                    odd.append((field, number, repr(error)))
                    continue
                harmless = field in ("model", "device_address")
                if ended.code not in ((0, 2) if harmless else (2,)):
                    odd.append((field, number, ended.out))
                if ESCAPE in ended.out + ended.err or "\x07" in ended.out + ended.err:
                    odd.append((field, number, ended.out + ended.err))
    assert odd == []


def test_a_file_of_endless_brackets_is_refused(run: Run, tmp_path: Path, file: Callable[..., Path]) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    assert NO_PROFILE in refused(run, file("a"), path)


@pytest.mark.parametrize("arguments", [(), ("a.json",), ("a.json", "b.json", "c.json"), ("--nonsense",)])
def test_usage_errors_end_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
