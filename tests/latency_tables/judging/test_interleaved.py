from __future__ import annotations

import pytest

from devices.plan import Plan
from latency_tables.judging.interleaved import Group, InMemory, Progress, measure
from latency_tables.measuring.bursts import Job
from tests.latency_tables.convolutions import Desk, chain

JOBS = tuple(Job(name, chain(1, number)) for number, name in enumerate("abc", 1))
PARTS = tuple(Job(name, chain(number)) for number, name in enumerate("xy", 1))


def test_groups_take_turns_pass_by_pass():
    device = Desk()
    groups = [
        Group(JOBS, Plan(passes=3, min_runs=1), InMemory()),
        Group(PARTS, Plan(passes=2, min_runs=1), InMemory()),
    ]
    found = measure(device, groups)
    turns = [set(device.names[start:stop]) for start, stop in ((0, 3), (3, 5), (5, 8), (8, 10), (10, 13))]
    assert turns == [set("abc"), set("xy"), set("abc"), set("xy"), set("abc")]
    assert {name: len(passes) for name, passes in found.passes.items()} == {
        **dict.fromkeys("abc", 3),
        **dict.fromkeys("xy", 2),
    }
    assert [burst.index for burst in found.passes["a"]] == [0, 1, 2]
    assert found.samples_ms("b") == [(5.0,) * 5] * 3
    assert found.failures == {}


def test_progress_counts_up_to_the_total_and_names_failures():
    seen: list[Progress] = []
    measure(Desk(failing=["b"]), [Group(JOBS, Plan(passes=2, min_runs=1), InMemory())], seen.append)
    assert (seen[0].done, seen[0].total) == (0, 6)
    assert seen[-1].done == 4
    assert [one.failure for one in seen if one.network == "b"] == ["too slow"]


def test_what_failed_is_left_out_and_tried_again_by_the_next_call():
    group = Group(JOBS, Plan(passes=2, min_runs=1), InMemory())
    first = Desk(failing=["b"])
    found = measure(first, [group])
    assert first.names.count("b") == 1
    assert set(found.passes) == {"a", "c"}
    assert found.failures["b"].message == "too slow"
    second = Desk()
    found = measure(second, [group])
    assert second.names == ["b", "b"]
    assert set(found.passes) == {"a", "b", "c"}
    assert found.failures == {}


def test_what_is_kept_is_not_measured_again():
    group = Group(JOBS, Plan(passes=2, min_runs=1), InMemory())
    measured: list[str] = []
    for end in (1, 2, 1, 99):
        device = Desk(ended=lambda done, end=end: done == end)
        try:
            found = measure(device, [group])
        except KeyboardInterrupt:
            assert end < 99
        measured += device.names
    assert sorted(measured) == sorted("abc" * 2)
    assert all(len(passes) == 2 for passes in found.passes.values())


def test_nothing_to_measure_is_nothing_measured():
    found = measure(Desk(), [])
    assert (found.passes, found.failures) == ({}, {})


def test_the_users_end_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        measure(Desk(ended=lambda _: True), [Group(JOBS, Plan(min_runs=1), InMemory())])
