"""Tables of older schemas. The files in `data` were written by the programs of their time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from devices.measurement import Failure
from latency_tables.errors import BadTable
from latency_tables.records import Given
from latency_tables.storage import migrations, schema
from latency_tables.storage.database import Database
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, SPECS, burst, sql, times

DATA = Path(__file__).parents[1] / "data"
ROOT = Path(__file__).parents[3]
OPEN_AND_WRITE = """
import sys
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import burst, times
with LatencyTable.open(sys.argv[1]) as table:
    print("opened", flush=True)
    sys.stdin.readline()
    for index in range(int(sys.argv[2]), int(sys.argv[2]) + 5):
        table.add("c", index, burst("c"), times(1.0, 3.0))
"""


def statements(name: str) -> list[str]:
    return [one for one in (DATA / name).read_text().split(";\n") if one.strip()]


@pytest.fixture(params=["file", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a table of schema 1: two passes of `a`, one of `b` and `c`, a failure of `b`."""
    if request.param == "file":
        with sqlite3.connect(tmp_path / "v1.db") as connection:
            connection.executescript((DATA / "v1.sql").read_text())
        connection.close()
        return str(tmp_path / "v1.db")
    url: str = request.getfixturevalue("postgresql_url")
    sql(url, *statements("v1-postgresql.sql"))
    return url


def version(address: str) -> object:
    return sql(address, "SELECT value FROM meta WHERE key = 'schema_version'")[0][0]


def columns(address: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """By table and column: its type's family, and whether it may be null."""
    with Database(address).reading() as connection:
        inspector = sa.inspect(connection)
        return {
            table: {
                one["name"]: (one["type"].python_type.__name__, one["nullable"])
                for one in inspector.get_columns(table)
            }
            for table in inspector.get_table_names()
        }


def test_an_old_table_is_read_as_it_is(old: str) -> None:
    with LatencyTable.open(old) as table:
        assert table.origin == ORIGIN
        assert table.created_at == "2026-11-25T17:18:12+00:00"
        assert table.networks() == NETWORKS
        assert table.measured() == {("a", 0), ("a", 1), ("b", 0), ("c", 0)}
        assert len(table.observations()) == 9
        assert [(one.network, one.error) for one in table.failures()] == [("b", "WorkerCrashed")]
        assert table.bursts()[1].samples_ms == (5.5, 6.5)
        assert (table.bursts()[1].energy_mj, table.given(), table.stale) == (None, [], None)
        assert table.predict([SPECS[0], SPECS[1]]).latency_ms == pytest.approx(4.5, rel=0.2)
    assert version(old) == "1"
    assert "given" not in columns(old)


def test_reading_leaves_an_old_file_untouched(tmp_path: Path) -> None:
    path = tmp_path / "v1.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((DATA / "v1.sql").read_text())
    connection.close()
    before = path.read_bytes()
    with LatencyTable.open(path) as table:
        table.predict([SPECS[0]])
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["v1.db"]


WRITES: dict[str, Callable[[LatencyTable], None]] = {
    "add": lambda table: table.add("c", 7, burst("c", initialisation=None, energy=1.5), times(1.0, 3.0)),
    "given": lambda table: table.add_given([Given(str(SPECS[0]), 1.0, None, None, "imported")]),
    "stale": lambda table: table.mark_stale("it is old"),
    "networks": lambda table: table.add_networks([]),
}


@pytest.mark.parametrize("name", WRITES)
def test_the_next_writing_brings_it_up_to_date(old: str, name: str) -> None:
    with LatencyTable.open(old) as table:
        before = table.bursts(), sorted(table.observations(), key=repr), table.failures(), table.networks()
        WRITES[name](table)
        bursts = [one for one in table.bursts() if one.pass_index != 7]
        observations = [one for one in table.observations() if one.pass_index != 7]
    assert version(old) == str(schema.SCHEMA_VERSION)
    with LatencyTable.open(old) as again:
        assert again.origin == ORIGIN
        assert [one for one in again.bursts() if one.pass_index != 7] == bursts == before[0]
        assert sorted(observations, key=repr) == before[1]
        assert again.networks() == before[3]
        if name == "add":
            assert again.bursts()[-1].energy_mj == 1.5
        again.fail(
            "a", 9, Failure("a", "0" * 64, "WorkerCrashed", "it died")
        )  # references between tables still hold
        again.add("a", 9, burst("a"), times(1.0, 2.0))


def test_an_old_table_brought_up_to_date_is_as_a_new_one(old: str, tmp_path: Path) -> None:
    with LatencyTable.open(old) as table:
        table.clear_stale()
    found = columns(old)
    if "://" in old:
        sql(old, *(f"DROP TABLE {name} CASCADE" for name in found))
        LatencyTable.create(old, ORIGIN, NETWORKS).close()
        assert found == columns(old)
    else:
        LatencyTable.create(tmp_path / "new.db", ORIGIN, NETWORKS).close()
        assert found == columns(str(tmp_path / "new.db"))
        assert sql(old, "PRAGMA foreign_key_check") == []
        assert sql(old, "PRAGMA journal_mode") == [("wal",)]


def test_the_governor_of_an_old_tables_first_pass_becomes_its_own(old: str) -> None:
    sql(
        old, """UPDATE passes SET context = replace(context, '"governor": null', '"governor": "schedutil"')"""
    )
    for _ in range(2):
        with LatencyTable.open(old) as table:
            assert table.origin.governor == "schedutil"
            table.clear_stale()


def test_two_programs_bring_it_up_to_date_once(old: str) -> None:
    """Both opened it when it was old."""
    command = [sys.executable, "-c", OPEN_AND_WRITE, old]
    jobs = [
        subprocess.Popen([*command, start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        for start in ("10", "20")
    ]
    for job in jobs:
        assert job.stdout is not None
        assert job.stdout.readline() == b"opened\n"
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write(b"\n")
        job.stdin.flush()
    for job in jobs:
        job.communicate(timeout=60)
        assert job.returncode == 0
    with LatencyTable.open(old) as table:
        assert len(table.measured()) == 4 + 10
    assert version(old) == "2"


def test_a_step_that_fails_leaves_all_as_it_was(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: sa.Connection) -> None:
        step(connection)
        connection.exec_driver_sql("SELECT 1 FROM nowhere")

    with LatencyTable.open(old) as table:
        step = migrations.STEPS[1]
        monkeypatch.setitem(migrations.STEPS, 1, broken)
        with pytest.raises(BadTable, match="nowhere"):
            table.mark_stale("it is old")
        assert table.stale is None
    monkeypatch.undo()
    assert version(old) == "1"
    assert "given" not in columns(old)
    with LatencyTable.open(old) as again:
        again.mark_stale("it is old")
        assert len(again.measured()) == 4


def test_every_version_has_its_step() -> None:
    assert sorted(migrations.STEPS) == list(range(1, schema.SCHEMA_VERSION))
