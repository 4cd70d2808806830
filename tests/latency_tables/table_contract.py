"""What a latency table does in any database: the test classes of each inherit it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.measurement import Failure, Settings, Summary
from latency_tables.errors import BadTable, MissingOperators
from latency_tables.ops import OpSpec
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Given, Network
from latency_tables.storage import database
from latency_tables.storage.database import Database
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import FACTS, NETWORKS, ORIGIN, SPECS, burst, chain, fill, sql, times


class TableContract:
    """Subclasses have a fixture `address`: that of an empty place, a path or a URL."""

    @pytest.fixture
    def table(self, address: str) -> Iterator[LatencyTable]:
        with LatencyTable.create(address, ORIGIN, NETWORKS) as made:
            yield made

    def test_what_is_stored_is_read_back(self, table: LatencyTable, address: str) -> None:
        fill(table)
        with LatencyTable.open(address) as again:
            assert again.origin == ORIGIN
            assert again.created_at == table.created_at
            assert again.networks() == NETWORKS
            assert again.operators() == sorted(map(str, SPECS))
            assert again.measured() == {("a", 0), ("b", 0), ("c", 0)}
            assert again.observations() == table.observations()
            assert len(again.observations()) == 7
            first = again.bursts()[0]
        assert (first.network, first.samples_ms, first.dropped, first.reference_ms) == (
            "a",
            (4.5,) * 3,
            1,
            0.5,
        )
        assert (first.peak_memory_bytes, first.energy_mj) == (None, None)
        assert first.context["facts"]["runtime_version"] == "2.3.0"
        assert first.context["delegate"] == "xnnpack"
        assert first.started_at == "2026-01-02T03:04:05+00:00"

    def test_memory_and_energy_are_kept_with_a_pass(self, table: LatencyTable) -> None:
        table.add("a", 0, burst("a", memory=5 * 2**30, energy=1.25, initialisation=None), times(1.0, 2.0))
        (found,) = table.bursts()
        assert (found.peak_memory_bytes, found.energy_mj) == (5 * 2**30, 1.25)

    def test_it_predicts_the_scaled_sum(self, table: LatencyTable) -> None:
        fill(table)
        found = table.predict([SPECS[0], SPECS[1]])
        assert (found.sum_ms, found.scale, found.latency_ms) == pytest.approx((3.0, 1.5, 4.5), rel=0.03)

    def test_an_operator_without_a_figure_is_named(self, table: LatencyTable) -> None:
        fill(table)
        stranger = OpSpec("logistic", "float32", ((1, 9),), (1, 9))
        with pytest.raises(MissingOperators, match="logistic/float32/1x9/1x9") as caught:
            table.predict([SPECS[0], stranger])
        assert table.address in str(caught.value)

    def test_a_table_in_the_making_predicts_nothing(self, table: LatencyTable) -> None:
        assert not table.ready
        with pytest.raises(BadTable, match="not built yet"):
            table.predict([SPECS[0]])
        table.add("a", 0, burst("a"), times(1.0, 2.0))
        with pytest.raises(BadTable, match="0 anchor networks"):
            table.predict([SPECS[0]])
        assert table.missing() == [str(SPECS[2])]
        table.add("b", 0, burst("b"), times(3.0, 2.0, 2.0))
        table.add("c", 0, burst("c"), times(1.0, 3.0))
        assert table.ready
        assert table.missing() == []

    def test_predictions_follow_what_is_added(self, table: LatencyTable) -> None:
        fill(table)
        before = table.predict([SPECS[1]]).sum_ms
        for index in (1, 2):
            table.add("a", index, burst("a"), times(1.0, 0.5))
        assert table.predict([SPECS[1]]).sum_ms < before

    def test_a_pass_is_kept_once(self, table: LatencyTable) -> None:
        table.add("a", 0, burst("a"), times(1.0, 2.0))
        with pytest.raises(BadTable, match=r"(?i)unique"):
            table.add("a", 0, burst("a"), times(1.0, 2.0))
        assert table.measured() == {("a", 0)}
        assert len(table.observations()) == 2

    @pytest.mark.parametrize("nodes", [[(0,)], [(0,), (0,)], [(0, 1), (1,)], [(0,), (2,)], [(0, 1, 2)]])
    def test_a_profile_is_of_every_node_once(self, table: LatencyTable, nodes: list[tuple[int, ...]]) -> None:
        with pytest.raises((ValueError, IndexError)):
            table.add("a", 0, burst("a"), [Attribution(one, 1.0, ()) for one in nodes])
        assert table.measured() == set()
        assert table.bursts() == []

    def test_a_pass_may_come_without_a_profile(self, table: LatencyTable) -> None:
        table.add("c", 0, burst("c"), [])
        assert table.measured() == {("c", 0)}
        assert table.observations() == []
        assert table.missing() == table.operators()

    def test_operators_that_ran_as_one_have_one_figure(self, table: LatencyTable, address: str) -> None:
        block = f"{SPECS[2]} & {SPECS[1]}"
        found = [Attribution((0, 1), 4.0, ("a whole partition",)), Attribution((2,), 2.0, ("Sigmoid (NC)",))]
        table.add("b", 0, burst("b"), found)
        with LatencyTable.open(address) as again:
            seen = {(one.operator, one.mean_ms) for one in again.observations()}
            assert seen == {(block, 4.0), (str(SPECS[1]), 2.0)}
            assert again.operators() == sorted(map(str, SPECS))
            assert again.missing() == [str(SPECS[0])]
            assert set(again.figures()) == {block, str(SPECS[1])}
        rows = sql(address, "SELECT position, positions, labels FROM operator_times ORDER BY position")
        assert rows == [(0, "0,1", "a whole partition"), (2, None, "Sigmoid (NC)")]

    def test_operators_that_are_only_known_together_and_apart_have_no_figure(
        self, table: LatencyTable, address: str
    ) -> None:
        """Their time is kept, but no network has them one after the other."""
        found = [Attribution((1, 0), 4.0, ("added up",)), Attribution((2,), 2.0, ("Sigmoid (NC)",))]
        table.add("b", 0, burst("b"), found)
        with LatencyTable.open(address) as again:
            assert {one.mean_ms for one in again.observations()} == {4.0, 2.0}
            assert again.missing() == [str(SPECS[0]), str(SPECS[2])]
            assert set(again.figures()) == {str(SPECS[1])}

    def test_a_failure_is_remembered_until_its_network_is_measured(self, table: LatencyTable) -> None:
        table.fail("b", 0, Failure("b", "0" * 64, "WorkerCrashed", "it died"))
        table.fail("b", 1, Failure("b", "0" * 64, "DeadlineExceeded", "too slow"))
        (failure,) = table.failures()
        assert (failure.network, failure.pass_index, failure.error) == ("b", 1, "DeadlineExceeded")
        table.add("b", 1, burst("b"), times(3.0, 2.0, 2.0))
        assert table.failures() == []

    def test_a_network_that_is_not_the_tables_is_refused(self, table: LatencyTable) -> None:
        with pytest.raises(BadTable, match="no network z"):
            table.add("z", 0, burst("z"), [])

    def test_networks_join_later(self, table: LatencyTable, address: str) -> None:
        fill(table)
        later = OpSpec("logistic", "float32", ((1, 9),), (1, 9))
        name = "a model of somebody's with a name that is longer than any network's own would ever be.tflite"
        more = [Network(name, chain(later, SPECS[0]), "model"), Network("single", chain(later), "alone")]
        table.add_networks([NETWORKS[0], *more])
        table.add_networks(more)
        assert table.networks() == [*NETWORKS, *more]
        assert table.ready  # what it is for
        assert table.operators() == sorted(map(str, SPECS))
        table.add(name, 0, burst(name), times(4.0, 1.0))
        with LatencyTable.open(address) as again:
            assert again.networks() == [*NETWORKS, *more]
            assert str(later) in again.figures()
        table.add_networks([Network("cover-9", chain(later, later), "cover")])
        more.append(Network("cover-9", chain(later, later), "cover"))
        assert str(later) in table.operators()
        with pytest.raises(BadTable, match="has another network single"):
            table.add_networks([Network("single", chain(SPECS[0]), "alone")])
        assert table.networks() == [*NETWORKS, *more]

    def test_a_runners_own_statistics_stand_for_samples_that_it_does_not_tell(
        self, table: LatencyTable, address: str
    ) -> None:
        """As of benchmark_model on a phone."""
        runs = Summary(count=40, mean_ms=6.2, min_ms=5.0, max_ms=9.0, median_ms=6.0)
        for name, figures in (("a", (1.0, 2.0)), ("b", (3.0, 2.0, 2.0)), ("c", (1.0, 3.0))):
            table.add(name, 0, replace(burst(name, samples=()), summary=runs), times(*figures))
        with LatencyTable.open(address) as again:
            (first, *_) = again.bursts()
            assert len(first.samples_ms) == 40
            assert 5.0 < min(first.samples_ms) < 6.0 < max(first.samples_ms) < 9.0
            assert again.predict([SPECS[0]]).latency_ms > 0

    def test_given_figures_fill_what_was_not_measured(self, table: LatencyTable, address: str) -> None:
        block = f"{SPECS[1]} & {SPECS[1]}"
        table.add("a", 0, burst("a"), times(1.0, 2.0))
        given_ = [
            Given(str(SPECS[0]), 9.0, None, None, "imported"),
            Given(str(SPECS[2]), 3.0, 0.25, 7, "transferred"),
            Given(block, 5.0, 0.5, None, "imported"),
        ]
        table.add_given(given_)
        with LatencyTable.open(address) as again:
            assert sorted(again.given(), key=lambda one: one.latency_ms) == [given_[1], given_[2], given_[0]]
            assert again.missing() == []
            figures = again.figures()
        assert figures[str(SPECS[0])].method == "in context"
        assert (figures[str(SPECS[2])].method, figures[str(SPECS[2])].std_error_ms) == ("transferred", 0.25)
        assert figures[block].latency_ms == 5.0

    def test_a_given_figure_replaces_an_earlier_one(self, table: LatencyTable) -> None:
        table.add_given([Given(str(SPECS[0]), 9.0, 1.0, 3, "imported")])
        table.add_given([Given(str(SPECS[0]), 4.0, None, None, "transferred")])
        assert table.given() == [Given(str(SPECS[0]), 4.0, None, None, "transferred")]

    def test_the_calibration_counts_anchors_since_the_last_anchoring(
        self, table: LatencyTable, address: str
    ) -> None:
        """By the moment, not by its text: times may be told in other zones."""
        fill(table)
        assert table.reanchored_at is None
        for index, at in ((1, "2026-02-01T00:30:00+02:00"), (2, "2026-02-01T00:00:00+00:00")):
            table.add("c", index, burst("c", samples=(8.0,) * 3, started_at=at), [])
        assert len(table.contents().anchors_ms["c"]) == 3
        before = table.predictor().scale
        table.anchor_again("2026-01-31T22:45:00+00:00")
        table.add("c", 3, burst("c", samples=(12.0,) * 3, started_at="2026-02-01T02:00:00+00:00"), [])
        with LatencyTable.open(address) as again:
            assert again.reanchored_at == "2026-01-31T22:45:00+00:00"
            assert len(again.contents().anchors_ms["c"]) == 2
            assert len(again.contents().samples_ms["c"]) == 4
            assert again.predictor().scale > before
            assert len(again.bursts()) == 6

    @pytest.mark.parametrize("text", ["", "today", "2026-02-01T00:30:00"])
    def test_an_anchoring_needs_a_time(self, table: LatencyTable, text: str) -> None:
        with pytest.raises(BadTable, match="is no time"):
            table.anchor_again(text)
        assert table.reanchored_at is None

    def test_a_table_is_stale_until_it_is_not(self, table: LatencyTable, address: str) -> None:
        assert table.stale is None
        table.mark_stale("the reference model takes 12 % longer")
        table.mark_stale("it takes 15 % longer")
        with LatencyTable.open(address) as again:
            assert again.stale == "it takes 15 % longer"
            again.clear_stale()
        assert table.stale is None
        table.clear_stale()

    def test_the_first_passs_governor_is_the_tables(self, table: LatencyTable, address: str) -> None:
        assert table.origin.differences(FACTS, ORIGIN.settings, "powersave") == []
        table.add("a", 0, burst("a", governor="performance"), times(1.0, 2.0))
        table.add("a", 1, burst("a", governor="schedutil"), times(1.0, 2.0))
        assert table.origin.governor == "performance"
        with LatencyTable.open(address) as again:
            assert again.origin == table.origin
            assert again.origin.differences(FACTS, ORIGIN.settings, "performance") == []
            assert again.origin.differences(FACTS, ORIGIN.settings) == []
            assert again.origin.differences(FACTS, Settings(2, (1,)), "powersave") == [
                "threads is 2, the table's is 1",
                "governor is 'powersave', the table's is 'performance'",
            ]

    def test_a_governor_that_the_first_pass_did_not_know_stays_unknown(self, table: LatencyTable) -> None:
        table.add("a", 0, burst("a"), times(1.0, 2.0))
        table.add("a", 1, burst("a", governor="schedutil"), times(1.0, 2.0))
        assert table.origin.governor is None

    def test_nothing_is_overwritten(self, table: LatencyTable, address: str) -> None:
        with pytest.raises(BadTable, match="exists already"):
            LatencyTable.create(address, ORIGIN, NETWORKS)
        assert LatencyTable.exists(address)

    def test_of_two_that_make_it_at_once_one_is_refused(
        self, table: LatencyTable, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(LatencyTable, "exists", lambda _: False)  # as it was when the other looked
        with pytest.raises(BadTable, match="exists already"):
            LatencyTable.create(address, ORIGIN, NETWORKS[:1])
        assert table.networks() == NETWORKS

    def test_a_writer_waits_for_another_but_not_for_ever(
        self, table: LatencyTable, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
        with LatencyTable.open(address) as late:
            with Database(address).writing(), pytest.raises(BadTable, match=r"cannot be used: .*lock"):
                late.mark_stale("too late")
            late.mark_stale("in time")
        assert table.stale == "in time"

    def test_an_empty_place_is_no_table(self, address: str) -> None:
        assert not LatencyTable.exists(address)
        with pytest.raises(BadTable, match="no latency table"):
            LatencyTable.open(address)
        assert not LatencyTable.exists(address)

    @pytest.mark.parametrize("columns", ["key TEXT, value TEXT", "name TEXT"])
    def test_another_database_is_refused_and_left_alone(self, address: str, columns: str) -> None:
        with LatencyTable.create(address, ORIGIN, NETWORKS):
            sql(address, "DROP TABLE meta" + (" CASCADE" if "://" in address else ""))
            sql(address, f"CREATE TABLE meta ({columns})")
        with pytest.raises(BadTable, match="is a database, but no latency table"):
            LatencyTable.open(address)
        with pytest.raises(BadTable, match="exists already"):
            LatencyTable.create(address, ORIGIN, NETWORKS)
        assert sql(address, "SELECT * FROM meta") == []

    @pytest.mark.parametrize("version", ["99", "0", "-1", "two", ""])
    def test_another_schema_is_refused_by_its_number(
        self, table: LatencyTable, address: str, version: str
    ) -> None:
        sql(address, f"UPDATE meta SET value = '{version}' WHERE key = 'schema_version'")
        with pytest.raises(BadTable, match=rf"schema version {version or 'unknown'}, and this program reads"):
            LatencyTable.open(address)
        with pytest.raises(BadTable, match="this program reads versions 1 to 2"):
            table.add("a", 0, burst("a"), times(1.0, 2.0))
        assert sql(address, "SELECT count(*) FROM passes") == [(0,)]

    def test_a_table_that_does_not_say_where_it_was_measured_is_refused(
        self, table: LatencyTable, address: str
    ) -> None:
        sql(address, "DELETE FROM meta WHERE key = 'facts'")
        with pytest.raises(BadTable, match="where it was measured"):
            LatencyTable.open(address)

    def test_values_that_no_table_would_hold_are_damage(self, table: LatencyTable, address: str) -> None:
        fill(table)
        sql(address, "UPDATE passes SET samples_ms = '[1.0, \"fast\"]' WHERE id = 1")
        with LatencyTable.open(address) as again, pytest.raises(BadTable, match="is damaged: ValueError"):
            again.bursts()

    def test_a_second_builder_is_refused_until_the_first_is_done(
        self, table: LatencyTable, address: str
    ) -> None:
        with LatencyTable.open(address) as other:
            with (
                table.building(),
                pytest.raises(BadTable, match=r"process \d+.* is at work on .*: wait for it"),
            ):
                other.building().__enter__()
            with pytest.raises(KeyboardInterrupt), other.building():
                raise KeyboardInterrupt
            with table.building():
                fill(table)
        assert len(table.measured()) == 3

    def test_figures_and_texts_come_back_as_they_were(self, table: LatencyTable) -> None:
        @settings(max_examples=10)
        @given(
            samples=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5),
            figures=st.lists(st.floats(0, 1e6), min_size=2, max_size=2),
            text=st.text(st.characters(codec="utf-8"), max_size=20),
        )
        def check(samples: list[float], figures: list[float], text: str) -> None:
            index = len(table.measured())
            kept = burst("a", samples=tuple(samples), suspect=text, energy=figures[0])
            table.add("a", index, kept, times(*figures))
            table.fail("b", index, Failure("b", "0" * 64, "WorkerCrashed", text))
            found = table.bursts()[-1]
            assert (found.pass_index, found.samples_ms) == (index, kept.samples_ms)
            assert (found.energy_mj, found.context["suspect"]) == (figures[0], text)
            assert table.failures()[0].message == text.replace("\0", "�")
            seen = [one.mean_ms for one in table.observations() if one.pass_index == index]
            assert seen == figures

        check()
