"""`mnas runs` as its users see it, over real run directories."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnas.gaps import Gap, keep
from mnas.run import make_run
from mnas.runs import found, standing
from mnas.wanted import OtherCost
from tests.command_line import Ended, running
from tests.mnas.documented import documented, fields
from tests.mnas.finished import POINTS, SPACE, searched

Run = Callable[..., Ended]

run = running("runs")

CHOICES = len(SPACE.choices)
GAP = (
    '{"at": "now", "cost": "latency_ms", "why": "front", "network": "a", "trial": 0, "trained": 2, '
    '"visit": 1, "predicted_ms": 1.0, "low_ms": null, "high_ms": 2.0, "measured_ms": 1.1, "passes": 5}\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run, one that stopped, a broken one, and what is no run."""
    folder = tmp_path / "runs"
    searched(folder / "done", POINTS)
    searched(folder / "deeper" / "half", POINTS[:2], trials=8, target_ms=0.1)
    searched(folder / "torn", POINTS[:1])
    (folder / "torn" / "config.toml").write_text("schema = 99\n")
    (folder / "site").mkdir()
    (folder / "site" / "config.toml").write_text('theme = "dark"\n')
    return folder


def listed(ended: Ended) -> dict[str, dict[str, Any]]:
    return {Path(one["run"]).name: one for one in json.loads(ended.out)["runs"]}


def test_lists_every_run_below_and_says_how_each_stands(run: Run, folder: Path) -> None:
    ended = run("list", folder, "--json")
    assert ended.code == 4  # one is unusable
    runs = listed(ended)
    assert list(runs) == ["half", "done", "torn"]
    assert (runs["done"]["state"], runs["done"]["trained"], runs["done"]["front"]) == ("finished", 8, 5)
    assert (runs["done"]["best_accuracy"], runs["done"]["best_latency_ms"]) == (0.88, 0.9)
    assert (runs["half"]["state"], runs["half"]["best_accuracy"]) == ("stopped", None)
    assert runs["torn"]["state"] == "unusable"
    assert "schema version is 99" in runs["torn"]["error"]
    assert "torn is unusable: " in ended.err
    assert fields(json.loads(ended.out)) == documented("runs list")
    assert 0 <= runs["done"]["age_seconds"] < 600


def test_a_run_that_a_process_holds_is_running(folder: Path) -> None:
    with make_run(folder / "done", standing(folder / "done").run.config):
        held = standing(folder / "done")
    assert held.state == "running"
    assert held.process is not None
    assert standing(folder / "done").state == "finished"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("results.jsonl", "{}\n"),
        ("results.jsonl", "no JSON\n"),
        ("gaps.jsonl", '{"at": 1}\n'),
        ("gaps.jsonl", GAP.replace('"low_ms": null', '"low_ms": "x"')),
        ("gaps.jsonl", GAP.replace('"network": "a"', '"network": null')),
        ("gaps.jsonl", GAP.replace('"visit": 1', '"visit": null')),
        ("reference.json", "[1]"),
        ("reference.json", '{"latency_ms": NaN}'),
        ("reference.json", '{"latency_ms": "1"}'),
        ("config.toml", "="),
    ],
)
def test_a_corrupt_run_is_listed_as_such(run: Run, folder: Path, file: str, content: str) -> None:
    (folder / "done" / file).write_text(content)
    ended = run("list", folder, "--json")
    assert ended.code == 4
    assert listed(ended)["done"]["state"] == "unusable"
    assert file in listed(ended)["done"]["error"]
    shown = run("show", folder / "done")
    assert (shown.code, shown.out) == (2, "")
    assert file in shown.err.replace("\n", "")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("costs", None, "costs is None"),
        ("accuracy", "x", "accuracy is 'x'"),
        ("accuracy", math.nan, "accuracy is nan"),
        ("choices", [99] * CHOICES, "has option 99 of "),
        ("choices", [0], f"has 1 choices; the space has {CHOICES}"),
        ("number", 0, "trial 0 has a result in line 1 already"),
    ],
)
def test_one_damaged_field_spoils_only_its_own_run(
    run: Run, folder: Path, field: str, value: object, message: str
) -> None:
    file = folder / "done" / "results.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[3][field] = value
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ended = run("list", folder, "--json")
    assert ended.code == 4
    runs = listed(ended)
    assert [runs[name]["state"] for name in ("half", "done")] == ["stopped", "unusable"]
    assert message in runs["done"]["error"]
    assert runs["done"]["error"].count(str(file)) == 1
    shown = run("show", folder / "done")
    assert (shown.code, shown.out) == (2, "")
    assert message in " ".join(shown.err.split())


