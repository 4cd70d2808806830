"""How a table stands, on tables with known answers; and shares of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.measurement import Failure
from devices.plan import Plan
from latency_tables.build import PLAN, build
from latency_tables.figures import Figure
from latency_tables.records import Given, Network
from latency_tables.shares import shares_of_time
from latency_tables.status import Doubt, status_of
from latency_tables.store import LatencyTable
from tests.latency_tables.desk import NETWORKS as MANY
from tests.latency_tables.desk import Desk
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, SPECS, burst, chain, fill, times


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(tmp_path / "t.db", ORIGIN, NETWORKS) as made:
        yield made


def test_a_table_without_a_pass(table: LatencyTable) -> None:
    found = status_of(table)
    assert not found.complete
    assert (found.operators, len(found.missing), found.networks) == (3, 3, 3)
    assert (found.complete_passes, found.measured_passes) == (0, 0)
    assert set(found.methods.values()) == {0}
    assert found.calibration is None
    assert (found.measured_from, found.measured_until, found.anchored_at) == (None, None, None)
    assert (found.weighted_std_error_percent, found.between_pass_percent) == (None, None)


def test_what_is_measured_and_what_is_not(table: LatencyTable) -> None:
    table.add("a", 0, burst("a", started_at="2026-01-02T00:00:00+00:00"), times(1.0, 2.0))
    table.add("c", 0, burst("c", started_at="2026-01-03T00:00:00+00:00", suspect="hot"), times(1.0, 3.0))
    table.fail("b", 0, Failure("b", "0", "WorkerCrashed", "it crashed"))
    found = status_of(table)
    assert (found.missing, found.unmeasured, found.complete) == ((), 1, False)
    assert (found.complete_passes, found.measured_passes) == (0, 2)
    assert found.methods["in context"] == 3
    assert (found.measured_from, found.measured_until) == (
        "2026-01-02T00:00:00+00:00",
        "2026-01-03T00:00:00+00:00",
    )
    assert found.anchored_at == "2026-01-03T00:00:00+00:00"
    assert found.doubts == (Doubt("c", 0, "hot"),)
    assert [one.network for one in found.failures] == ["b"]


def test_only_anchors_since_the_last_anchoring_count_as_anchored(table: LatencyTable) -> None:
    fill(table)
    table.add("c", 1, burst("c", started_at="2026-02-02T00:00:00+00:00"), times(1.0, 3.0))
    table.anchor_again("2026-02-01T00:00:00+00:00")
    assert status_of(table).anchored_at == "2026-02-02T00:00:00+00:00"
    assert status_of(table).measured_from == "2026-01-02T03:04:05+00:00"


def test_given_figures_have_their_method(table: LatencyTable) -> None:
    fill(table)
    table.add_given([Given("logistic/float32/1x9/1x9", 1.0, None, None, "imported")])
    assert status_of(table).methods == {"in context": 3, "alone": 0, "transferred": 0, "imported": 1}


def test_a_table_of_given_figures_is_judged_by_what_it_is_to_have(tmp_path: Path) -> None:
    with LatencyTable.create(tmp_path / "g.db", ORIGIN, []) as table:
        table.add_given([Given(str(SPECS[0]), 1.0, None, None, "imported")])
        table.say_given_from("the file a.csv")
        assert status_of(table).complete  # nobody says what it is to have
        found = status_of(table, [(SPECS[0], SPECS[1]), (SPECS[0],)])
        assert (found.operators, found.missing, found.complete) == (2, (str(SPECS[1]),), False)
        assert found.given_from == "the file a.csv"
        table.add_given([Given(str(SPECS[1]), 1.0, None, None, "imported")])
        assert status_of(table, [(SPECS[0], SPECS[1])]).complete


def test_an_operator_of_a_block_is_missing_where_it_stands_without_it(tmp_path: Path) -> None:
    with LatencyTable.create(tmp_path / "g.db", ORIGIN, []) as table:
        table.add_given([Given(f"{SPECS[0]} & {SPECS[1]}", 1.0, None, None, "imported")])
        assert status_of(table, [(SPECS[0], SPECS[1])]).missing == ()
        assert status_of(table).blocks == (2,)
        assert status_of(table, [(SPECS[0], SPECS[1]), (SPECS[1],)]).missing == (str(SPECS[1]),)


def test_a_noisy_operator_is_imprecise_and_a_quiet_one_is_not(tmp_path: Path) -> None:
    desk = Desk(noise=lambda spec: 0.2 if spec.output[-1] == 900 else 0.001)
    with LatencyTable.create(tmp_path / "t.db", ORIGIN, MANY) as table:
        desk.facts, desk.settings = table.origin.facts, table.origin.settings
        build(table, desk, Plan(passes=4, per_operator=True, min_runs=PLAN.min_runs))
        found = status_of(table)
    assert found.complete
    assert found.complete_passes == 4
    (worst,) = found.imprecise
    assert worst.unit == "logistic/float32/1x900/1x900"
    assert worst.share_percent > 10
    assert found.weighted_std_error_percent is not None
    assert 0 < found.weighted_std_error_percent < worst.std_error_percent
    assert (found.known_share_percent, found.blocks, found.missing_alone) == (pytest.approx(100), (), ())


def figure(index: int, latency_ms: float) -> Figure:
    return Figure(str(SPECS[index]), latency_ms, None, None, "imported", 0, 0, 0, None, None)


def test_shares_are_those_of_the_anchors() -> None:
    figures = {one.unit: one for one in (figure(0, 1.0), figure(1, 5.0), figure(2, 3.0))}
    shares = shares_of_time(figures, NETWORKS)
    assert shares == {str(SPECS[0]): 0.25, str(SPECS[1]): 0.0, str(SPECS[2]): 0.75}
    alone = [Network("only", chain(SPECS[0], SPECS[0], SPECS[2]), "cover")]
    assert shares_of_time(figures, alone)[str(SPECS[0])] == pytest.approx(0.4)
    assert shares_of_time(figures, []) == dict.fromkeys(figures, 0.0)
