from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from mnas.data import model_input, open_dataset, resized
from mnas.finalists.ledger import Quantisation
from mnas.nn.export import quantised
from mnas.reports import pick as picking
from mnas.reports.card import example
from mnas.run import RunDirectory
from tests.mnas import finished


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run", finalists=1, baselines=())


def read(run: RunDirectory, name: str) -> dict:
    return json.loads((run.models / name).read_text())


def test_a_card_says_what_the_model_takes(run: RunDirectory) -> None:
    card = read(run, "trial-3-int8.json")
    assert card["input"]["shape"] == [1, 32, 32, 1]
    assert card["input"]["channel_order"] == "grey"
    assert card["input"]["scaling"] == "pixel / 127.5 - 1, pixels from 0 to 255"
    assert card["labels"] == list("0123456789")
    assert "logits" in card["output"]["meaning"]
    interpreter = Interpreter(str(run.models / "trial-3-int8.tflite"))
    for end, details in (
        ("input", interpreter.get_input_details()),
        ("output", interpreter.get_output_details()),
    ):
        quantisation = card[end]["quantisation"]
        assert (quantisation["scale"], quantisation["zero_point"]) == details[0]["quantization"]
        assert card[end]["dtype"] == "int8"


def test_a_card_says_what_was_measured(run: RunDirectory) -> None:
    card = read(run, "trial-3-float32.json")
    assert card["input"]["quantisation"] is None
    assert card["architecture"] == str(finished.architecture(3))
    assert card["accuracy"]["seeds"] == [0, 1]
    assert card["accuracy"]["low"] < card["accuracy"]["mean"] < card["accuracy"]["high"]
    assert card["accuracy"]["this_file"] == card["accuracy"]["per_seed"][0]
    assert card["accuracy"]["images"] == 360
    assert card["latency"]["cpus"] == [1]
    assert card["latency"]["device"]["cpu_model"] == "Test CPU"
    assert card["predicted_ms"] == 0.9
    assert card["versions"]["tensorflow"] == "2.21.0"
    assert card["versions"]["measured_with"] == "ai_edge_litert 2.3.0"
    assert card["seed"] == 0


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_example_runs_and_agrees(run: RunDirectory, dtype: str, tmp_path: Path) -> None:
    picked = picking.save(run, picking.pick(run, 100, dtype), tmp_path / "model.tflite")
    card = json.loads(picked.card.read_text())
    assert len(card["example"]) == 10
    images = open_dataset("digits").test()
    for index in (0, 100, 200):
        Image.fromarray(images.pixels[index, :, :, 0]).save(tmp_path / "image.png")
        ran = subprocess.run(
            [sys.executable, "-c", "\n".join(card["example"])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        one = resized(images.take(np.array([index])), 32)
        interpreter = Interpreter(model_content=picked.model.read_bytes())
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], quantised(model_input(one), source))
        interpreter.invoke()
        scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        assert ran.stdout.strip() == card["labels"][scores.argmax()]


def test_the_example_takes_colour_images() -> None:
    colour = finished.architecture(0).at(32, 32, channels=3)
    lines = example(colour, Quantisation(0.5, -3), "a.tflite", "a.json")
    assert 'convert("RGB")' in lines
    assert "reshape(1, 32, 32, 3)" in lines
    assert "np.round(values / 0.5) + -3).clip(-128, 127)" in lines
    compile(lines, "example", "exec")
