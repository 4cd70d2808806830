"""`mnas table anchor` as its users see it: a stale table is fresh again, and what cannot be is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from devices import registry
from devices.registry import open_device
from latency_tables.store import LatencyTable
from tests.command_line import Ended, running
from tests.mnas.tables import Flaky, agrees

pytestmark = pytest.mark.usefixtures("quick")

Run = Callable[..., Ended]

run = running("table")


def test_a_stale_table_is_calibrated_anew(run: Run, table: Path, tmp_path: Path) -> None:
    with LatencyTable.open(table) as opened:
        opened.mark_stale("everything takes longer")
        before = opened.predictor().calibration
        figures = opened.figures()
    log = tmp_path / "log"
    ended = run("anchor", str(table), "--passes", "2", "--json", "--log", str(log))
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "anchor")
    assert (document["anchors"], document["measured_passes"], document["stale"]) == (2, 4, None)
    assert document["scale_before"] == before.scale
    with LatencyTable.open(table) as opened:
        assert opened.stale is None
        assert opened.reanchored_at is not None
        assert opened.predictor().scale == document["scale"]
        assert opened.figures().keys() == figures.keys()
    assert "measuring anchors: 4 of 4" in log.read_text()
    assert log.read_text().endswith("ends with exit code 0\n")


def test_quiet_prints_the_result_only(run: Run, table: Path) -> None:
    ended = run("anchor", str(table), "-d", "local", "--passes", "1", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert "scale now" in ended.out


def test_an_anchor_that_fails_is_told_by_the_exit_code(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry, "open_device", lambda *given, **named: Flaky(open_device(*given, **named), "anchor-001")
    )
    ended = run("anchor", str(table), "--passes", "1", "--json", "-q")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert [one["network"] for one in document["failures"]] == ["anchor-001"]
    assert document["anchors"] == 1
    assert "anchor-001 ended the worker" in ended.err


def test_time_that_is_over_at_once_changes_nothing(run: Run, table: Path) -> None:
    with LatencyTable.open(table) as opened:
        before = opened.predictor().scale
    ended = run("anchor", str(table), "--budget", "0.0001s", "--json", "-q")
    assert ended.code == 4
    assert json.loads(ended.out)["budget_over"]
    assert "the calibration is as it was" in ended.err
    with LatencyTable.open(table) as opened:
        assert opened.predictor().scale == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--passes", "0"), "passes is 0"),
        (("-d", "moon"), "moon"),
        (("--budget", "5"), "90s, 20m, 1h30m"),
        (("--log", "no/such/log"), "cannot write the log"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run, table: Path, options: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    ended = run("anchor", str(table), *options)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
