"""`mnas table validate` as its users see it: what it prints, its JSON, its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from devices import registry
from devices.registry import open_device
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
    assert "measuring networks: 8 of 8" in ended.err
    ended = run("validate", str(table), "--networks", "3", "--passes", "1", "--quiet")
    assert ended.code == 0
    assert ended.err == ""
    assert "noise floor" in ended.out


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
