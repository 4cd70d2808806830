from __future__ import annotations

from dataclasses import replace

import pytest

from devices.measurement import Settings
from devices.registry import open_device
from latency_tables.anchoring import anchor
from latency_tables.build import PLAN as BUILD_PLAN
from latency_tables.build import build
from latency_tables.errors import BadTable, MissingOperators
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from latency_tables.validate import PLAN, Keeping, validate
from tests.latency_tables.convolutions import FACTS, HELD_OUT, NETWORKS, Desk, chain


@pytest.fixture
def table(tmp_path):
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        build(made, Desk(), replace(BUILD_PLAN, passes=1))
        yield made


def pairs(graph):
    """Blocks of two operators each."""
    count = len(graph.nodes)
    return [range(start, min(start + 2, count)) for start in range(0, count, 2)]


def test_figures_of_a_device_that_is_what_it_seems(table):
    result = validate(table, HELD_OUT, Desk())
    assert result.scores.networks == 4
    assert result.noise.floor_percent == pytest.approx(100 * 0.02 / 1.02)
    assert result.as_predicted.mape_percent == pytest.approx(1.0, abs=0.1)  # the second instance's, halved
    assert result.reanchored.mape_percent < 0.1  # anchors are measured as two instances, too
    assert result.scores.within_5_percent == result.scores.within_10_percent == 100
    assert result.scores.spearman == pytest.approx(1.0)
    assert result.speed_percent == pytest.approx(1.0, abs=0.1)
    assert [one.name for one in result.methods] == ["table, re-anchored", "table, as it is"]


def test_a_machine_that_became_slower_shows_in_the_table_as_it_is_only(table):
    result = validate(table, HELD_OUT, Desk(drift=1.25))
    assert result.as_predicted.bias_percent == pytest.approx(100 / 1.25 / 1.01 - 100, abs=0.2)
    assert result.as_predicted.within_10_percent == 0
    assert result.scores == result.reanchored
    assert abs(result.reanchored.bias_percent) < 0.2
    assert result.speed_percent == pytest.approx(125 * 1.01 - 100, abs=0.2)


@pytest.mark.parametrize("drift", [1.03, 0.95])
def test_a_little_drift_makes_no_table_stale(table, drift):
    result = validate(table, HELD_OUT, Desk(drift=drift), replace(PLAN, passes=4))
    assert (result.circumstances.drift, table.stale) == (None, None)


@pytest.mark.parametrize(("drift", "words"), [(1.06, "7.1 % longer"), (0.9, "9.1 % less long")])
def test_drift_makes_the_table_stale(table, drift, words):
    result = validate(table, HELD_OUT, Desk(drift=drift), replace(PLAN, passes=4))
    assert result.circumstances.drift == f"its anchors take {words} than when the table was last anchored"
    assert table.stale == result.circumstances.drift


def test_another_device_makes_no_table_stale(table):
    device = Desk(drift=2.0)
    device.settings = Settings(threads=2)
    result = validate(table, HELD_OUT, device, replace(PLAN, passes=4), across=["threads"])
    assert result.speed_percent == pytest.approx(102, abs=0.5)
    assert (result.circumstances.drift, table.stale) == (None, None)


def test_every_network_is_measured_as_two_instances_in_every_pass_among_the_anchors(table):
    device = Desk()
    validate(table, HELD_OUT, device, replace(PLAN, passes=3))
    names = [*(name for name, _ in HELD_OUT), "anchor-0", "anchor-1"]
    once = [f"{name}/{number}" for name in names for number in (1, 2)]
    assert sorted(device.names) == sorted(once * 3)
    assert len(device.contents) == len(once)
    assert device.names[:12] != device.names[12:24]


def test_a_failure_is_a_value(table):
    result = validate(table, HELD_OUT, Desk(failing=["b/2"]), replace(PLAN, passes=2))
    assert [one.name for one in result.details] == ["a", "c", "d"]
    assert [one.model for one in result.failures] == ["b/2"]


def test_without_an_anchor_the_table_is_judged_as_it_is(table):
    result = validate(table, HELD_OUT, Desk(failing=["anchor-0/1", "anchor-1/2"]), replace(PLAN, passes=1))
    assert result.reanchored is None
    assert result.scores == result.as_predicted
    assert (result.anchors, result.speed_percent) == (0, None)
    assert [one.name for one in result.methods] == ["table, as it is"]


