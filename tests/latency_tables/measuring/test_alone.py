"""Operators measured alone: which, and what becomes of devices and networks without a profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.measurement import Settings
from latency_tables.build import PLAN, Adaptive, build
from latency_tables.errors import BadOpSpec
from latency_tables.figures import Figure
from latency_tables.measuring.alone import PAIRS, alone, fallbacks, pairs
from latency_tables.measuring.session import FAILURES, REFUSALS
from latency_tables.ops import OpSpec
from latency_tables.records import Network, Origin
from latency_tables.status import status_of
from latency_tables.store import LatencyTable
from tests.latency_tables.desk import FACTS, NETWORKS, Desk, chain, logistic

ANCHORS = {one.name for one in NETWORKS if one.role == "anchor"}
UNWRITABLE = "custom:Mystery/float32/1x4/1x4"
PLAN_2 = replace(PLAN, passes=2)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        yield made


def in_context(size: int) -> Figure:
    return Figure(str(logistic(size)), size / 1000, None, size / 1000, "in context", 1, 1, 1, None, None)


def names_alone(table: LatencyTable) -> set[str]:
    return {one.name for one in table.networks() if one.role == "alone"}


def test_an_operator_alone_is_a_network_of_its_name() -> None:
    one = alone(logistic(100))
    assert one.graph.specs == (logistic(100),)
    assert one == alone(logistic(100))
    assert one.name != alone(logistic(200)).name


def test_what_cannot_be_written_is_named_with_the_reason() -> None:
    networks, reasons = fallbacks([str(logistic(100)), UNWRITABLE], {})
    assert [one.graph.specs for one in networks] == [(logistic(100),)]
    assert reasons.keys() == {UNWRITABLE}
    assert "custom:Mystery" in reasons[UNWRITABLE]
    with pytest.raises(BadOpSpec):
        alone(OpSpec.parse(UNWRITABLE))


def test_pairs_are_of_the_kind_and_from_the_fastest_to_the_slowest() -> None:
    figures = {one.unit: one for one in map(in_context, range(10, 1000, 10))}
    figures["a block"] = replace(in_context(5), unit=f"{logistic(1)} & {logistic(2)}")
    sizes = [one.graph.specs[0].output[-1] for one in pairs({"logistic"}, figures)]
    assert len(sizes) == PAIRS
    assert (sizes[0], sizes[-1]) == (10, 990)
    assert sizes == sorted(sizes)
    assert pairs({"conv_2d"}, figures) == []
    assert len(pairs({"logistic"}, {one.unit: one for one in map(in_context, (1, 2))})) == 2


def test_a_device_without_a_profiler_measures_anchors_whole_and_the_rest_alone(table: LatencyTable) -> None:
    device = Desk(profiler=False)
    report = build(table, device, PLAN_2)
    assert report.profiler == "desk: no profiler here"
    assert (report.missing, report.failures) == ((), ())
    assert set(device.seen) == {one.name for one in NETWORKS} | names_alone(table)
    assert len(names_alone(table)) == len(table.operators())
    assert not any(device.profiled)
    assert build(table, device, PLAN_2).measured == 0
    assert status_of(table).complete


def test_so_does_one_that_refuses_every_profile_and_it_is_not_asked_for_all(table: LatencyTable) -> None:
    device = Desk(refuses=[one.name for one in NETWORKS])
    report = build(table, device, PLAN_2)
    assert sum(device.profiled) == REFUSALS
    assert report.profiler == "the profiler failed its self-test"
    assert (report.missing, report.failures) == ((), ())
    assert {name for name, _ in table.measured()} == {one.name for one in NETWORKS} | names_alone(table)
    assert status_of(table).complete
    assert build(table, device, PLAN_2).measured == 0


@pytest.mark.parametrize("fault", ["refuses", "jumbles"])
def test_a_network_without_a_profile_is_measured_whole_and_what_it_lacks_alone(
    table: LatencyTable, fault: str
) -> None:
    lonely = Network("cover-x", chain(100, 77), "cover")
    table.add_networks([lonely])
    report = build(table, Desk(**{fault: ["cover-x"]}), PLAN_2)
    assert report.refused.keys() == {"cover-x"}
    assert (report.profiler, report.missing, report.failures) == (None, (), ())
    assert ("cover-x", 1) in table.measured()
    # 77 alone, and operators that have both, for the ratio
    paired = len(pairs({"logistic"}, {one.unit: one for one in map(in_context, range(100, 1000, 100))}))
    assert names_alone(table) >= {alone(logistic(77)).name}
    assert len(names_alone(table)) == 1 + paired
    assert report.alone == (str(logistic(77)),)
    figure = table.figures()[str(logistic(77))]
    assert figure.method == "alone"
    assert figure.latency_ms == pytest.approx(0.077, rel=0.15)


def test_what_fails_alone_too_is_missing_and_tried_again_by_the_next_call(table: LatencyTable) -> None:
    table.add_networks([Network("cover-x", chain(100, 77), "cover")])
    one = alone(logistic(77)).name
    report = build(table, Desk(fails=["cover-x", one]), PLAN_2)
    assert report.missing == (str(logistic(77)),)
    assert {failure.network for failure in report.failures} == {"cover-x", one}
    report = build(table, Desk(fails=["cover-x"]), PLAN_2)
    assert (report.missing, report.alone) == ((), (str(logistic(77)),))
    assert [failure.network for failure in report.failures] == ["cover-x"]


def test_a_device_on_which_nothing_runs_is_given_up(table: LatencyTable) -> None:
    more = [Network(f"more-{size}", chain(size), "cover") for size in range(1000, 1030)]
    table.add_networks(more)
    everything = [one.name for one in (*NETWORKS, *more)]
    device = Desk(fails=everything)
    report = build(table, device, PLAN_2)
    assert len(device.seen) == len(report.failures) == FAILURES
    assert len(report.missing) == len(table.operators())
    assert names_alone(table) == set()
    assert build(table, Desk(), PLAN_2).missing == ()


def test_an_imprecise_operator_alone_is_measured_again_alone(table: LatencyTable) -> None:
    device = Desk(profiler=False, noise=lambda spec: 0.3 if spec == logistic(500) else 0.001)
    build(table, device, replace(PLAN, passes=3), adaptive=Adaptive(max_passes=6))
    counts = {name: device.seen.count(name) for name in names_alone(table)}
    assert counts[alone(logistic(500)).name] == 6
    assert min(counts.values()) == 3
    assert not any(device.profiled)


def test_a_profile_that_was_refused_once_is_asked_for_again(table: LatencyTable) -> None:
    once = Desk(refuses=["cover-0"])

    def heal(name: str) -> None:
        if once.seen.count("cover-0") >= 2:  # refused, then measured whole
            once.refuses = []

    once.before = heal
    report = build(table, once, replace(PLAN, passes=3))
    assert report.refused == {}
    assert {one.pass_index for one in table.observations() if one.network == "cover-0"} == {1, 2}


def test_the_next_call_asks_for_a_profile_that_was_refused(table: LatencyTable) -> None:
    plan = replace(PLAN, passes=2)
    assert build(table, Desk(refuses=["cover-0"]), plan).refused.keys() == {"cover-0"}
    assert not any(one.network == "cover-0" for one in table.observations())
    device = Desk()
    assert build(table, device, plan).measured == 1
    assert device.seen == ["cover-0"]
    assert any(one.network == "cover-0" for one in table.observations())
    assert build(table, Desk(), plan).measured == 0
