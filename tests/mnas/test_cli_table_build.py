"""`mnas table build` as its users see it: progress, JSON, exit codes, what an interruption keeps."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
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
from mnas.cli.table.build import build
from mnas.tables import TableRequest, networks_of
from tests.command_line import Ended, running
from tests.mnas.tables import OPTIONS, REQUEST, Flaky, Unplugged, agrees

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


def test_a_table_of_given_figures_is_not_built_into(run: Run, table: Path, tmp_path: Path) -> None:
    file, given = tmp_path / "t.csv", tmp_path / "given.db"
    assert run("export", str(table), "-o", str(file)).code == 0
    assert run("import", str(file), "-o", str(given), "-q").code == 0
    before = given.read_bytes()
    ended = run("build", *OPTIONS, "-o", str(given), "-q")
    assert (ended.code, ended.out) == (2, "")
    said = " ".join(ended.err.split())
    assert re.search(
        r"has \d+ imported figures, from the file t.csv.*another name.*`mnas table extend`", said
    )
    assert given.read_bytes() == before


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "mnas", "table", "build", *OPTIONS, *options]


def end_midway(path: Path, how: signal.Signals) -> subprocess.CompletedProcess[str]:
    """A build in a process of its own, ended by a signal once it has kept some passes."""
    words = command("--passes", "50", "-o", str(path))
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as job:
        while job.poll() is None and not (LatencyTable.exists(path) and _measured(path)):
            time.sleep(0.1)
        job.send_signal(how)
        _, err = job.communicate(timeout=60)
    return subprocess.CompletedProcess(words, job.returncode, "", err)


def test_an_interruption_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    ended = end_midway(path, signal.SIGINT)
    assert ended.returncode == 130
    assert "interrupted: everything measured so far is kept; repeat the command to go on" in ended.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["t.db"]
    assert 0 < len(_measured(path)) < 50 * len(networks_of(REQUEST))


def test_a_killed_job_goes_on_and_loses_and_repeats_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    assert end_midway(path, signal.SIGKILL).returncode == -signal.SIGKILL
    before = _stored(path)
    ended = run("build", *OPTIONS, "-o", str(path), "--json", "--quiet")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    after = _stored(path)
    assert before < after
    assert len(after) == len({row[:2] for row in after}) == len(before) + document["measured_passes"]
    assert len({network for network, index, _ in after if index == 0}) == document["networks"]
    assert [file.name for file in tmp_path.iterdir()] == ["t.db"]


def _stored(path: Path) -> set[tuple[str, int, str]]:
    with LatencyTable.open(path) as opened:
        return {(one.network, one.pass_index, one.started_at) for one in opened.bursts()}


def test_a_device_that_goes_away_ends_the_job_and_the_next_one_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    with monkeypatch.context() as patch:
        patch.setattr(
            registry, "open_device", lambda *given, **named: Unplugged(open_device(*given, **named), 3)
        )
        ended = run("build", *OPTIONS, "-o", str(path), "--log", str(tmp_path / "log"))
    assert (ended.code, ended.out) == (3, "")
    assert "what was measured before is kept; repeat the command to go on" in ended.err
    assert "is the cable plugged in?" in ended.err
    assert (
        (tmp_path / "log")
        .read_text()
        .endswith("ends with exit code 3: local does not answer: is the cable plugged in?\n")
    )
    before = _stored(path)
    assert len(before) == 3
    again = run("build", *OPTIONS, "-o", str(path), "--json", "-q")
    assert again.code == 0, again.err
    assert before < _stored(path)
    assert json.loads(again.out)["measured_passes"] == len(_stored(path)) - 3


def test_a_second_job_is_refused_and_told_who_is_at_work(run: Run, table: Path) -> None:
    with LatencyTable.open(table) as opened, opened.building():
        ended = run("build", *OPTIONS, "-o", str(table))
    assert (ended.code, ended.out) == (2, "")
    assert f"process {os.getpid()} is at work on {table}" in ended.err
    assert run("build", *OPTIONS, "-o", str(table)).code == 0


def test_as_cron_runs_it(table: Path, tmp_path: Path) -> None:
    """No terminal, no standard input, hardly any environment; the log says what happened."""
    with sqlite3.connect(table) as connection:
        connection.execute("DELETE FROM operator_times WHERE pass_id <= 2")
        connection.execute("DELETE FROM passes WHERE id <= 2")
    log = tmp_path / "build.log"
    words = command("-o", str(table), "-q", "--log", str(log), "--budget", "10m")
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >/dev/null', "sh", *words],
        env={"PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 \[\d+\] ", line) for line in lines)
    assert "begins: mnas table build --space mnasnet-small-images" in lines[0]
    assert any(re.search(r"profiling networks: (\d+) of \1", line) for line in lines)
    assert lines[-1].endswith("ends with exit code 0")


def test_a_budget_ends_a_build_between_passes(run: Run, table: Path, tmp_path: Path) -> None:
    ended = run("build", *OPTIONS, "--passes", "9", "--budget", "1s", "-o", str(table), "--json", "-q")
    document = json.loads(ended.out)
    assert ended.code == (4 if document["stale"] else 0), (
        ended.err
    )  # other programs may slow this machine down
    assert document["budget_over"]
    assert document["seconds"] < 20
    ended = run("build", *OPTIONS, "--budget", "0.01s", "-o", str(tmp_path / "new.db"), "--json", "-q")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert document["budget_over"]
    assert document["missing_operators"]
    assert document["calibration"] is None


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inventory with this machine under two names, and one that is not there."""
    (tmp_path / "bench.toml").write_text(
        '[devices.one]\naddress = "local"\n\n[devices.two]\naddress = "local"\n\n'
        '[devices.gone]\naddress = "adb://127.0.0.1:1"\n'
    )
    monkeypatch.setenv("MNAS_BENCH", str(tmp_path / "bench.toml"))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.usefixtures("two")