def test_a_run_that_lacks_results_or_has_a_damaged_journal_is_unusable(run: Run, folder: Path) -> None:
    ended = '{"op_code": 4, "study_id": 0, "datetime_start": null, "state": 1}\n'
    journal = folder / "done" / "journal.log"
    for text, message in (
        (ended * 9, "trial 8 finished, but its result is missing"),
        ("x\n", "line 1, is no"),
    ):
        journal.write_text(text)
        assert message in listed(run("list", folder, "--json"))["done"]["error"]
        assert message in " ".join(run("show", folder / "done").err.split())
    journal.write_text(ended * 8 + '{"op_')  # a search is writing
    assert standing(folder / "done").state == "finished"


def test_a_run_without_its_settings_is_listed_too(folder: Path) -> None:
    with make_run(folder / "done", standing(folder / "done").run.config) as opened:
        opened.journal.write_text("")
    (folder / "done" / "config.toml").unlink()
    assert "no config.toml" in str(standing(folder / "done").error)
    assert folder / "done" in list(found(folder))


def test_for_people(run: Run, folder: Path) -> None:
    shutil.rmtree(folder / "torn")
    ended = run("list", folder)
    assert ended.code == 0
    assert "2 runs in" in ended.out
    assert "8 of 8" in ended.out
    assert run("list", folder, "-q").out == ""
    (folder / "empty").mkdir()
    assert f"no runs in {folder / 'empty'} or below" in run("list", folder / "empty").out.replace("\n", "")
    missing = run("list", folder / "nowhere")
    assert (missing.code, "there is no folder" in missing.err) == (2, True)
    none = run("show", folder / "empty")
    assert (none.code, "is not a run directory" in none.err) == (2, True)


def test_shows_settings_front_gaps_and_what_is_next(run: Run, folder: Path) -> None:
    path = folder / "deeper" / "half"
    gap = Gap(
        "2026-01-02T03:04:05+00:00", "latency_ms", "front", "in_8x8x1,fc_2", 0, 2, 1, 0.3, None, None, 0.36, 5
    )
    keep(path / "gaps.jsonl", gap)
    ended = run("show", path, "--json")
    assert ended.code == 0, ended.err
    shown = json.loads(ended.out)
    assert shown["gaps"][0]["measured_ms"] == 0.36
    assert shown["next"] == f"mnas search --resume {path}"
    assert shown["settings"]["training"] == {"steps": 40}
    assert shown["costs"][0]["correction"] > 1
    front = shown["front"][0]
    assert front["costs"][0]["value"] == pytest.approx(front["latency_ms"] * shown["costs"][0]["correction"])
    inner = ("settings.training", "settings.controller_options", "best_under_target", "failures[]")
    printed = {field for field in fields(shown) if not field.startswith(inner)}
    listed = {field for field in documented("runs show") if not field.startswith(inner)}
    assert printed - {"settings.across[]"} == listed - {"settings.across"}
    text = run("show", path).out
    assert "front" in text
    assert "networks take" in text.replace("\n", " ")
    assert "mnas finalize" in run("show", folder / "done").out


def test_several_devices_are_shown_by_their_names(run: Run, tmp_path: Path) -> None:
    also = {
        "latency_ms:pi5": OtherCost(objective=False, cap=80.0, table="b.db", device="pi5"),
        "parameters": OtherCost(objective=True),
    }
    settings = {"label": "pixel6", "also": also, "latency": "table", "table": "p.db"}
    made = searched(tmp_path / "two", POINTS[:3], **settings)
    results = [
        replace(result, costs={"latency_ms:pi5": 70.0, "parameters": 1e6 + number})
        for number, result in enumerate(made.results())
    ]
    made.results_file.unlink()
    for result in results:
        made.record(result)
    shown = json.loads(run("show", tmp_path / "two", "--json").out)
    assert shown["device"] == "pixel6"
    assert [one["device"] for one in shown["costs"]] == ["pixel6", "pi5", None]
    assert [one["name"] for one in shown["front"][0]["costs"]] == [
        "latency_ms",
        "latency_ms:pi5",
        "parameters",
    ]
    text = run("show", tmp_path / "two").out
    assert "pi5" in text
    assert "cap 80 ms on pi5" in text
