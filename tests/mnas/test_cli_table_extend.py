"""`mnas table extend` as its users see it: what predict asks for is done, what stays missing is named."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from latency_tables import tflite
from latency_tables.ops import Graph, Node, OpSpec
from tests.command_line import Ended, running
from tests.latency_tables.converted import convert
from tests.mnas.tables import agrees

pytestmark = pytest.mark.usefixtures("quick")

Run = Callable[..., Ended]

run = running("table")


def one_operator(path: Path, text: str) -> Path:
    path.write_bytes(tflite.write(tflite.single(OpSpec.parse(text))))
    return path


def test_what_predict_proposes_makes_it_predict(run: Run, table: Path, tmp_path: Path) -> None:
    model = one_operator(tmp_path / "a model.tflite", "conv_2d/float32/1x9x9x5/1x9x9x7/k3x3/s1x1/same/relu6")
    lacking = run("predict", str(table), str(model))
    assert lacking.code == 4
    _, _, command = " ".join(lacking.err.split()).partition("mnas table extend ")
    address, path, *device = shlex.split(command)[:4]
    assert (address, path, device) == (str(table), str(model), ["-d", "local"])
    ended = run("extend", address, path, *device, "--passes", "1", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "extend")
    (one,) = document["models"]
    assert one["added_operators"] == ["conv_2d/float32/1x9x9x5/1x9x9x7/k3x3/s1x1/same/relu6"]
    assert (one["missing_operators"], one["failures"]) == ([], [])
    assert run("predict", str(table), str(model)).code == 0
    again = run("extend", str(table), str(model), "--passes", "1", "--json", "--quiet")
    assert again.code == 0
    assert json.loads(again.out)["models"][0]["measured_passes"] == 0


def test_several_models_and_recipes(run: Run, table: Path, tmp_path: Path) -> None:
    model = one_operator(tmp_path / "m.tflite", "conv_2d/float32/1x9x9x5/1x9x9x7/k3x3/s1x1/same/relu6")
    ended = run("extend", str(table), str(model), "mobilenetv2-0.1", "--passes", "1", "-q")
    assert (ended.code, ended.err) == (0, "")
    assert "mobilenetv2-0.1" in ended.out
    assert run("predict", str(table), str(model), "mobilenetv2-0.1").code == 0


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_model_of_the_converter_is_profiled_in_context_and_predicted(
    run: Run, table: Path, tmp_path: Path, dtype: str
) -> None:
    content = convert("inverted bottleneck", dtype)
    model = tmp_path / "converted.tflite"
    model.write_bytes(content)
    specs = tflite.read(content).specs
    assert len(set(specs)) > 5
    lacking = run("predict", str(table), str(model), "--json", "-q")
    assert lacking.code == 4
    ended = run("extend", str(table), str(model), "--passes", "2", "--json", "-q")
    assert ended.code == 0, ended.err
    (one,) = json.loads(ended.out)["models"]
    assert (one["missing_operators"], one["operators_alone"], one["failures"]) == ([], [], [])
    assert sorted(one["added_operators"]) == sorted(json.loads(lacking.out)["models"][0]["missing_operators"])
    shown = run("predict", str(table), str(model), "--json", "-q")
    assert shown.code == 0, shown.err
    (found,) = json.loads(shown.out)["models"]
    units = [unit for each in found["operators"] for unit in each["operator"].split(" & ") * each["count"]]
    assert sorted(units) == sorted(map(str, specs))
    assert found["latency_ms"] > 0


def test_a_branch_that_nothing_uses_adds_nothing(run: Run, table: Path, tmp_path: Path) -> None:
    used, unused = (
        OpSpec.parse(f"conv_2d/float32/1x9x9x5/1x9x9x{filters}/k3x3/s1x1/same/relu6") for filters in (7, 9)
    )
    graph = Graph(used.inputs, "float32", (Node(unused, (-1,)), Node(used, (-1,))), (1,))
    model = tmp_path / "branch.tflite"
    model.write_bytes(tflite.write(graph))
    ended = run("extend", str(table), str(model), "--passes", "1", "--json", "-q")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["models"][0]["added_operators"] == [str(used)]
    alike = one_operator(tmp_path / "alike.tflite", str(used))
    shown = run("predict", str(table), str(model), str(alike), "--json", "-q")
    assert shown.code == 0, shown.err
    both = json.loads(shown.out)["models"]
    assert both[0]["latency_ms"] == both[1]["latency_ms"]


def test_what_is_no_model_is_refused_before_anything_is_measured(
    run: Run, table: Path, tmp_path: Path
) -> None:
    good = one_operator(tmp_path / "m.tflite", "conv_2d/float32/1x9x9x5/1x9x9x7/k3x3/s1x1/same/relu6")
    (tmp_path / "bad.tflite").write_bytes(b"nothing of the kind")
    for name in ("bad.tflite", "gone.tflite", "no-such-recipe"):
        ended = run("extend", str(table), str(good), str(tmp_path / name) if "." in name else name)
        assert (ended.code, ended.out) == (2, "")
        assert name in ended.err
    assert run("predict", str(table), str(good)).code == 4
