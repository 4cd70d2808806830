"""`mnas table build` as its users see it: progress, JSON, exit codes, what an interruption keeps."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devices import registry
from devices.device import Device
from devices.registry import open_device
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable
from mnas import tables
from mnas.tables import TableRequest, networks_of
from tests.command_line import Ended, running
from tests.mnas.tables import OPTIONS, REQUEST, Flaky, agrees

pytestmark = pytest.mark.usefixtures("quick")

Run = Callable[..., Ended]

run = running("table")


def test_building_goes_on_where_it_was_ended(run: Run, table: Path) -> None:
    with sqlite3.connect(table) as connection:
        connection.execute("DELETE FROM operator_times WHERE pass_id <= 2")
        connection.execute("DELETE FROM passes WHERE id <= 2")
    ended = run("build", *OPTIONS, "-d", "local", "-o", str(table), "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "build")
    assert document["measured_passes"] == 2
    assert (document["missing_operators"], document["failures"]) == ([], [])
    assert document["calibration"]["scale"] > 0
    assert re.search(r"profiling networks: \d+ of (\d+).*profiling networks: \1 of \1", ended.err, re.DOTALL)
    again = run("build", *OPTIONS, "-o", str(table), "--quiet")
    assert again.code == 0
    assert again.err == ""
    assert "measured just now" in again.out


def test_an_interruption_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    command = [sys.executable, "-m", "mnas", "table", "build", *OPTIONS, "--passes", "50", "-o", str(path)]
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
    assert document["calibration"] is None
    assert "cover-000 ended the worker" in ended.err
    shown = run("show", str(table))
    assert shown.code == 0
    assert "cover-000 ended the worker" in shown.err.replace("\n", " ")


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
