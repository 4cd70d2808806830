from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from devices.device import Device
from devices.errors import DeviceTrouble
from devices.measurement import DeviceFacts
from devices.plan import Plan
from devices.registry import open_device
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable
from mnas.architecture import Architecture
from mnas.config import RunConfig
from mnas.data import Dataset, open_dataset, split
from mnas.errors import BadInput, BadRun
from mnas.finalists.entrants import entrants
from mnas.finalists.exported import representative
from mnas.finalists.finalize import (
    FinalPlan,
    covers,
    finalize,
    longer,
    require_fitting,
    start_again,
)
from mnas.finalists.ledger import Ledger, Records, Session, Trouble
from mnas.job import search_images
from mnas.jsonl import read_jsonl
from mnas.latency import TableLatency
from mnas.nn.export import tflite_accuracy
from mnas.run import Result, RunDirectory, make_run, open_run
from mnas.training_plan import TrainingPlan
from tests.mnas import finished, measured_table

TINY = "in_8x8x1,cv_r1_k3_s2_c8_noskip,ds_r1_k3_s1_c8,fc_10"
PLAN = FinalPlan(
    finalists=1,
    seeds=2,
    training=TrainingPlan(epochs=4, batch_size=64),
    measuring=Plan(passes=2, min_runs=20, warmup_runs=1),
)


class Stop(Exception):
    """Ends finalizing from outside, at a place of the test's choosing."""


def tiny_config() -> RunConfig:
    return replace(finished.config(), resolution=8, trials=1, validation_share=0.2)


def tiny_run(path: Path) -> None:
    with make_run(path, tiny_config()) as run:
        run.record(Result(4, (0,), TINY, 0.5, 0.01, "trained", 1.0))


def stop_at(step: str, done: float) -> Callable[[str, float, int], None]:
    def report(now: str, at: float, _: int) -> None:
        if now == step and at >= done:
            raise Stop

    return report


def watched(run: RunDirectory, reads: list[str]) -> Dataset:
    """The digits, noting when which split is read, and how many records there are then."""
    digits = open_dataset("digits")

    def note(which: str) -> None:
        reads.append(f"{which} after {len(list(read_jsonl(run.finalists)))}")

    def train() -> object:
        note("train")
        return digits.train()

    def test() -> object:
        note("test")
        return digits.test()

    return replace(digits, read_train=train, read_test=test)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, list[str]]:
    """A run that was stopped while training and while measuring, and then finished."""
    path = tmp_path_factory.mktemp("runs") / "run"
    tiny_run(path)
    reads: list[str] = []
    for stop in (stop_at("training", 1), stop_at("measuring", 3), lambda *_: None):
        with open_run(path) as run:
            try:
                finalize(run, PLAN, watched(run, reads), lambda: open_device("local"), stop)
            except Stop:
                reads.append("stopped")
    return run, reads


def records(ended: tuple[RunDirectory, list[str]]) -> Records:
    return Ledger(ended[0].finalists).read()


def test_every_step_is_done_once_and_in_order(ended: tuple[RunDirectory, list[str]]) -> None:
    lines = [line["record"] for line in read_jsonl(ended[0].finalists)]
    assert lines == [
        "settings",
        "trained",
        "trained",
        "session",  # stopped
        *["pass"] * 3,
        "session",
        *["pass"] * 4,
        "finished",
        *["tested"] * 4,
    ]


def test_the_test_split_is_read_once_after_everything_else(ended: tuple[RunDirectory, list[str]]) -> None:
    assert ended[1] == ["train after 1", "stopped", "train after 2", "stopped", "test after 13"]


