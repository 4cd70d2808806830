from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mnas.finalists.ledger import Ledger, Trouble
from mnas.run import RunDirectory, open_run
from tests.command_line import Ended, running
from tests.mnas import finished

Finalize = Callable[..., Ended]
SAME = ("--finalists", "3", "--seeds", "2", "--baselines", ",".join(finished.BASELINES))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run")


mnas_finalize = running("finalize")


def test_a_finalized_run_is_shown_at_once(run: RunDirectory, mnas_finalize: Finalize) -> None:
    before = run.finalists.read_bytes()
    ended = mnas_finalize(run.path, *SAME)
    assert ended.code == 0
    assert run.finalists.read_bytes() == before
    assert "mobilenetv2-0.25" in ended.out
    assert "best under 1 ms" in ended.out
    assert str(run.path / "pareto.png") in ended.out
    assert (run.path / "pareto.png").exists()


def test_json_is_one_document_on_standard_output(run: RunDirectory, mnas_finalize: Finalize) -> None:
    ended = mnas_finalize(run.path, *SAME, "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document == json.loads((run.path / "summary.json").read_text())
    assert "training" in ended.err


def test_quiet_prints_no_progress(run: RunDirectory, mnas_finalize: Finalize) -> None:
    assert mnas_finalize(run.path, *SAME, "--json", "--quiet").err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "3"), "epochs is not set, not 3.0"),
        (("--batch-size", "16"), "batch_size is 128, not 16"),
        (("--seeds", "0"), "seeds is 0; it must be 1 or more"),
        (("--finalists", "-1"), "finalists is -1"),
        (("--baselines", "resnet50"), "resnet50"),
        (("--baselines", "mobilenetv1"), "has 6 blocks"),
        (("--baselines", "mobilenetv2,mobilenetv2"), "name each once"),
        (("-d", "toaster"), "toaster"),
        (("--epochs", "many"), "Invalid value for '--epochs'"),
    ],
)
def test_bad_input_ends_with_2(
    run: RunDirectory, mnas_finalize: Finalize, arguments: tuple[str, ...], message: str
) -> None:
    before = run.finalists.read_bytes()
    ended = mnas_finalize(run.path, *arguments)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert run.finalists.read_bytes() == before


def test_a_run_that_is_none_or_empty_ends_with_2(tmp_path: Path, mnas_finalize: Finalize) -> None:
    ended = mnas_finalize(tmp_path / "none")
    assert ended.code == 2
    assert "is not a run directory" in ended.err
    finished.searched(tmp_path / "empty", ())
    ended = mnas_finalize(tmp_path / "empty")
    assert ended.code == 2
    assert "run mnas search first" in ended.err


def test_a_run_in_use_is_refused(run: RunDirectory, mnas_finalize: Finalize) -> None:
    with open_run(run.path):
        ended = mnas_finalize(run.path, *SAME)
    assert ended.code == 2
    assert "is in use by process" in ended.err


def test_a_damaged_training_plan_ends_with_2(tmp_path: Path, mnas_finalize: Finalize) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS)
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("steps = 40", "stairs = 40"))
    ended = mnas_finalize(run.path)
    assert ended.code == 2
    assert "stairs" in ended.err


def test_failures_end_with_4_and_are_listed(
    run: RunDirectory, mnas_finalize: Finalize, tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    Ledger(tmp_path / "run" / "finalists.jsonl").add_trouble(
        Trouble("trial-9, seed 0", "training", "the loss is nan")
    )
    ended = mnas_finalize(tmp_path / "run", *SAME, "--json")
    assert ended.code == 4
    assert json.loads(ended.out)["failures"] == [
        {"name": "trial-9, seed 0", "step": "training", "message": "the loss is nan"}
    ]
    assert "trial-9, seed 0: training failed: the loss is nan" in " ".join(ended.err.split())


def test_help_has_an_example(mnas_finalize: Finalize) -> None:
    ended = mnas_finalize("--help")
    assert ended.code == 0
    assert "Example: mnas finalize runs/digits" in " ".join(ended.out.replace("│", " ").split())