def test_nothing_measured_is_an_error(table):
    failing = [f"{name}/1" for name, _ in HELD_OUT]
    with pytest.raises(BadTable, match="no held-out network was measured, 4 failed: too slow"):
        validate(table, HELD_OUT, Desk(failing=failing), replace(PLAN, passes=1))


def test_networks_of_the_table_are_not_held_out(table):
    with pytest.raises(BadTable, match="twin: in the table"):
        validate(table, [*HELD_OUT, ("twin", chain(1, 2))], Desk())


def test_an_operator_that_is_missing_is_named_before_anything_is_measured(table):
    device = Desk()
    with pytest.raises(MissingOperators, match="k5x5"):
        validate(table, [("e", chain(1, 1, 1))], device)
    assert device.names == []


def test_another_device_is_refused_but_across_a_difference_that_is_named(table):
    device = Desk()
    device.settings = Settings(threads=2)
    with pytest.raises(BadTable, match=r"threads is 2, the table's is 1.*--across threads"):
        validate(table, HELD_OUT, device)
    with pytest.raises(BadTable, match="threads is 2"):
        validate(table, HELD_OUT, device, across=["governor"])
    assert device.names == []
    result = validate(table, HELD_OUT, device, replace(PLAN, passes=1), across=["threads"])
    assert result.circumstances.crossed == ("threads is 2, the table's is 1",)


