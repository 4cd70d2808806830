"""`mnas table` as its users see it: what it prints, its JSON fields and their document, its exit codes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devices import registry
from devices.device import Device
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from devices.registry import open_device
from latency_tables import build as building
from latency_tables import tflite, validate
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable
from mnas import spaces, tables
from mnas.architecture import Architecture
from mnas.lower import lower
from mnas.tables import TableRequest, networks_of, open_or_create
from tests.command_line import Ended, running
from tests.mnas.documented import documented, fields

REQUEST = TableRequest.for_space("mnasnet-small-images", resolution=28, width=0.05, classes=10, anchors=2)
OPTIONS = (
    *("--space", "mnasnet-small-images", "--resolution", "28", "--width", "0.05", "--classes", "10"),
    *("--anchors", "2", "--passes", "1"),
)

Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PLAN", replace(building.PLAN, min_runs=3, min_time_s=0.0))
    monkeypatch.setattr(validate, "PLAN", replace(validate.PLAN, min_runs=3, min_time_s=0.0))


run = running("table")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "small.db"
    device = open_device("local")
    try:
        with open_or_create(path, REQUEST, device) as table:
            plan = replace(building.PLAN, passes=1, min_runs=5, min_time_s=0.0)
            assert building.build(table, device, plan).missing == ()
    finally:
        device.close()
    return path


@pytest.fixture
def table(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(built, tmp_path / "t.db"))


def architecture() -> str:
    space = spaces.create("mnasnet-small-images", resolution=28, width=0.05, classes=10)
    return str(space.decode((0,) * len(space.choices)))


def _agrees(document: dict[str, Any], command: str) -> bool:
    """All that is printed is documented, and all that is documented is printed, empty lists apart."""
    found, listed = fields(document), documented(f"table {command}")
    empty = {field for field in found if field.endswith("[]") and field not in listed}
    rest = {field for field in listed if not any(field.startswith(each) for each in empty)}
    return found - empty == rest


def test_building_goes_on_where_it_was_ended(run: Run, table: Path) -> None:
    with sqlite3.connect(table) as connection:
        connection.execute("DELETE FROM operator_times WHERE pass_id <= 2")
        connection.execute("DELETE FROM passes WHERE id <= 2")
    ended = run("build", *OPTIONS, "-d", "local", "-o", str(table), "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert _agrees(document, "build")
    assert document["measured_passes"] == 2
    assert (document["missing_operators"], document["failures"]) == ([], [])
    assert document["scale"] > 0
    assert re.search(r"profiling networks: \d+ of (\d+).*profiling networks: \1 of \1", ended.err, re.DOTALL)
    again = run("build", *OPTIONS, "-o", str(table), "--quiet")
    assert again.code == 0
    assert again.err == ""
    assert "measured just now" in again.out


def test_an_interruption_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    command = [sys.executable, "-m", "mnas", "table", "build", *OPTIONS[:-1], "50", "-o", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        while job.poll() is None and not (LatencyTable.exists(path) and _measured(path)):
            time.sleep(0.1)
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "interrupted: everything measured so far is kept; repeat the command to go on" in err
    assert [file.name for file in tmp_path.iterdir()] == ["t.db"]
    assert 0 < len(_measured(path)) < 50 * len(networks_of(REQUEST))


def _measured(path: Path) -> set[tuple[str, int]]:
    with LatencyTable.open(path) as opened:
        return opened.measured()


class Flaky:
    """The local device, on which some networks fail."""

    def __init__(self, inner: Device, failing: str) -> None:
        self.facts, self.settings, self.close = inner.facts, inner.settings, inner.close
        self._inner, self._failing = inner, failing

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for model in models:
            if model.name.startswith(self._failing):
                yield Failure(model.name, model.sha256, "WorkerCrashed", f"{model.name} ended the worker")
        yield from self._inner.stream([m for m in models if not m.name.startswith(self._failing)], plan)


def test_what_failed_is_listed_and_told_by_the_exit_code(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry, "open_device", lambda *given, **named: Flaky(open_device(*given, **named), "cover-000")
    )
    with sqlite3.connect(table) as connection:
        connection.execute("DELETE FROM operator_times WHERE operator_id < 9")
        connection.execute(
            "DELETE FROM operator_times WHERE pass_id IN "
            "(SELECT id FROM passes WHERE network_id = (SELECT id FROM networks WHERE name = 'cover-000'))"
        )
        connection.execute(
            "DELETE FROM passes WHERE network_id = (SELECT id FROM networks WHERE name = 'cover-000')"
        )
    ended = run("build", *OPTIONS, "-o", str(table), "--json", "--quiet")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert document["failures"][0]["network"] == "cover-000"
    assert len(document["missing_operators"]) >= 8
    assert document["scale"] is None
    assert "cover-000 ended the worker" in ended.err
    shown = run("show", str(table))
    assert shown.code == 0
    assert "cover-000 ended the worker" in shown.err.replace("\n", " ")


def test_a_validation_with_failures_is_told_by_the_exit_code(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry,
        "open_device",
        lambda *given, **named: Flaky(open_device(*given, **named), "held-out-001"),
    )
    ended = run("validate", str(table), "--networks", "3", "--passes", "1", "--json", "--quiet")
    assert ended.code == 4
    assert "held-out-001/1 ended the worker" in ended.err
    document = json.loads(ended.out)
    assert document["networks"] == 2
    assert [one["network"] for one in document["failures"]] == ["held-out-001/1", "held-out-001/2"]


@pytest.mark.parametrize(
    ("options", "images"),
    [
        (("--dataset", "digits"), (1, 10)),
        (("--dataset", "digits", "--channels", "1", "--classes", "10"), (1, 10)),
        ((), (3, 1000)),
        (("--channels", "4"), (4, 1000)),
    ],
)
def test_channels_and_classes_come_from_a_dataset_or_as_given(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    images: tuple[int, int],
) -> None:
    seen: list[TableRequest] = []

    def stop(address: Path, request: TableRequest, device: Device) -> LatencyTable:
        seen.append(request)
        raise BadTable("that was enough")

    monkeypatch.setattr(tables, "open_or_create", stop)
    small = ("--space", "mnasnet-small-images", "--resolution", "28", "--width", "0.05")
    ended = run("build", *small, *options, "-o", str(tmp_path / "t.db"))
    assert "that was enough" in ended.err
    assert [(request.channels, request.classes) for request in seen] == [images]


def test_another_purpose_is_refused(run: Run, table: Path) -> None:
    ended = run("build", *OPTIONS, "--dtype", "int8", "-o", str(table))
    assert (ended.code, ended.out) == (2, "")
    assert "dtype is 'int8', the table's is 'float32'" in ended.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--space", "moon", "-o", "t.db"), "mnasnet-small-images"),
        (("--space", "mnasnet", "-o", "no/such/folder/t.db"), "no folder"),
        (("--space", "mnasnet", "-o", "t.db", "-d", "moon"), "local"),
        (("--space", "mnasnet", "-o", "t.db", "--passes", "0"), "passes is 0"),
        (("--space", "mnasnet", "-o", "t.db", "--threads", "0"), "threads is 0"),
        (("--space", "mnasnet", "-o", "t.db", "--dtype", "float64"), "float64"),
        (("--space", "mnasnet-small-images", "--resolution", "224", "-o", "t.db"), "28 to 64"),
        (("--space", "mnasnet-small-images", "--resolution", "0", "-o", "t.db"), "'--resolution'"),
        (("--space", "mnasnet", "--dataset", "digits", "--classes", "9", "-o", "t.db"), "10 classes, not 9"),
        (("--space", "mnasnet", "--dataset", "moons", "-o", "t.db"), "no dataset 'moons'"),
        (("--space", "mnasnet", "-o", "t" * 300), "File name too long"),
        (("--space", "mnasnet"), "--output"),
    ],
)
def test_what_cannot_be_built_is_refused(
    run: Run, options: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("build", *options)
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []


def test_showing_a_table(run: Run, table: Path) -> None:
    document = json.loads(run("show", str(table), "--json").out)
    assert _agrees(document, "show")
    assert document["purpose"]["resolution"] == 28
    assert document["complete_passes"] == 1
    assert len(document["operators"]) == sum(kind["operators"] for kind in document["kinds"])
    assert all(one["latency_ms"] > 0 for one in document["operators"])
    ended = run("show", str(table), "--top", "3")
    assert ended.code == 0
    assert "The 3 slowest operators" in ended.out


def test_predicting_an_architecture_and_its_file(run: Run, table: Path, tmp_path: Path) -> None:
    text = architecture()
    document = json.loads(run("predict", str(table), text, "--json").out)
    assert _agrees(document, "predict")
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


def test_validating(run: Run, table: Path) -> None:
    ended = run("validate", str(table), "-d", "local", "--networks", "4", "--passes", "1", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert _agrees(document, "validate")
    assert document["networks"] == len(document["details"]) == 4
    assert document["noise_floor_percent"] > 0
    assert "measuring networks: 8 of 8" in ended.err
    ended = run("validate", str(table), "--networks", "3", "--passes", "1", "--quiet")
    assert ended.code == 0
    assert ended.err == ""
    assert "noise floor" in ended.out


@pytest.mark.parametrize("command", ["show", "predict", "validate"])
@pytest.mark.parametrize("content", [None, b"", b"not a database", b"SQLite format 3\0" + b"x" * 5000])
def test_files_that_are_no_table(run: Run, tmp_path: Path, command: str, content: bytes | None) -> None:
    path = tmp_path / "t.db"
    if content is not None:
        path.write_bytes(content)
    ended = run(command, str(path), *(["mobilenetv2"] if command == "predict" else []))
    assert (ended.code, ended.out) == (2, "")
    assert "t.db" in ended.err.replace("\n", "")
    assert "Traceback" not in ended.err


def test_every_command_shows_an_example(run: Run) -> None:
    for command in ("build", "show", "predict", "validate"):
        assert f"Example: mnas table {command}" in run(command, "--help").out
