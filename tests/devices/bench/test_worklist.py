from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.bench.worklist import Batch, Worklist
from devices.errors import UnreadableOutput
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan

FACTS = DeviceFacts("a", "m", "c", 1, None, "o", None, "r", "1")
CONTEXT = Context(FACTS, Settings(), "2026-01-01T00:00:00+00:00", "xnnpack")
MODELS = [ModelFile(f"m{number}", bytes([number])) for number in range(4)]


def burst(model: ModelFile, index: int = 0) -> Pass:
    return Pass(model.name, model.sha256, index, (1.0,), 0, None, None, None, None, None, CONTEXT)


def failure(model: ModelFile) -> Failure:
    return Failure(model.name, model.sha256, "WorkerCrashed", "signal 11")


def whole(passes: int, models: list[ModelFile] = MODELS) -> Batch:
    return Worklist(models, Plan(passes=passes)).batch(1000)


def test_whole_passes_are_asked_for_together() -> None:
    batch = whole(3)
    missing = batch.missing()
    assert missing is not None
    indices, models = missing
    assert indices == (0, 1, 2)
    assert sorted(model.name for model in models) == [model.name for model in MODELS]


def test_passes_that_lack_different_models_are_asked_for_one_by_one() -> None:
    batch = whole(2)
    batch.take((0,), burst(MODELS[2]))
    missing = batch.missing()
    assert missing is not None
    assert missing[0] == (0,)
    assert MODELS[2] not in missing[1]


def test_an_answer_is_kept_under_the_pass_asked_for() -> None:
    batch = whole(3)
    batch.take((1, 2), burst(MODELS[0], 1))
    (row,) = batch.rows.values()
    assert isinstance(row, Pass)
    assert row.index == 2


@pytest.mark.parametrize(
    "told",
    [
        burst(ModelFile("other", b"\0")),
        burst(ModelFile("m0", b"another content")),
        burst(MODELS[0], 7),
        burst(MODELS[1]),
        burst(MODELS[3]),
    ],
)
def test_what_was_not_asked_for_or_comes_twice_is_refused(told: Pass) -> None:
    batch = whole(1)
    batch.take((0,), burst(MODELS[1]))
    batch.take((0,), failure(MODELS[3]))
    with pytest.raises(UnreadableOutput, match=f"told of {told.model}"):
        batch.take((0,), told)


def test_a_model_that_cannot_be_measured_is_asked_for_no_more() -> None:
    work = Worklist(MODELS, Plan(passes=3))
    batch = work.batch(4)
    for model in MODELS:
        batch.take((0,), failure(model) if model is MODELS[0] else burst(model))
    work.settle(batch)
    assert len(work) == 2 * 3
    missing = work.batch(100).missing()
    assert missing is not None
    assert MODELS[0] not in missing[1]


def test_failures_are_not_measured_again_with_the_rest() -> None:
    batch = whole(1)
    batch.take((0,), failure(MODELS[0]))
    batch.take((0,), burst(MODELS[1]))
    batch.doubt, batch.stale, batch.cut = "drift", True, True
    batch.forget()
    assert list(batch.rows.values()) == [failure(MODELS[0])]
    assert (batch.doubt, batch.stale, batch.cut) == (None, False, False)
    batch.clear()
    assert batch.rows == {}


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.sets(st.integers(0, 15)))
def test_every_visit_is_asked_for_once(count: int, passes: int, size: int, failing: set[int]) -> None:
    """Unless its model has failed."""
    work = Worklist(MODELS[:count], Plan(passes=passes))
    rows: list[Pass | Failure] = []
    asked = 0
    while len(work):
        batch = work.batch(size)
        while missing := batch.missing():
            indices, group = missing
            failed: set[str] = set()
            for position, _ in enumerate(indices):
                for model in [one for one in group if one.name not in failed]:
                    answer = failure(model) if asked in failing else burst(model, position)
                    asked += 1
                    if isinstance(answer, Failure):
                        failed.add(model.name)
                    batch.take(indices, answer)
        rows += batch.rows.values()
        work.settle(batch)
    visits = [(row.model, row.index) for row in rows if isinstance(row, Pass)]
    gone = {row.model for row in rows if isinstance(row, Failure)}
    assert asked == len(rows)
    assert len(set(visits)) == len(visits)
    every = {(model.name, index) for model in MODELS[:count] for index in range(passes)}
    assert {model for model, _ in every - set(visits)} == gone


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_same_model_twice_is_measured_twice(size: int) -> None:
    work = Worklist([MODELS[0], MODELS[0]], Plan(passes=2))
    count = 0
    while len(work):
        batch = work.batch(size)
        while missing := batch.missing():
            for position, _ in enumerate(missing[0]):
                for model in missing[1]:
                    batch.take(missing[0], burst(model, position))
                    count += 1
        work.settle(batch)
    assert count == 4
