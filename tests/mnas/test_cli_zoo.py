"""`mnas zoo` as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from latency_tables import tflite
from mnas.architecture import Architecture
from mnas.lower import lower
from mnas.recipes import recipe


def zoo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mnas", "zoo", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


def test_list_prints_one_json_document_with_the_figures() -> None:
    done = zoo("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert {"name": "mobilenetv2", "parameters": 3504872, "macs": 300774272, "resolution": 224} in rows
    assert all(set(row) == {"name", "parameters", "macs", "resolution"} for row in rows)
    assert {"mobilenetv1", "mobilenetv2-1.4", "mnasnet-a1", "mnasnet-b1", "mnasnet-small"} <= {
        row["name"] for row in rows
    }


def test_list_prints_a_table_for_people() -> None:
    done = zoo("list")
    assert done.returncode == 0
    assert re.search(r"mnasnet-a1 +3,887,038 +311\.6 M +224", done.stdout)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_export_writes_a_file_that_runs_and_reads_back_as_the_network(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "network.tflite"
    options = ["--resolution", "64", "--classes", "7", "--dtype", dtype, "--json", "-o", str(path)]
    done = zoo("export", "mnasnet-small-0.5", *options)
    assert done.returncode == 0, done.stderr
    assert "random" in done.stderr
    architecture = recipe("mnasnet-small-0.5").at(64, 64, classes=7)
    lowered = lower(architecture, dtype)
    document = json.loads(done.stdout)
    assert document == {
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "name": "mnasnet-small-0.5",
        "architecture": str(architecture),
        "dtype": dtype,
        "operators": len(lowered.graph.nodes),
        "parameters": lowered.parameters,
        "macs": lowered.macs,
        "weights": "random",
    }
    assert tflite.read(path.read_bytes()) == lowered.graph
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], np.ones(source["shape"], source["dtype"]))
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert scores.shape == (1, 7)
    assert np.isfinite(scores).all()


def test_export_takes_an_architecture_s_text(tmp_path: Path) -> None:
    text = "in_16x12x1,cv_r1_k3_s2_c8,fc_3"
    path = tmp_path / "own.tflite"
    assert zoo("export", text, "-o", str(path)).returncode == 0
    assert tflite.read(path.read_bytes()) == lower(Architecture.parse(text)).graph


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nasnet"], "'nasnet'; known are mobilenetv1"),
        (["in_16x16x1,cv_q,fc_3"], "'q'"),
        (["mobilenetv2", "--resolution", "0"], "'--resolution'"),
        (["mobilenetv2", "--classes", "0"], "'--classes'"),
        (["mobilenetv2", "--dtype", "float16"], "'float16'; allowed: float32, int8"),
    ],
)
def test_bad_input_ends_with_code_2_and_one_message(tmp_path: Path, arguments: list[str], said: str) -> None:
    path = tmp_path / "network.tflite"
    done = zoo("export", *arguments, "-o", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not path.exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = zoo("export", "mnasnet-small", "-o", str(tmp_path / "no" / "network.tflite"))
    assert done.returncode == 2
    assert "cannot be written: No such file or directory" in done.stderr


def test_help_has_examples() -> None:
    for command in ("list", "export"):
        assert "Example: mnas zoo" in zoo(command, "--help").stdout
