from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mnas.run import RunDirectory
from tests.command_line import Ended, running
from tests.mnas import finished
from tests.mnas.documented import documented, fields

Pick = Callable[..., Ended]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run")


mnas_pick = running("pick")


def test_a_model_and_its_card(run: RunDirectory, mnas_pick: Pick) -> None:
    ended = mnas_pick(run.path, "--under-ms", 20, "--int8")
    assert ended.code == 0
    line, model, card = ended.out.splitlines()
    assert line.startswith("mobilenetv2-0.5 int8: ")
    assert Path(model) == run.models / "mobilenetv2-0.5-int8.tflite"
    assert json.loads(Path(card).read_text())["dtype"] == "int8"


def test_json_is_the_card_with_the_paths(run: RunDirectory, mnas_pick: Pick, tmp_path: Path) -> None:
    output = tmp_path / "model.tflite"
    ended = mnas_pick(run.path, "--under-ms", 20, "--float32", "-o", output, "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document.pop("model") == str(output)
    assert document.pop("card") == str(tmp_path / "model.json")
    assert document == json.loads((tmp_path / "model.json").read_text())
    assert output.exists()


def test_every_field_is_documented(run: RunDirectory, mnas_pick: Pick) -> None:
    document = json.loads(mnas_pick(run.path, "--under-ms", 20, "--int8", "--json").out)
    objects = dict.fromkeys(("training", "latency", "versions"))
    assert fields(document | objects) == documented("pick")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--under-ms", "0.0001"), "the nearest is "),
        (("--under-ms", "0"), "must be a number above 0"),
        (("--under-ms", "-3"), "must be a number above 0"),
        (("--under-ms", "nan"), "must be a number above 0"),
        (("--under-ms", "soon"), "Invalid value for '--under-ms'"),
        (("--under-ms", "9", "--int8", "--float32"), "exclude each other"),
        (("--under-ms", "9", "-o", "/nowhere/model.tflite"), "cannot write /nowhere/model.tflite"),
        ((), "--under-ms"),
    ],
)
def test_bad_input_ends_with_2(
    run: RunDirectory, mnas_pick: Pick, arguments: tuple[str, ...], message: str
) -> None:
    ended = mnas_pick(run.path, *arguments)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_a_run_that_is_not_finalized_ends_with_2(tmp_path: Path, mnas_pick: Pick) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS)
    ended = mnas_pick(run.path, "--under-ms", 20)
    assert ended.code == 2
    assert f"run mnas finalize {run.path}" in " ".join(ended.err.split())


def test_help_has_an_example(mnas_pick: Pick) -> None:
    assert "Example: mnas pick runs/digits" in " ".join(mnas_pick("--help").out.split())
