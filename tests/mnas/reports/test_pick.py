from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest

from mnas.errors import BadInput, BadRun
from mnas.finalists.ledger import Ledger
from mnas.reports import pick as picking
from mnas.reports.summary import summarise
from mnas.run import RunDirectory
from tests.mnas import finished


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run")


def points(run: RunDirectory, dtype: str | None) -> list[tuple[float, float, str]]:
    return [
        (rated.accuracy.middle, rated.latency_ms.middle, one.final.model.file)
        for one in summarise(run).networks
        if (rated := one.rated) and dtype in {None, one.final.dtype}
    ]


@pytest.mark.parametrize("dtype", [None, "float32", "int8"])
def test_the_most_accurate_below_the_limit(run: RunDirectory, dtype: str | None) -> None:
    known = points(run, dtype)
    for _, limit_ms, _ in known:
        below = [(accuracy, -latency, file) for accuracy, latency, file in known if latency <= limit_ms]
        assert picking.pick(run, limit_ms, dtype).model.name == max(below)[2]


def test_a_tighter_limit_never_gives_a_slower_model(run: RunDirectory) -> None:
    def latency_ms(limit_ms: float) -> float:
        rated = picking.pick(run, limit_ms).network.rated
        assert rated is not None
        return rated.latency_ms.middle

    limits = sorted(latency for _, latency, _ in points(run, None))
    assert all(latency_ms(limit) <= limit for limit in limits)


def test_when_none_fits_the_nearest_is_named(run: RunDirectory) -> None:
    accuracy, latency_ms, file = min(points(run, "int8"), key=lambda point: point[1])
    with pytest.raises(BadInput, match=r"takes 0\.001 ms or less") as error:
        picking.pick(run, 0.001, "int8")
    assert file.removesuffix("-int8.tflite") + " int8" in str(error.value)
    assert f"{latency_ms:.3g} ms, {accuracy:.2%}" in str(error.value)


@pytest.mark.parametrize("limit_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_that_is_no_latency_is_refused(run: RunDirectory, limit_ms: float) -> None:
    with pytest.raises(BadInput, match="must be a number above 0"):
        picking.pick(run, limit_ms)


@pytest.mark.parametrize("state", [{"measured": False}, {"tested": False}])
def test_only_measured_and_tested_models_count(tmp_path: Path, state: dict[str, bool]) -> None:
    run = finished.finished(tmp_path / "run", finalists=1, baselines=(), seeds=1, **state)
    with pytest.raises(BadRun, match="run mnas finalize"):
        picking.pick(run, 100)


def test_copying_takes_the_card_along(run: RunDirectory, tmp_path: Path) -> None:
    picked = picking.pick(run, 100, "int8")
    copied = picking.save(run, picked, tmp_path / "best.tflite")
    assert copied.model.read_bytes() == picked.model.read_bytes()
    assert copied.card == tmp_path / "best.json"
    card = json.loads(copied.card.read_text())
    assert card["file"] == "best.tflite"
    assert card["sha256"] == hashlib.sha256(copied.model.read_bytes()).hexdigest()
    assert '"best.tflite"' in "\n".join(card["example"])
    assert '"best.json"' in "\n".join(card["example"])
    original = json.loads(picked.card.read_text())
    changed = {name for name in card if card[name] != original[name]}
    assert changed == {"file", "example"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "best.tflite"]


def test_places_that_cannot_be_written_are_refused(run: RunDirectory, tmp_path: Path) -> None:
    picked = picking.pick(run, 100)
    for output in (tmp_path, tmp_path / "missing" / "model.tflite"):
        with pytest.raises(BadInput, match="cannot write"):
            picking.save(run, picked, output)


def test_an_earlier_pick_is_replaced(run: RunDirectory, tmp_path: Path) -> None:
    output = tmp_path / "model.tflite"
    picking.save(run, picking.pick(run, 100, "float32"), output)
    picked = picking.pick(run, 100, "int8")
    saved = picking.save(run, picked, output)
    assert output.read_bytes() == picked.model.read_bytes()
    assert json.loads(saved.card.read_text())["dtype"] == "int8"
    output.unlink()  # as a kill between the card and the model leaves it
    picking.save(run, picked, output)
    assert output.read_bytes() == picked.model.read_bytes()


def test_nothing_but_an_earlier_pick_is_replaced(run: RunDirectory, tmp_path: Path) -> None:
    picked = picking.pick(run, 100)
    places = {"a": ("a.tflite",), "b": ("b.json",), "c": ("c.tflite", "c.json"), "d": ("d.txt",)}
    for name, files in places.items():
        for file in files:
            (tmp_path / file).write_text('{"labels": ["mine"]}')
        output = tmp_path / ("d.txt" if name == "d" else f"{name}.tflite")
        with pytest.raises(BadInput, match=rf"{files[0]} exists, and mnas pick did not write it"):
            picking.save(run, picked, output)
    assert {path.read_text() for path in tmp_path.iterdir()} == {'{"labels": ["mine"]}'}
    saved = picking.save(run, picked, tmp_path / "e.tflite")
    saved.card.rename(tmp_path / "f.json")  # the card of another file
    with pytest.raises(BadInput, match=r"f\.json exists"):
        picking.save(run, picked, tmp_path / "f.tflite")


def test_the_models_of_a_run_stay_as_they_are(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picked = picking.pick(run, 100)
    before = {path: path.read_bytes() for path in run.models.iterdir()}
    (tmp_path / "link").symlink_to(run.models)
    monkeypatch.chdir(run.models)
    for output in (
        picked.model,
        run.models / "new.tflite",
        tmp_path / "link" / "new.tflite",
        Path("x.tflite"),
    ):
        with pytest.raises(BadInput, match="is among the models of the run"):
            picking.save(run, picked, output)
    assert {path: path.read_bytes() for path in run.models.iterdir()} == before


def test_a_card_or_model_that_is_gone_is_noticed(tmp_path: Path) -> None:
    run = finished.finished(tmp_path / "run", finalists=1, baselines=(), seeds=1)
    picked = picking.pick(run, 100, "int8")
    picked.card.write_text("[]")
    with pytest.raises(BadRun, match="mnas finalize writes it again"):
        picking.save(run, picked, tmp_path / "model.tflite")
    picked.card.unlink()
    with pytest.raises(BadRun, match="cannot read the card"):
        picking.save(run, picked, tmp_path / "model.tflite")
    (run.models / Ledger(run.finalists).read().finals()[1].model.file).write_bytes(b"other")
    with pytest.raises(BadRun, match="SHA-256"):
        picking.save(run, picked, tmp_path / "model.tflite")
