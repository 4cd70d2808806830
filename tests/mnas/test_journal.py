"""A job's results are kept once each, whatever ends the job, and the file says what job it is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.measurement import Context, DeviceFacts, Failure, Pass, Settings, Summary
from devices.plan import Plan
from mnas.errors import BadRun
from mnas.journal import Journal

FACTS = DeviceFacts("adb://A", "aarch64", "a phone", 8, None, "Android 14", None, "benchmark_model", "2.1")
CONTEXT = Context(FACTS, Settings(), "2026-11-25T09:00:00Z", "xnnpack", fence=3, conditions=("governor",))
PLAN = Plan(passes=3)


def burst(sha256: str, index: int, ms: float = 1.0) -> Pass:
    summary = Summary(10, ms, ms, ms)
    return Pass(f"{sha256}.tflite", sha256, index, (), 0, None, 2.0, 3.0, None, None, CONTEXT, False, summary)


def opened(path: Path, plan: Plan = PLAN) -> Journal:
    return Journal.open(path, "pixel", Settings(), plan)


def test_what_was_added_is_there_after_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "pixel.jsonl"
    first = opened(path)
    failure = Failure("b.tflite", "b", "WorkerCrashed", "it crashed")
    for outcome in (burst("a", 1), burst("a", 0), failure):
        first.add(outcome)
    again = opened(path)
    assert again.passes("a") == (burst("a", 0), burst("a", 1))
    assert again.failure("b") == failure
    again.add(burst("b", 0))
    assert opened(path).failure("b") is None


def test_a_pass_is_kept_once(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j.jsonl")
    journal.add(burst("a", 0))
    with pytest.raises(BadRun, match=r"pass 0 of a\.tflite already"):
        journal.add(burst("a", 0, 2.0))
    assert len((tmp_path / "j.jsonl").read_text().splitlines()) == 2


def test_models_may_be_run_by_different_delegates_but_one_model_by_one(tmp_path: Path) -> None:
    def by(delegate: str, sha256: str, index: int) -> Pass:
        return replace(burst(sha256, index), context=replace(CONTEXT, delegate=delegate))

    journal = opened(tmp_path / "j.jsonl")
    journal.add(by("xnnpack", "a", 0))
    journal.add(by("none", "b", 0))  # no operator of it can be delegated
    journal.add(by("none", "b", 1))
    with pytest.raises(BadRun, match="delegate was xnnpack and is none"):
        journal.add(by("none", "a", 1))


@settings(max_examples=40)
@given(data=st.data())
def test_a_file_cut_anywhere_opens_with_whole_results_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "j.jsonl"
    journal = opened(path)
    for i in range(4):
        journal.add(burst("a", i))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    again = opened(path)
    kept = again.passes("a")
    assert kept == tuple(burst("a", i) for i in range(len(kept)))
    for i in range(len(kept), 4):
        again.add(burst("a", i))
    assert path.read_bytes() == content


def test_another_job_is_refused_by_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    opened(path)
    with pytest.raises(BadRun, match=r"min_runs is 30 there and 5 now"):
        opened(path, replace(PLAN, min_runs=5))
    with pytest.raises(BadRun, match="delegate is 'xnnpack' there and 'gpu' now"):
        Journal.open(path, "pixel", Settings(delegate="gpu"), PLAN)
    with pytest.raises(BadRun, match="device is 'pixel' there and 'pi5' now"):
        Journal.open(path, "pi5", Settings(), PLAN)


@pytest.mark.parametrize("line", ["{}", '{"pass": {}}', '{"pass": 3}', '{"failure": {"model": "m"}}', "no"])
def test_a_line_that_is_no_result_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "j.jsonl"
    opened(path)
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BadRun, match="line 2"):
        opened(path)


def test_its_lines_say_where_the_numbers_come_from(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    opened(path).add(burst("a", 0))
    row = json.loads(path.read_text().splitlines()[1])["pass"]
    assert row["context"]["fence"] == 3
    assert row["context"]["facts"]["address"] == "adb://A"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "j.jsonl"
    with Journal.held(path, "pixel", Settings(), PLAN) as journal:
        journal.add(burst("a", 0))
        with (
            pytest.raises(BadRun, match=f"in use by process {os.getpid()}"),
            Journal.held(path, "pixel", Settings(), PLAN),
        ):
            pass
    with Journal.held(path, "pixel", Settings(), PLAN) as journal:
        assert len(journal.passes("a")) == 1
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BadRun, match="cannot write"),
        Journal.held(tmp_path / "file" / "j", "p", Settings(), PLAN),
    ):
        pass


def test_passes_of_another_device_or_program_do_not_join(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    opened(path).add(burst("a", 0))
    facts = replace(FACTS, runtime_sha256="ff", memory_bytes=5)
    other = replace(CONTEXT, facts=facts, libraries=("l sha256:0",))
    says = r"runtime_sha256 was None and is ff; libraries was \(\) and is"
    for model in "ab":
        with pytest.raises(BadRun, match=says) as refused:
            opened(path).add(replace(burst(model, 1), context=other))
    assert "memory" not in str(refused.value)
    same = replace(CONTEXT, fence=9, started_at="later", throttled=True)
    opened(path).add(replace(burst("a", 1), context=same))
