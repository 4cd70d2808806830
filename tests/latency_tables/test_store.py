from __future__ import annotations

import random
import sqlite3
from dataclasses import replace

import pytest

from devices.measurement import Context, DeviceFacts, Failure, Pass, Settings, Summary
from latency_tables.attribute import Attribution
from latency_tables.errors import BadTable, MissingOperators
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network, Origin, graph_from_json, graph_to_json
from latency_tables.store import LatencyTable

FACTS = DeviceFacts("local", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
ORIGIN = Origin({"space": "toy", "resolution": 32}, FACTS, Settings(threads=1, cpus=(1,)))
SPECS = [OpSpec("logistic", "float32", ((1, size),), (1, size)) for size in (1, 2, 3)]


def chain(*specs: OpSpec) -> Graph:
    nodes = tuple(Node(spec, (index - 1,)) for index, spec in enumerate(specs))
    return Graph(specs[0].inputs, "float32", nodes, (len(specs) - 1,))


NETWORKS = [
    Network("a", chain(SPECS[0], SPECS[1]), "cover"),
    Network("b", chain(SPECS[2], SPECS[1], SPECS[1]), "cover"),
    Network("c", chain(SPECS[0], SPECS[2]), "anchor"),
]


def burst(name: str, *, samples: tuple[float, ...] = (6.0, 6.0, 6.0), reference: float | None = 0.5) -> Pass:
    context = Context(FACTS, ORIGIN.settings, "2026-01-02T03:04:05+00:00", "xnnpack", 2, 2, 0.25)
    return Pass(name, "0" * 64, 0, samples, 1, reference, 7.0, 8.0, None, (), context)


def times(*figures: float) -> list[Attribution]:
    return [Attribution((node,), figure, ("Sigmoid (NC)",)) for node, figure in enumerate(figures)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.db"


@pytest.fixture
def table(path):
    with LatencyTable.create(path, ORIGIN, NETWORKS) as made:
        yield made


def fill(table: LatencyTable) -> None:
    table.add("a", 0, burst("a"), times(1.0, 2.0))
    table.add("b", 0, burst("b"), times(3.0, 2.0, 2.0))
    table.add("c", 0, burst("c"), times(1.0, 3.0))


def test_a_network_survives_its_text():
    for network in NETWORKS:
        assert graph_from_json(graph_to_json(network.graph)) == network.graph


def test_what_is_stored_is_read_back(table, path):
    fill(table)
    with LatencyTable.open(path) as again:
        assert again.origin == ORIGIN
        assert again.networks() == NETWORKS
        assert again.operators() == sorted(map(str, SPECS))
        assert again.measured() == {("a", 0), ("b", 0), ("c", 0)}
        assert again.observations() == table.observations()
        assert len(again.observations()) == 7
        first = again.bursts()[0]
    assert (first.network, first.samples_ms, first.dropped, first.reference_ms) == ("a", (6.0,) * 3, 1, 0.5)
    assert first.context["facts"]["runtime_version"] == "2.3.0"
    assert first.context["delegate"] == "xnnpack"
    assert first.started_at == "2026-01-02T03:04:05+00:00"


def test_it_predicts_the_scaled_sum(table):
    fill(table)  # the anchor's operators sum to 4 ms, it took 6
    found = table.predict([SPECS[0], SPECS[1]])
    assert (found.sum_ms, found.scale, found.latency_ms) == pytest.approx((3.0, 1.5, 4.5), rel=2e-3)
    assert found.latency_ms == found.sum_ms * found.scale


def test_an_operator_without_a_figure_is_named(table, path):
    fill(table)
    stranger = OpSpec("logistic", "float32", ((1, 9),), (1, 9))
    with pytest.raises(MissingOperators, match=f"{path}.*logistic/float32/1x9/1x9"):
        table.predict([SPECS[0], stranger])


def test_a_table_in_the_making_predicts_nothing(table):
    assert not table.ready
    with pytest.raises(BadTable, match="not built yet"):
        table.predict([SPECS[0]])
    table.add("a", 0, burst("a"), times(1.0, 2.0))
    with pytest.raises(BadTable, match="0 anchor networks"):
        table.predict([SPECS[0]])
    table.add("b", 0, burst("b"), times(3.0, 2.0, 2.0))
    table.add("c", 0, burst("c"), times(1.0, 3.0))
    assert table.ready


def test_predictions_follow_what_is_added(table):
    fill(table)
    before = table.predict([SPECS[1]]).sum_ms
    for index in (1, 2):
        table.add("a", index, burst("a"), times(1.0, 0.5))
    assert table.predict([SPECS[1]]).sum_ms < before


def test_a_pass_is_kept_once(table):
    table.add("a", 0, burst("a"), times(1.0, 2.0))
    with pytest.raises(BadTable, match="UNIQUE"):
        table.add("a", 0, burst("a"), times(1.0, 2.0))
    assert table.measured() == {("a", 0)}
    assert len(table.observations()) == 2


def test_a_pass_is_kept_whole_or_not_at_all(table):
    with pytest.raises(ValueError, match=r"a has 2 nodes.*\[0\]"):
        table.add("a", 0, burst("a"), times(1.0))
    assert table.measured() == set()
    assert table.bursts() == []


def test_a_failure_is_remembered_until_its_network_is_measured(table):
    table.fail("b", 0, Failure("b", "0" * 64, "WorkerCrashed", "it died"))
    table.fail("b", 1, Failure("b", "0" * 64, "DeadlineExceeded", "too slow"))
    (failure,) = table.failures()
    assert (failure.network, failure.pass_index, failure.error) == ("b", 1, "DeadlineExceeded")
    table.add("b", 1, burst("b"), times(3.0, 2.0, 2.0))
    assert table.failures() == []


def test_a_network_that_is_not_the_tables_is_refused(table):
    with pytest.raises(BadTable, match="no network z"):
        table.add("z", 0, burst("z"), [])


def test_nothing_is_overwritten(table, path):
    with pytest.raises(BadTable, match="exists already"):
        LatencyTable.create(path, ORIGIN, NETWORKS)


def test_a_file_is_complete_between_writes(table, path):
    fill(table)
    assert [file.name for file in path.parent.iterdir()] == ["t.db"]
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    with LatencyTable.open(copy) as copied:
        assert copied.observations() == table.observations()


def test_a_missing_table_is_not_made(path):
    with pytest.raises(BadTable, match=r"no latency table .*t\.db"):
        LatencyTable.open(path)
    assert not path.exists()


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(BadTable, match="no folder"):
        LatencyTable.create(tmp_path / "no" / "t.db", ORIGIN, NETWORKS)


@pytest.mark.parametrize("content", [b"", b"TFL3 is something else", b"SQLite format 3\0 and then no page"])
def test_other_files_are_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(BadTable, match=r"t\.db"):
        LatencyTable.open(path)
    assert path.read_bytes() == content


def test_a_runners_own_statistics_stand_for_samples_that_it_does_not_tell(path):
    """As of benchmark_model on a phone."""
    runs = Summary(count=40, mean_ms=6.2, min_ms=5.0, max_ms=9.0, median_ms=6.0)
    with LatencyTable.create(path, ORIGIN, NETWORKS) as made:
        for name, figures in (("a", (1.0, 2.0)), ("b", (3.0, 2.0, 2.0)), ("c", (1.0, 3.0))):
            made.add(name, 0, replace(burst(name, samples=()), summary=runs), times(*figures))
    with LatencyTable.open(path) as again:
        (first, *_) = again.bursts()
        assert len(first.samples_ms) == 40
        assert 5.0 < min(first.samples_ms) < 6.0 < max(first.samples_ms) < 9.0
        assert again.ready
        assert again.predict([SPECS[0]]).latency_ms > 0


def test_other_databases_are_refused_and_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (key, value)")
    before = path.read_bytes()
    with pytest.raises(BadTable, match="no latency table"):
        LatencyTable.open(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_by_its_number(table, path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(BadTable, match="schema version 99, and this program reads versions 1 to 2"):
        LatencyTable.open(path)


def test_a_table_that_does_not_say_where_it_was_measured_is_refused(table, path):
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'facts'")
    with pytest.raises(BadTable, match="where it was measured"):
        LatencyTable.open(path)


def test_damage_never_shows_as_another_error(table, path):
    fill(table)
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        if rng.random() < 0.3:
            del damaged[rng.randrange(1, len(damaged)) :]
        else:
            start = rng.randrange(len(damaged))
            damaged[start : start + 200] = rng.randbytes(min(200, len(damaged) - start))
        path.write_bytes(damaged)
        try:
            with LatencyTable.open(path) as opened:
                opened.networks()
                opened.bursts()
                opened.failures()
                opened.predict([SPECS[0]])
        except (BadTable, MissingOperators):
            refused += 1
    assert refused >= 15