def test_several_devices_side_by_side(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    ended = run("build", *OPTIONS, "-d", "one", "-d", "two", "-o", str(folder), "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert document["troubles"] == []
    assert [one.pop("device") for one in document["tables"]] == ["one", "two"]
    assert all(agrees(one, "build") for one in document["tables"])
    assert sorted(file.name for file in folder.iterdir()) == ["one.db", "two.db"]
    for name in ("one", "two"):
        with LatencyTable.open(folder / f"{name}.db") as opened:
            assert opened.ready
            assert opened.origin.facts.address == name
        assert f"profiling networks on {name}: 0 of" in ended.err


@pytest.mark.usefixtures("two")
def test_a_device_in_trouble_ends_its_own_lane_only(run: Run, table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    shutil.copy(table, folder / "local.db")
    log = tmp_path / "log"
    ended = run(
        "build", *OPTIONS, "-d", "gone", "-d", "local", "-o", f"{folder}/", "--json", "--log", str(log)
    )
    assert ended.code == 3
    document = json.loads(ended.out)
    assert [one["device"] for one in document["tables"]] == ["local"]
    (trouble,) = document["troubles"]
    assert (trouble["device"], trouble["code"]) == ("gone", "NOT_FOUND")
    assert "gone: " in ended.err
    assert "gone: " in log.read_text()


@pytest.mark.parametrize(
    ("output", "message"), [("t.db", "t.db is a file"), ("postgresql://host/name", "is a database")]
)
def test_several_devices_need_a_folder(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    monkeypatch.chdir(table.parent)
    ended = run("build", *OPTIONS, "-d", "one", "-d", "two", "-o", output)
    assert ended.code == 2
    assert message in ended.err


def test_the_defaults_are_those_of_a_request() -> None:
    given = inspect.signature(build).parameters
    request = TableRequest.for_space("mnasnet")
    assert (given["anchors"].default, given["cover_times"].default) == (request.anchors, request.cover_times)


def _measured(path: Path) -> set[tuple[str, int]]:
    with LatencyTable.open(path) as opened:
        return opened.measured()


def test_what_failed_is_listed_and_told_by_the_exit_code(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry,
        "open_device",
        lambda *given, **named: Flaky(open_device(*given, **named), "cover-000", "alone-"),
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
        (("--space", "mnasnet", "-o", "t.db", "--max-passes", "0"), "'--max-passes'"),
        (("--space", "mnasnet", "-o", "t.db", "--anchors", "100000000"), "'--anchors'"),
        (("--space", "mnasnet", "-o", "t.db", "--cover-times", "21"), "'--cover-times'"),
        (("--space", "mnasnet", "-o", ""), "-o is empty"),
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