@pytest.fixture
def steady(tmp_path):
    """A table that was made under the governor `performance`."""
    with LatencyTable.create(tmp_path / "s.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        build(made, Desk(governor="performance"), replace(BUILD_PLAN, passes=1))
        yield made


def test_another_governor_is_refused_before_a_pass_is_kept(steady):
    device, kept = Desk(governor="powersave"), Keeping()
    with pytest.raises(BadTable, match=r"governor is 'powersave', the table's is 'performance'.*--across"):
        validate(steady, HELD_OUT, device, keeping=kept)
    assert len(device.names) == 1
    result = validate(steady, HELD_OUT, Desk(governor="performance"), replace(PLAN, passes=1), keeping=kept)
    assert (result.circumstances.crossed, len(result.details)) == ((), 4)


def test_another_governor_is_crossed_by_name_and_kept_passes_of_it_are_by_name_only(steady):
    plan, kept = replace(PLAN, passes=4), Keeping()
    device = Desk(drift=1.5, governor="powersave")
    for _ in range(2):  # the second measures nothing
        result = validate(steady, HELD_OUT, device, plan, across=["governor"], keeping=kept)
        assert result.circumstances.crossed == ("governor is 'powersave', the table's is 'performance'",)
        assert (result.circumstances.drift, steady.stale) == (None, None)
    with pytest.raises(BadTable, match="governor is 'powersave'"):
        validate(steady, HELD_OUT, device, plan, keeping=kept)


def test_a_governor_that_nobody_tells_is_no_difference(table, steady):
    plan = replace(PLAN, passes=1)
    assert validate(steady, HELD_OUT, Desk(), plan).circumstances.crossed == ()
    assert validate(table, HELD_OUT, Desk(governor="powersave"), plan).circumstances.crossed == ()


def test_passes_of_before_the_last_anchoring_say_nothing_of_drift(table):
    plan, kept = replace(PLAN, passes=4), Keeping()
    assert validate(table, HELD_OUT, Desk(drift=1.5), plan, keeping=kept).circumstances.drift is not None
    later = "2026-01-03T00:00:00+00:00"
    anchor(table, Desk(started_at=later), replace(BUILD_PLAN, passes=1))
    result = validate(table, HELD_OUT, Desk(), plan, keeping=kept)
    assert (result.circumstances.drift, table.stale) == (None, None)
    assert result.circumstances.older == 6 * 2 * 4
    more = replace(plan, passes=8)
    result = validate(table, HELD_OUT, Desk(drift=1.5, started_at=later), more, keeping=kept)
    assert result.circumstances.older == 6 * 2 * 4
    assert result.circumstances.drift == table.stale != None  # noqa: E711 - both are set, and the same


def test_leave_that_is_not_needed_does_not_hide_drift(table):
    plan = replace(PLAN, passes=4)
    result = validate(table, HELD_OUT, Desk(drift=1.5), plan, across=["threads", "governor"])
    assert result.circumstances.drift is not None


def test_another_name_of_the_same_device_does_not_hide_drift(tmp_path):
    facts = replace(FACTS, identity="0123")
    with LatencyTable.create(tmp_path / "i.db", Origin({}, facts, Settings()), NETWORKS) as table:
        device = Desk(drift=1.5)
        device.facts = facts
        build(table, device, replace(BUILD_PLAN, passes=1))
        device = Desk(drift=3.0)
        device.facts = replace(facts, address="by another name")
        result = validate(table, HELD_OUT, device, replace(PLAN, passes=4), across=["address"])
        assert result.circumstances.drift is not None


def test_a_name_that_nothing_has_is_no_difference(table):
    with pytest.raises(BadTable, match=r"'weather' is nothing in which devices differ; those are .*os_build"):
        validate(table, HELD_OUT, Desk(), across=["weather"])


def test_others_are_judged_by_the_same_run(table):
    device = Desk()
    result = validate(table, HELD_OUT, device, replace(PLAN, passes=2), blocks=pairs)
    methods = {one.name: one for one in result.methods}
    assert list(methods) == [
        "table, re-anchored",
        "table, as it is",
        "sum of blocks alone",
        "sum of operators alone",
        "ridge on operator counts",
        "multiply-accumulates",
    ]
    # on this device parts add up
    for name in ("sum of blocks alone", "sum of operators alone"):
        assert methods[name].scores.mape_percent < 0.1
    assert methods["multiply-accumulates"].scores.mape_percent > 10
    parts = [name for name in device.names if name.startswith("part-")]
    assert len(parts) == len(set(parts)) * 2  # each once in each pass
    assert device.names.count("nothing") == 2


def test_parts_are_measured_no_more_often_than_a_table_is_built(table):
    device = Desk()
    validate(table, HELD_OUT, device, replace(PLAN, passes=5), blocks=pairs)
    assert device.names.count("a/1") == 5
    assert device.names.count("part-0000") == device.names.count("nothing") == 3


def test_a_part_that_fails_leaves_out_the_networks_that_have_it(table):
    device = Desk(failing=["part-0001"])  # the 3x3 convolution, which each network has
    result = validate(table, HELD_OUT, device, replace(PLAN, passes=1), blocks=pairs)
    methods = {one.name: one for one in result.methods}
    assert methods["sum of operators alone"].scores is None
    assert methods["sum of operators alone"].predicted_ms == (None,) * 4
    assert methods["sum of operators alone"].why_not is not None
    assert [one.model for one in result.failures] == ["part-0001"]
    assert result.scores.networks == 4


def test_a_second_call_goes_on_from_what_is_kept(table):
    kept = Keeping()
    plan = replace(PLAN, passes=2)
    first = Desk(ended=lambda done: done == 13)
    with pytest.raises(KeyboardInterrupt):
        validate(table, HELD_OUT, first, plan, blocks=pairs, keeping=kept)
    second = Desk()
    result = validate(table, HELD_OUT, second, plan, blocks=pairs, keeping=kept)
    whole = Desk()
    assert result == validate(table, HELD_OUT, whole, plan, blocks=pairs)
    assert len(first.names) == 13
    assert sorted(first.names + second.names) == sorted(whole.names)


def test_on_this_machine_a_table_predicts_what_it_measured(tmp_path):
    device = open_device("local")
    try:
        origin = Origin({}, device.facts, device.settings)
        with LatencyTable.create(tmp_path / "t.db", origin, NETWORKS) as table:
            report = build(table, device, replace(BUILD_PLAN, passes=2, min_time_s=0.02))
            plan = replace(PLAN, passes=2, min_time_s=0.02)
            result = validate(table, HELD_OUT, device, plan, blocks=pairs)
    finally:
        device.close()
    assert (report.missing, report.failures) == ((), ())
    assert [one.scores.networks for one in result.methods] == [4] * 6
    # far beyond what a disturbed machine adds, far below what a sum that leaves something out would
    assert result.scores.mape_percent < 40
