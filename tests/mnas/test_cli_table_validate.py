"""`mnas table validate` as its users see it: what it prints and writes, its JSON, its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from devices import registry
from devices.registry import open_device
from mnas.jsonl import read_jsonl
from tests.command_line import Ended, running
from tests.mnas.tables import Flaky, agrees

pytestmark = pytest.mark.usefixtures("quick")

Run = Callable[..., Ended]

run = running("table")


def test_validating(run: Run, table: Path) -> None:
    ended = run("validate", str(table), "-d", "local", "--networks", "4", "--passes", "1", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "validate")
    assert document["networks"] == len(document["details"]) == 4
    assert document["noise_floor_percent"] > 0
    assert (document["reanchored"], document["anchors"]) == (True, 2)
    assert "measuring networks: 12 of 12" in ended.err
    assert [file.name for file in table.parent.iterdir()] == ["t.db"]


def test_a_report_to_read(run: Run, table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    command = (
        "validate",
        str(table),
        "--networks",
        "4",
        "--passes",
        "1",
        "--compare",
        "-o",
        str(folder),
        "-q",
    )
    ended = run(*command)
    assert ended.code == 0
    assert ended.err == ""
    page = (folder / "validation.md").read_text()
    document = json.loads((folder / "validation.json").read_text())
    headline = document["headline"]
    assert " ".join(ended.out.split()).startswith(headline)
    assert f"**{headline}**" in page
    methods = [one["method"] for one in document["methods"]]
    assert len(methods) == 6
    assert all(f"| {name} |" in page for name in methods)
    assert "noise floor" in ended.out
    assert all(one["networks"] == 4 for one in document["methods"])
    assert agrees(document, "validate")
    assert "(validation.png)" in page
    with Image.open(folder / "validation.png") as picture:
        assert picture.width > 1000
    again = run(*command, "--json")  # everything is there: nothing is measured
    assert json.loads(again.out) == document


def test_a_report_goes_on_where_its_job_was_ended(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    options = ("validate", str(table), "--networks", "2", "--passes", "2", "-o", str(folder))
    for end, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL), (None, 0)):
        before = _lines(folder)
        command = [sys.executable, "-m", "mnas", "table", *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as job:
            while end and job.poll() is None and _lines(folder) < before + 4:
                time.sleep(0.02)
            if end:
                job.send_signal(end)
            _, err = job.communicate(timeout=60)
        moved = end is None and "the table is stale" in err  # a busy machine changed its speed

        assert job.returncode == (4 if moved else code), err
        if end == signal.SIGINT:
            assert "everything measured so far is kept; repeat the command to go on" in err
        assert (folder / "validation.md").exists() is (end is None)
    records = list(read_jsonl(folder / "networks.jsonl"))[1:]
    keys = {(one["pass"]["model"], one["pass"]["index"]) for one in records}
    assert len(keys) == len(records) == (2 + 2) * 2 * 2  # networks and anchors, instances, passes


def _lines(folder: Path) -> int:
    return len(list(read_jsonl(folder / "networks.jsonl")))


def test_another_job_in_the_same_folder_is_refused(run: Run, table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    first = ("validate", str(table), "--networks", "3", "-o", str(folder), "-q", "--passes")
    assert run(*first, "1").code == 0
    ended = run(*first, "2")
    assert ended.code == 2
    assert "passes is 1 there and 2 now" in ended.err


def test_a_difference_is_refused_by_name_and_crossed_by_name(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def updated(*given: object, **named: object) -> Flaky:
        device = Flaky(open_device(*given, **named), "none")
        device.facts = replace(device.facts, cpu_model="another CPU")
        return device

    monkeypatch.setattr(registry, "open_device", updated)
    options = ("validate", str(table), "--networks", "3", "--passes", "1")
    ended = run(*options)
    assert ended.code == 2
    assert "cpu_model is 'another CPU'" in ended.err
    assert "--across cpu_model" in ended.err.replace("\n", " ")
    ended = run(*options, "--across", "cpu_model", "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert len(document["crossed"]) == 1
    assert document["crossed"][0].startswith("cpu_model is 'another CPU'")
    assert "in spite of a difference" in ended.err
    ended = run(*options, "--across", "weather")
    assert ended.code == 2
    assert "'weather' is nothing in which devices differ" in ended.err


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
