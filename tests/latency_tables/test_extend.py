"""A table gets the operators of a model from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.errors import LinkLost
from devices.measurement import Settings
from latency_tables import tflite
from latency_tables.build import PLAN, build
from latency_tables.errors import BadModel, BadTable, MissingOperators
from latency_tables.extend import BESIDE, extend
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from tests.latency_tables.desk import FACTOR, FACTS, NETWORKS, Desk, chain, logistic

PLAN_3 = replace(PLAN, passes=3)
GRAPH = chain(100, 77, 33)
MODEL = tflite.write(GRAPH)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        build(made, Desk(), PLAN_3)
        yield made


def test_a_model_is_profiled_itself_beside_anchors(table: LatencyTable) -> None:
    with pytest.raises(MissingOperators):
        table.predict(GRAPH.specs)
    device = Desk(now_s=100.0)
    report = extend(table, device, MODEL, "foreign", PLAN_3)
    assert set(report.added) == {str(logistic(77)), str(logistic(33))}
    assert (report.alone, report.missing, report.refused, report.failures) == ((), (), None, ())
    assert device.seen.count("foreign") == 3
    assert len(set(device.seen)) == 1 + min(BESIDE, sum(one.role == "anchor" for one in NETWORKS))
    assert report.measured == len(device.seen)
    assert table.predict(GRAPH.specs).latency_ms == pytest.approx(FACTOR * 0.210, rel=0.01)


def test_on_another_day_its_operators_join_at_the_speed_of_the_table(table: LatencyTable) -> None:
    device = Desk(now_s=86_400.0, speed=lambda _: 1.04)
    report = extend(table, device, MODEL, "foreign", PLAN_3)
    assert report.stale is None
    figures = table.figures()
    ratio = figures[str(logistic(77))].latency_ms / figures[str(logistic(700))].latency_ms
    assert ratio == pytest.approx(0.11, rel=0.02)


def test_a_device_that_has_drifted_makes_the_table_stale(table: LatencyTable) -> None:
    report = extend(table, Desk(now_s=86_400.0, speed=lambda _: 1.2), MODEL, "foreign", PLAN_3)
    assert report.stale is not None
    assert "20.0 % longer" in report.stale


def test_the_same_model_is_not_measured_again(table: LatencyTable) -> None:
    extend(table, Desk(now_s=100.0), MODEL, "foreign", PLAN_3)
    again = Desk(now_s=200.0)
    report = extend(table, again, MODEL, "foreign", PLAN_3)
    assert (again.seen, report.added, report.missing, report.measured) == ([], (), (), 0)


def test_a_model_that_the_table_knows_is_not_measured(table: LatencyTable) -> None:
    device = Desk()
    report = extend(table, device, tflite.write(chain(100, 200)), "known", PLAN_3)
    assert (device.seen, report.added, report.operators) == ([], (), 2)
    assert "known" not in {one.name for one in table.networks()}


def test_an_extension_goes_on_where_it_broke_off(table: LatencyTable) -> None:
    device = Desk(now_s=100.0)

    def unplug(name: str) -> None:
        if name == "foreign" and device.seen.count("foreign") == 1:
            raise LinkLost("unplugged")

    device.before = unplug
    with pytest.raises(LinkLost):
        extend(table, device, MODEL, "foreign", PLAN_3)
    again = Desk(now_s=300.0)
    extend(table, again, MODEL, "foreign", PLAN_3)
    assert again.seen.count("foreign") == 2
    assert {index for name, index in table.measured() if name == "foreign"} == {0, 1, 2}


def test_where_its_profile_cannot_be_had_its_operators_are_measured_alone(table: LatencyTable) -> None:
    report = extend(table, Desk(now_s=100.0, refuses=["foreign"]), MODEL, "foreign", PLAN_3)
    assert report.refused == "the profiler failed its self-test"
    assert set(report.added) == set(report.alone) == {str(logistic(77)), str(logistic(33))}
    assert report.missing == ()
    assert table.predict(GRAPH.specs).latency_ms == pytest.approx(FACTOR * 0.210, rel=0.15)


def test_without_a_profiler_all_it_lacks_is_measured_alone(tmp_path: Path) -> None:
    with LatencyTable.create(tmp_path / "u.db", Origin({}, FACTS, Settings()), NETWORKS) as blind:
        build(blind, Desk(profiler=False), PLAN_3)
        report = extend(blind, Desk(profiler=False, now_s=100.0), MODEL, "foreign", PLAN_3)
        assert report.refused == "desk: no profiler here"
        assert set(report.added) == set(report.alone) == {str(logistic(77)), str(logistic(33))}
        assert blind.predict(GRAPH.specs).latency_ms == pytest.approx(FACTOR * 0.210, rel=0.05)


def test_what_cannot_be_run_nor_written_is_named(
    table: LatencyTable, monkeypatch: pytest.MonkeyPatch
) -> None:

    mystery = OpSpec.parse("custom:Mystery/float32/1x4/1x4")
    foreign = Graph(((1, 4),), "float32", (Node(mystery, (-1,)),), (0,))
    monkeypatch.setattr(tflite, "read", lambda _: foreign)
    report = extend(table, Desk(now_s=100.0, fails=["foreign"]), b"TFL3", "foreign", PLAN_3)
    assert report.missing == (str(mystery),)
    assert "custom:Mystery" in report.reasons[str(mystery)]
    assert [one.network for one in report.failures] == ["foreign"]


def test_another_network_of_that_name_and_no_model_are_refused(table: LatencyTable) -> None:
    device = Desk()
    with pytest.raises(BadTable, match="another network cover-1"):
        extend(table, device, MODEL, "cover-1", PLAN_3)
    with pytest.raises(BadModel):
        extend(table, device, b"no model", "foreign", PLAN_3)
    assert device.seen == []