def test_both_element_types_of_every_seed_are_exported(ended: tuple[RunDirectory, list[str]]) -> None:
    run, _ = ended
    assert sorted(path.name for path in run.models.iterdir()) == [
        "trial-4-float32-seed1.tflite",
        "trial-4-float32.json",
        "trial-4-float32.tflite",
        "trial-4-int8-seed1.tflite",
        "trial-4-int8.json",
        "trial-4-int8.tflite",
    ]
    for one in records(ended).trained:
        for model in one.models:
            content = (run.models / model.file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == model.sha256
            assert len(content) == model.model_bytes
            assert (model.source is None) == (model.dtype == "float32")


def test_accuracy_is_the_files_own_on_the_test_split(ended: tuple[RunDirectory, list[str]]) -> None:
    run, _ = ended
    images = open_dataset("digits").test()
    for final in records(ended).finals():
        assert len(final.accuracies) == 2
        assert final.accuracies[0] == tflite_accuracy((run.models / final.model.file).read_bytes(), images)
        assert 0.2 < min(final.validation_accuracies) <= 1


def test_latency_is_measured_for_the_first_seeds_files(ended: tuple[RunDirectory, list[str]]) -> None:
    for final in records(ended).finals():
        assert final.measurement is not None
        assert final.measurement.median_ms > 0
        assert [one.index for one in final.measurement.passes] == [0, 1]
        assert final.measurement.context.facts.address == "local"


def test_what_the_search_measured_is_the_prediction(ended: tuple[RunDirectory, list[str]]) -> None:
    float32, int8 = records(ended).finals()
    assert float32.model.predicted_ms == 0.01
    assert int8.model.predicted_ms is None


def test_cards_lie_beside_the_models(ended: tuple[RunDirectory, list[str]]) -> None:
    card = json.loads((ended[0].models / "trial-4-int8.json").read_text())
    assert card["accuracy"]["seeds"] == [0, 1]
    assert card["latency"]["samples"] >= 20
    assert set(card["versions"]) >= {"mnas", "tensorflow", "keras", "ai-edge-litert"}


def test_again_there_is_nothing_to_do(ended: tuple[RunDirectory, list[str]]) -> None:
    run, _ = ended
    before = run.finalists.read_bytes()
    with open_run(run.path) as opened:
        finalize(opened, PLAN, watched(run, reads := []), lambda: open_device("local"))
    assert run.finalists.read_bytes() == before
    assert reads == []


def test_another_training_is_refused_by_name(ended: tuple[RunDirectory, list[str]]) -> None:
    run, reads = ended
    other = replace(PLAN, training=TrainingPlan(epochs=5, batch_size=64))
    with (
        open_run(run.path) as opened,
        pytest.raises(BadRun, match=r"epochs is 4, not 5.*--fresh"),
    ):
        finalize(opened, other, watched(run, reads), lambda: open_device("local"))


def test_a_device_that_is_not_there_shows_before_training(tmp_path: Path) -> None:
    def connect() -> Device:
        raise DeviceTrouble("nobody there")

    tiny_run(tmp_path / "run")
    reads: list[str] = []
    with open_run(tmp_path / "run") as run, pytest.raises(DeviceTrouble, match="nobody there"):
        finalize(run, PLAN, watched(run, reads), connect)
    assert reads == []


def test_starting_again_puts_the_old_aside(tmp_path: Path) -> None:
    run = finished.finished(tmp_path / "run", finalists=1, baselines=(), seeds=1)
    old = run.finalists.read_bytes()
    start_again(run)
    assert not run.finalists.exists()
    assert (run.path / "finalists-1.jsonl").read_bytes() == old
    assert len(list((run.path / "models-1").iterdir())) == 4
    start_again(run)
    assert not (run.path / "finalists-2.jsonl").exists()


def test_fresh_puts_nothing_aside_before_all_is_checked(tmp_path: Path) -> None:
    def connect() -> Device:
        raise DeviceTrouble("nobody there")

    run = finished.finished(tmp_path / "run", finalists=1, baselines=(), seeds=1)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    digits = open_dataset("digits")
    wrong: list[tuple[FinalPlan, Callable[[], Device], type[Exception]]] = [
        (replace(PLAN, baselines=("resnet50",)), lambda: open_device("local"), BadInput),
        (replace(PLAN, int8_table=tmp_path / "gone.db"), lambda: open_device("local"), BadTable),
        (PLAN, connect, DeviceTrouble),
    ]
    for plan, device, error in wrong:
        with pytest.raises(error):
            finalize(run, plan, digits, device, fresh=True)
    assert {
        path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path in before
    } == before
    assert not list(run.path.glob("models-*"))


def test_fresh_trains_anew_and_keeps_the_old_beside(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        Ledger(run.finalists).add_settings({"epochs": 77})
        old = run.finalists.read_bytes()
        stop = stop_at("training", 0)
        with pytest.raises(Stop):
            finalize(run, PLAN, open_dataset("digits"), lambda: open_device("local"), stop, fresh=True)
    assert (run.path / "finalists-1.jsonl").read_bytes() == old
    assert (Ledger(run.finalists).read().settings or {})["epochs"] == 4


def here() -> DeviceFacts:
    with closing(open_device("local")) as device:
        return device.facts


def test_int8_is_predicted_by_a_table_of_its_own(tmp_path: Path) -> None:
    """On a run that is trained already, so that only predicting is left before measuring."""
    facts = here()
    table = measured_table.make(tmp_path / "int8.db", "int8", facts)
    space = measured_table.request().space_of()
    architecture = str(space.decode([0] * len(space.choices)))
    config = replace(finished.config(), resolution=28, width=measured_table.WIDTH, trials=1)
    with make_run(tmp_path / "run", config) as run:
        run.record(Result(0, (0,), architecture, 0.5, 0.01, "trained", 1.0))
        plan = replace(PLAN, seeds=1)
        wanted = {name: value for name, value in asdict(plan.training).items() if value is not None}
        Ledger(run.finalists).add_settings(wanted)
        one = finished.train(run, entrants(run, 1, ())[0], 0)
        Ledger(run.finalists).add_trained(one)
        for _ in range(2):
            with pytest.raises(Stop):
                finalize(
                    run,
                    replace(plan, int8_table=table),
                    open_dataset("digits"),
                    lambda: open_device("local"),
                    stop_at("measuring", 0),
                )
        float32, int8 = Ledger(run.finalists).read().finals()
        assert float32.model.predicted_ms == 0.01
        with LatencyTable.open(table) as opened:
            expected = TableLatency(opened, "int8").predict(Architecture.parse(architecture))
        assert int8.model.predicted_ms == expected.latency_ms
        assert (int8.model.predicted_low_ms, int8.model.predicted_high_ms) == (
            expected.low_ms,
            expected.high_ms,
        )
        kinds = [line["record"] for line in read_jsonl(run.finalists)]
        assert kinds.count("predicted") == 1


@pytest.mark.parametrize(
    ("dtype", "cpu_model", "roles", "message"),
    [
        ("float32", None, ("cover", "anchor"), "is of float32; int8 is needed"),
        ("int8", None, ("anchor",), "is incomplete, .* operators missing"),
        ("int8", "Another CPU", ("cover", "anchor"), "is from elsewhere .*the table's is 'Another CPU'"),
    ],
)
def test_a_table_for_int8_that_does_not_fit_is_refused(
    tmp_path: Path, dtype: str, cpu_model: str | None, roles: tuple[str, ...], message: str
) -> None:
    facts = here()
    table = measured_table.make(
        tmp_path / "table.db", dtype, replace(facts, cpu_model=cpu_model or facts.cpu_model), roles
    )
    with closing(open_device("local")) as device, pytest.raises(BadInput, match=message):
        require_fitting(table, device)


def test_longer_training() -> None:
    config = replace(finished.config(), training={"steps": 40, "batch_size": 32})
    assert longer(config) == TrainingPlan(steps=160, batch_size=32)
    assert longer(config, epochs=3) == TrainingPlan(epochs=3, batch_size=32)
    assert longer(config, batch_size=64) == TrainingPlan(steps=160, batch_size=64)
    by_epochs = replace(config, training={"epochs": 0.5})
    assert longer(by_epochs) == TrainingPlan(epochs=2.0)
    with pytest.raises(BadInput, match="epochs"):
        longer(config, epochs=-1)
    with pytest.raises(BadRun, match="colour"):
        longer(replace(config, training={"steps": 1, "colour": 2}))


def test_plans_that_cannot_be() -> None:
    training = TrainingPlan(steps=1)
    for wrong in ({"finalists": 0}, {"seeds": 0}, {"baselines": ("a", "a")}):
        with pytest.raises(BadInput):
            FinalPlan(training=training, **wrong)  # type: ignore[arg-type]  # one field each


def test_finalists_see_the_images_of_the_search() -> None:
    digits = open_dataset("digits")
    train, validation = search_images(tiny_config(), digits)
    again, _ = split(digits.train(), seed=0, validation_share=0.2)
    assert np.array_equal(train.pixels, again.pixels)
    assert len(train) + len(validation) == len(digits.train())
    shown = representative(train, 0)
    assert shown.shape == (200, 8, 8, 1)
    assert shown.min() >= -1
    assert shown.max() <= 1
    assert len(np.unique(shown.reshape(200, -1), axis=0)) > 190


def test_a_run_of_the_device_counts_only_there_and_without_trouble() -> None:
    session = Session(1, "local", ("a", "b"), {}, finished=True)
    assert covers(session, {"a"}, "local")
    assert not covers(session, {"a", "c"}, "local")
    assert not covers(session, {"a"}, "board")
    assert not covers(replace(session, troubles=(Trouble("a", "measuring", "crashed"),)), {"a"}, "local")


def test_a_network_that_cannot_be_trained_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        run.record(Result(5, (0,), TINY.replace("fc_10", "fc_2"), 0.6, 0.02, "trained", 1.0))
        plan = replace(PLAN, finalists=2, seeds=1)
        records = finalize(run, plan, open_dataset("digits"), lambda: open_device("local"))
    assert [one.name for one in records.trained] == ["trial-4"]
    assert [(one.name, one.step) for one in records.troubles] == [("trial-5, seed 0", "training")]
    assert "has 2 classes" in records.troubles[0].message
    assert all(final.accuracies and final.measurement for final in records.finals())
