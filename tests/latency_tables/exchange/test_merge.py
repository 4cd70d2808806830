"""Tables joined: nothing lost, nothing counted twice, nothing half-written, other origins refused."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from devices.measurement import Context, DeviceFacts, Failure, Pass, Settings
from latency_tables.errors import BadTable
from latency_tables.exchange import merge as merging
from latency_tables.exchange.merge import merge
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Given, Network, Origin
from latency_tables.store import LatencyTable

V1 = Path(__file__).parents[1] / "data" / "v1.sql"
FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
ORIGIN = Origin({"space": "toy", "seed": 0}, FACTS, Settings())
SPECS = [OpSpec("logistic", "float32", ((1, size),), (1, size)) for size in (1, 2, 3)]


def chain(*specs: OpSpec) -> Graph:
    nodes = tuple(Node(spec, (index - 1,)) for index, spec in enumerate(specs))
    return Graph(specs[0].inputs, "float32", nodes, (len(specs) - 1,))


NETWORKS = [
    Network("a", chain(SPECS[0], SPECS[1]), "cover"),
    Network("b", chain(SPECS[2], SPECS[1]), "cover"),
    Network("c", chain(SPECS[0], SPECS[2]), "anchor"),
]
FIGURES = {SPECS[0]: 1.0, SPECS[1]: 2.0, SPECS[2]: 3.0}


def measure(table: LatencyTable, name: str, index: int, hour: int = 3) -> None:
    specs = next(one.graph.specs for one in table.networks() if one.name == name)
    total = sum(FIGURES[spec] for spec in specs)
    context = Context(FACTS, ORIGIN.settings, f"2026-01-02T{hour:02}:04:0{index}+00:00", "xnnpack")
    samples = (total, total + index / 100)
    burst = Pass(name, f"{name:>064}", 0, samples, 1, 0.5, 7.0, 8.0, 2**20, (), context, energy_mj=2.5)
    times = [Attribution((node,), FIGURES[spec], (str(node),)) for node, spec in enumerate(specs)]
    table.add(name, index, burst, times)


def make(path: Path, *passes: tuple[str, int], origin: Origin = ORIGIN, hour: int = 3) -> str:
    with LatencyTable.create(path, origin, NETWORKS) as table:
        for name, index in passes:
            measure(table, name, index, hour)
    return str(path)


@pytest.fixture
def halves(tmp_path: Path) -> list[str]:
    return [
        make(tmp_path / "1.db", ("a", 0), ("c", 0)),
        make(tmp_path / "2.db", ("b", 0), ("c", 0), hour=4),
    ]


def test_two_halves_make_a_whole(halves: list[str], tmp_path: Path) -> None:
    found = merge(halves, str(tmp_path / "new.db"))
    assert (found.tables, found.networks, found.passes, found.repeated) == (2, 3, 4, 0)
    with LatencyTable.open(tmp_path / "new.db") as joined:
        assert joined.networks() == NETWORKS
        assert joined.missing() == []
        assert joined.ready
        assert joined.measured() == {("a", 0), ("b", 1), ("c", 0), ("c", 1)}
        assert joined.predict(SPECS).latency_ms == pytest.approx(6.0, rel=0.01)
        assert joined.origin == ORIGIN
        burst = joined.bursts()[0]
        assert (burst.samples_ms, burst.peak_memory_bytes, burst.energy_mj) == ((3.0, 3.0), 2**20, 2.5)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1.db", "2.db", "new.db"]


def test_nothing_of_a_pass_is_lost(halves: list[str], tmp_path: Path) -> None:
    merge(halves, str(tmp_path / "new.db"))
    with LatencyTable.open(halves[0]) as first, LatencyTable.open(tmp_path / "new.db") as joined:
        kept = [one for one in joined.bursts() if one.started_at.startswith("2026-01-02T03")]
        assert kept == first.bursts()
        assert set(first.observations()) <= set(joined.observations())
        assert len(joined.observations()) == 8


def test_the_same_pass_counts_once(halves: list[str], tmp_path: Path) -> None:
    found = merge([halves[0], halves[0]], str(tmp_path / "new.db"))
    assert (found.passes, found.repeated) == (2, 2)
    merge(halves, str(tmp_path / "joined.db"))
    again = merge([halves[1], str(tmp_path / "joined.db"), halves[0]], str(tmp_path / "again.db"))
    assert (again.passes, again.repeated) == (4, 4)


def test_a_table_that_went_on_keeps_its_numbers(tmp_path: Path) -> None:
    first = make(tmp_path / "1.db", ("a", 0), ("b", 0))
    second = make(tmp_path / "2.db", ("a", 0), ("b", 0), ("a", 1))
    merge([first, second], str(tmp_path / "new.db"))
    with LatencyTable.open(tmp_path / "new.db") as joined:
        assert joined.measured() == {("a", 0), ("b", 0), ("a", 1)}


def test_the_order_of_tables_changes_no_figure(halves: list[str], tmp_path: Path) -> None:
    merge(halves, str(tmp_path / "12.db"))
    merge(halves[::-1], str(tmp_path / "21.db"))
    with LatencyTable.open(tmp_path / "12.db") as one, LatencyTable.open(tmp_path / "21.db") as other:
        assert one.figures() == other.figures()
        assert one.predict(SPECS) == other.predict(SPECS)


def test_other_origins_are_refused_by_name(tmp_path: Path) -> None:
    first = make(tmp_path / "1.db", ("a", 0))
    others = {
        "runtime_version is '9'": replace(ORIGIN, facts=replace(FACTS, runtime_version="9")),
        "threads is 2": replace(ORIGIN, settings=Settings(threads=2)),
        "space is 'moon', the first table's is 'toy'": replace(ORIGIN, purpose={"space": "moon", "seed": 0}),
        "governor is 'powersave'": replace(ORIGIN, governor="powersave"),
    }
    first_origin = replace(ORIGIN, governor="performance")
    governed = make(tmp_path / "g.db", ("a", 0), origin=first_origin)
    for number, (message, origin) in enumerate(others.items()):
        other = make(tmp_path / f"other{number}.db", ("a", 0), origin=origin)
        with pytest.raises(BadTable, match=message):
            merge([governed if origin.governor else first, other], str(tmp_path / "new.db"))
    assert not (tmp_path / "new.db").exists()


def test_what_may_differ_is_named(tmp_path: Path) -> None:
    first = make(tmp_path / "1.db", ("a", 0))
    lab = replace(ORIGIN, facts=replace(FACTS, address="ssh://lab", identity="b"))
    second = make(tmp_path / "2.db", ("b", 0), origin=lab, hour=4)
    new = str(tmp_path / "new.db")
    with pytest.raises(BadTable, match="address is 'ssh://lab'"):
        merge([first, second], new, across=["identity"])
    with pytest.raises(BadTable, match="do not differ in moon; they differ in address, identity"):
        merge([first, second], new, across=["identity", "address", "moon"])
    assert merge([first, second], new, across=["identity", "address"]).passes == 2


def test_different_networks_of_one_name_stay_apart(tmp_path: Path) -> None:
    first = make(tmp_path / "1.db", ("c", 0))
    with LatencyTable.create(tmp_path / "2.db", ORIGIN, [Network("c", chain(*SPECS), "anchor")]) as table:
        measure(table, "c", 0, hour=4)
    merge([first, str(tmp_path / "2.db")], str(tmp_path / "new.db"))
    with LatencyTable.open(tmp_path / "new.db") as joined:
        assert [one.name for one in joined.networks()] == ["a", "b", "c", "c~2"]
        assert {name for name, _ in joined.measured()} == {"c", "c~2"}


def test_given_figures_failures_and_staleness_are_joined(halves: list[str], tmp_path: Path) -> None:
    given = [Given(str(SPECS[0]), 1.0, None, None, "imported"), Given(str(SPECS[1]), 2.0, 0.1, 3, "imported")]
    with LatencyTable.open(halves[0]) as first, LatencyTable.open(halves[1]) as second:
        first.add_given(given[:1])
        second.add_given([replace(given[0], latency_ms=9.0), given[1]])
        first.fail("b", 0, Failure("b", "0" * 64, "WorkerCrashed", "it died"))
        second.fail("a", 0, Failure("a", "0" * 64, "WorkerCrashed", "it died"))
        first.mark_stale("the canary drifted")
        first.anchor_again("2026-01-02T02:00:00+00:00")
        second.anchor_again("2026-01-02T04:00:00+02:00")
    merge(halves, str(tmp_path / "new.db"))
    with LatencyTable.open(tmp_path / "new.db") as joined:
        assert joined.given() == given
        assert joined.failures() == []
        assert joined.stale == "the canary drifted"
        assert joined.reanchored_at == "2026-01-02T02:00:00+00:00"
    third = make(tmp_path / "3.db")
    with LatencyTable.open(third) as table:
        table.fail("b", 0, Failure("b", "0" * 64, "WorkerCrashed", "it died"))
    merge([third, halves[0]], str(tmp_path / "failed.db"))
    with LatencyTable.open(tmp_path / "failed.db") as joined:
        assert [one.network for one in joined.failures()] == ["b"]


def test_nothing_is_overwritten_and_nothing_half_written(
    halves: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadTable, match="exists already"):
        merge(halves, halves[0])
    with pytest.raises(BadTable, match="no folder"):
        merge(halves, str(tmp_path / "no" / "new.db"))
    with pytest.raises(BadTable, match="two or more"):
        merge(halves[:1], str(tmp_path / "new.db"))
    with pytest.raises(BadTable, match=r"no latency table .*none\.db"):
        merge([*halves, str(tmp_path / "none.db")], str(tmp_path / "new.db"))

    def write(self: merging._Joined, connection: sa.Connection) -> None:
        written(self, connection)
        raise sa.exc.OperationalError("INSERT", {}, OSError("disk is full"))

    written = merging._Joined.write
    monkeypatch.setattr(merging._Joined, "write", write)
    with pytest.raises(BadTable, match="disk is full"):
        merge(halves, str(tmp_path / "new.db"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1.db", "2.db"]


def test_tables_are_joined_on_a_server(halves: list[str], tmp_path: Path, postgresql_url: str) -> None:
    merge(halves, postgresql_url)
    with pytest.raises(BadTable, match="exists already"):
        merge(halves, postgresql_url)
    merge([postgresql_url, halves[0]], str(tmp_path / "back.db"))
    merge(halves, str(tmp_path / "here.db"))
    with (
        LatencyTable.open(postgresql_url) as there,
        LatencyTable.open(tmp_path / "back.db") as back,
        LatencyTable.open(tmp_path / "here.db") as here,
    ):
        assert there.measured() == back.measured() == here.measured()
        assert there.bursts() == back.bursts() == here.bursts()
        assert there.figures() == back.figures() == here.figures()


def test_tables_of_the_first_schema_are_joined(tmp_path: Path) -> None:
    old = str(tmp_path / "old.db")
    with sqlite3.connect(old) as connection:
        connection.executescript(V1.read_text())
    merge([old, old], str(tmp_path / "new.db"))
    with LatencyTable.open(old) as before, LatencyTable.open(tmp_path / "new.db") as after:
        assert after.bursts() == before.bursts()
        assert after.networks() == before.networks()
        assert after.figures() == before.figures()
