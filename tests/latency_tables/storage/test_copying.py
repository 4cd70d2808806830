from __future__ import annotations

from pathlib import Path

import pytest

from latency_tables.errors import BadTable
from latency_tables.records import Network
from latency_tables.storage.copying import copy, digest
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, burst, fill, sql, times


@pytest.fixture(params=["file", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place: str = (
        str(tmp_path / "t.db") if request.param == "file" else request.getfixturevalue("postgresql_url")
    )
    with LatencyTable.create(place, ORIGIN, NETWORKS) as made:
        fill(made)
        made.mark_stale("for some reason")
    return place


def test_a_copy_is_a_table_of_its_own(address: str, tmp_path: Path) -> None:
    copy(address, tmp_path / "copy.db")
    with LatencyTable.open(address) as table, LatencyTable.open(tmp_path / "copy.db") as copied:
        assert copied.origin == table.origin
        assert copied.created_at == table.created_at
        assert copied.networks() == table.networks()
        assert copied.bursts() == table.bursts()
        assert sorted(copied.observations(), key=repr) == sorted(table.observations(), key=repr)
        assert copied.stale == "for some reason"
        copied.add("a", 1, burst("a"), times(1.0, 2.0))
        assert len(table.measured()) == 3
        assert len(copied.measured()) == 4


def test_a_copy_on_a_server_goes_on_with_the_numbers(address: str, postgresql_url: str) -> None:
    place = f"{postgresql_url}?schema=copied"
    copy(address, place)
    with LatencyTable.open(address) as table, LatencyTable.open(place) as copied:
        assert copied.created_at == table.created_at
        assert copied.networks() == table.networks()
        assert copied.bursts() == table.bursts()
        assert sorted(copied.observations(), key=repr) == sorted(table.observations(), key=repr)
        assert copied.stale == "for some reason"
        copied.add("a", 1, burst("a"), times(1.0, 2.0))
        copied.add_networks([Network("later", NETWORKS[0].graph, "alone")])
        assert len(copied.measured()) == 4
    with pytest.raises(BadTable, match="exists already"):
        copy(address, place)


def test_a_digest_changes_with_the_table_only(address: str) -> None:
    first = digest(address)
    with LatencyTable.open(address) as table:
        table.figures()
        assert digest(address) == first
        table.add("a", 1, burst("a"), times(1.0, 2.0))
    assert digest(address) != first
    assert len(first) == 64


def test_a_digest_outlives_a_killed_writers_log(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with LatencyTable.create(path, ORIGIN, NETWORKS) as made, made._database.reading() as connection:
        connection.exec_driver_sql("SELECT 1 FROM meta")
        fill(made)
        found = tmp_path / "found.db"
        for end in ("", "-wal"):
            Path(f"{found}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    first = digest(str(found))
    with LatencyTable.open(found) as table:
        assert len(table.measured()) == 3
    assert digest(str(found)) == first


def test_what_is_no_table_is_not_copied(address: str, tmp_path: Path) -> None:
    if "://" in address:
        sql(address, "DELETE FROM meta")
        with pytest.raises(BadTable, match="is a database, but no latency table"):
            copy(address, tmp_path / "copy.db")
        with pytest.raises(BadTable, match="is a database, but no latency table"):
            digest(address)
    with pytest.raises(BadTable, match="no latency table"):
        copy(str(tmp_path / "none.db"), tmp_path / "copy.db")
    with pytest.raises(BadTable, match="no latency table"):
        digest(str(tmp_path / "none.db"))


def test_a_place_that_cannot_be_written_is_named(address: str, tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="unable to open database file"):
        copy(address, tmp_path / "no" / "copy.db")
