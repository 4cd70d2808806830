"""`mnas table predict` as its users see it: what it prints, its JSON, its refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from devices.measurement import Settings
from latency_tables import tflite
from latency_tables.exchange.importing import import_table, unknown_origin
from latency_tables.records import Given, Origin
from latency_tables.store import LatencyTable
from latency_tables.units import print_unit
from mnas.architecture import Architecture
from mnas.lower import lower
from tests.command_line import Ended, running
from tests.mnas.finished import FACTS
from tests.mnas.tables import REQUEST, agrees, architecture

Run = Callable[..., Ended]

run = running("table")

SPECS = lower(Architecture.parse(architecture())).graph.specs


def other() -> str:
    return architecture().replace("k3_s1_c8", "k5_s1_c8", 1)


def imported(path: Path, *units: str, std_ms: float | None = None) -> Path:
    """A table of given figures, two milliseconds each, without networks."""
    with LatencyTable.create(path, Origin(asdict(REQUEST), FACTS, Settings()), []) as table:
        table.add_given(Given(unit, 2.0, std_ms, None, "imported") for unit in units)
    return path


def test_predicting_an_architecture_and_its_file(run: Run, table: Path, tmp_path: Path) -> None:
    text = architecture()
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite.write(lower(Architecture.parse(text)).graph))
    ended = run("predict", table, text, path, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "predict")
    first, from_file = document["models"]
    assert (first["model"], from_file["model"]) == (text, str(path))
    assert {**first, "model": None} == {**from_file, "model": None}
    assert first["low_ms"] < first["latency_ms"] < first["high_ms"]
    assert first["latency_ms"] == pytest.approx(sum(one["latency_ms"] for one in first["operators"]))
    assert sum(one["share_percent"] for one in first["operators"]) == pytest.approx(100)
    assert sum(one["count"] for one in first["operators"]) == len(SPECS)
    assert first["latency_ms"] == pytest.approx(document["calibration"]["scale"] * first["sum_ms"])


def test_people_see_the_interval_and_where_the_time_goes(run: Run, table: Path) -> None:
    one = json.loads(run("predict", table, architecture(), "--json").out)["models"][0]
    shown = " ".join(run("predict", table, architecture(), "--top", "2").out.split())
    interval = f"{one['latency_ms']:.3f} ms predicted (90 %: {one['low_ms']:.3f} to {one['high_ms']:.3f})"
    assert interval in shown
    assert shown.count("in context") == 2


def test_several_models_are_listed_side_by_side(run: Run, table: Path) -> None:
    ended = run("predict", table, architecture(), other(), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(run("predict", table, architecture(), other(), "--json").out)["models"]
    assert found[0]["latency_ms"] != found[1]["latency_ms"]
    for one in found:
        assert all(f"{one[name]:.3f}" in ended.out for name in ("latency_ms", "low_ms", "high_ms"))


def test_operators_that_the_table_lacks_are_listed_with_what_to_do(run: Run, table: Path) -> None:
    ended = run("predict", table, "mobilenetv2", architecture(), "--json", "--quiet", "--top", "3")
    assert ended.code == 4
    lacking, known = json.loads(ended.out)["models"]
    assert (lacking["latency_ms"], lacking["low_ms"], lacking["sum_ms"]) == (None, None, None)
    assert len(lacking["missing_operators"]) == len(set(lacking["missing_operators"])) > 3
    assert known["latency_ms"] > 0
    assert ended.err.count("/float32/") == 3
    assert all(key in ended.err for key in lacking["missing_operators"][:3])
    assert f"and {len(lacking['missing_operators']) - 3} more" in ended.err
    assert f"add them: mnas table extend {table} mobilenetv2 -d local" in ended.err
    alone = run("predict", table, "mobilenetv2")
    assert (alone.code, alone.out) == (4, "")
    assert agrees(json.loads(run("predict", table, "mobilenetv2", "--json").out), "predict")


def test_a_stale_table_warns_and_predicts(run: Run, table: Path) -> None:
    with LatencyTable.open(table) as opened:
        opened.mark_stale("the reference model is 9 % slower")
    ended = run("predict", table, architecture(), "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["stale"] == "the reference model is 9 % slower"
    assert "is stale, the reference model is 9 % slower; calibrate it again: mnas table anchor" in ended.err
    assert run("predict", table, architecture(), "--quiet").err == ""


def test_a_stale_table_without_anchors_is_not_sent_to_be_anchored(run: Run, tmp_path: Path) -> None:
    path = imported(tmp_path / "given.db", *set(map(str, SPECS)))
    with LatencyTable.open(path) as opened:
        opened.mark_stale("9 % slower")
    ended = run("predict", path, architecture())
    assert ended.code == 0
    assert "is stale, 9 % slower; it has no anchors to calibrate it again by: import" in " ".join(
        ended.err.split()
    )


def test_a_model_of_another_type_is_told_apart_from_one_with_rare_operators(run: Run, tmp_path: Path) -> None:
    path = imported(tmp_path / "given.db", *set(map(str, SPECS)))
    model = tmp_path / "int8.tflite"
    model.write_bytes(tflite.write(lower(Architecture.parse(architecture()), "int8").graph))
    hint = "the table is of float32 operators"
    ended = run("predict", path, model)
    assert ended.code == 4
    assert f"{hint}, {len(set(SPECS))} of these are of int8: build a table of that type" in " ".join(
        ended.err.split()
    )
    assert hint not in run("predict", path, other()).err


def test_without_anchors_no_interval_is_made_up(run: Run, tmp_path: Path) -> None:
    path = imported(tmp_path / "given.db", *set(map(str, SPECS)), std_ms=0.1)
    ended = run("predict", path, architecture(), "--json")
    assert ended.code == 0
    assert "too few anchor networks to tell how far its predictions are off" in ended.err
    one = json.loads(ended.out)["models"][0]
    assert one["latency_ms"] == pytest.approx(2.0 * len(SPECS))
    assert (one["low_ms"], one["high_ms"]) == (None, None)
    assert {each["method"] for each in one["operators"]} == {"imported"}
    assert one["operators"][0]["std_error_ms"] == pytest.approx(0.1 * one["operators"][0]["count"])
    assert "90 %:" not in run("predict", path, architecture()).out
    assert "unknown" in run("predict", path, architecture(), architecture()).out


def test_a_table_of_no_space_says_what_it_lacks_for_a_recipe(run: Run, tmp_path: Path) -> None:
    figures = [Given(str(spec), 2.0, None, None, "imported") for spec in dict.fromkeys(SPECS)]
    import_table(str(tmp_path / "t.db"), unknown_origin({}), figures)
    for model, lacking in (
        ("mobilenetv2", "image size, classes and element type"),
        (architecture(), "element type"),
    ):
        ended = run("predict", tmp_path / "t.db", model)
        assert (ended.code, ended.out) == (2, "")
        said = " ".join(ended.err.split())
        assert f"was not made for a search space, so the {lacking} to take" in said
        assert "Give a .tflite file; or, where the figures are from a file, import it with --space" in said
    assert "known are mobilenetv1" in run("predict", tmp_path / "t.db", "mobilenetv99").err
    file = tmp_path / "m.tflite"
    file.write_bytes(tflite.write(lower(Architecture.parse(architecture())).graph))
    assert run("predict", tmp_path / "t.db", file).code == 0


@pytest.mark.parametrize(("name", "value"), [("resolution", "x"), ("space", 7), ("classes", None)])
def test_a_table_of_an_impossible_space_is_refused(
    run: Run, tmp_path: Path, name: str, value: object
) -> None:
    figures = [Given(str(spec), 2.0, None, None, "imported") for spec in dict.fromkeys(SPECS)]
    import_table(str(tmp_path / "t.db"), unknown_origin({**asdict(REQUEST), name: value}), figures)
    ended = run("predict", tmp_path / "t.db", architecture())
    assert (ended.code, ended.out) == (2, "")
    assert "does not say what it was made for" in " ".join(ended.err.split())


def test_operators_that_have_one_figure_together_are_one_row(run: Run, tmp_path: Path) -> None:
    block = print_unit(SPECS[1:3])
    path = imported(tmp_path / "given.db", *set(map(str, (SPECS[0], *SPECS[3:]))), block)
    one = json.loads(run("predict", path, architecture(), "--json").out)["models"][0]
    (row,) = (each for each in one["operators"] if each["operator"] == block)
    assert (row["count"], row["latency_ms"], row["std_error_ms"]) == (1, 2.0, None)
    assert one["latency_ms"] == pytest.approx(2.0 * (len(SPECS) - 1))


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_model_is_named(run: Run, table: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    ended = run("predict", table, architecture(), path)
    assert (ended.code, ended.out) == (2, "")
    assert f"error: {path}: " in ended.err


def test_a_table_that_is_not_built_yet_cannot_predict(run: Run, built: Path, tmp_path: Path) -> None:
    with LatencyTable.open(built) as opened:
        networks = opened.networks()
    path = tmp_path / "new.db"
    LatencyTable.create(path, Origin(asdict(REQUEST), FACTS, Settings()), networks).close()
    ended = run("predict", path, architecture())
    assert (ended.code, ended.out) == (2, "")
    assert "is not built yet" in ended.err


def test_predicting_writes_nothing(run: Run, table: Path, tmp_path: Path) -> None:
    before = Path(shutil.copy(table, tmp_path / "before.db")).read_bytes()
    assert run("predict", table, architecture()).code == 0
    assert table.read_bytes() == before
