"""`mnas table predict` as its users see it: what it prints, its JSON, its refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from latency_tables import tflite
from mnas.architecture import Architecture
from mnas.lower import lower
from tests.command_line import Ended, running
from tests.mnas.tables import agrees, architecture

Run = Callable[..., Ended]

run = running("table")


def test_predicting_an_architecture_and_its_file(run: Run, table: Path, tmp_path: Path) -> None:
    text = architecture()
    document = json.loads(run("predict", str(table), text, "--json").out)
    assert agrees(document, "predict")
    assert document["latency_ms"] == pytest.approx(sum(one["latency_ms"] for one in document["operators"]))
    assert sum(one["share_percent"] for one in document["operators"]) == pytest.approx(100)

    path = tmp_path / "model.tflite"
    path.write_bytes(tflite.write(lower(Architecture.parse(text)).graph))
    from_file = json.loads(run("predict", str(table), str(path), "--json").out)
    assert from_file["latency_ms"] == document["latency_ms"]
    assert "ms predicted" in run("predict", str(table), text).out


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_model_is_named(run: Run, table: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    ended = run("predict", str(table), str(path))
    assert (ended.code, ended.out) == (2, "")
    assert f"error: {path}: " in ended.err


def test_an_operator_that_is_not_in_the_table_is_named(run: Run, table: Path) -> None:
    ended = run("predict", str(table), "mobilenetv2")
    assert (ended.code, ended.out) == (2, "")
    assert "conv_2d/float32/" in ended.err
