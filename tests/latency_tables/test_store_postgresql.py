"""Tables on a server. What they share with those in files is in `table_contract`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from latency_tables.errors import BadTable
from latency_tables.storage import lock
from latency_tables.storage.database import BUILDER_LOCK, Database, shown
from latency_tables.store import LatencyTable
from tests.latency_tables.postgresql import Server
from tests.latency_tables.table_contract import TableContract
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, burst, fill, times

ROOT = Path(__file__).parents[2]
SECRET = "p%26w%20d!5"
HOLDER = """
import sys
from latency_tables.storage import lock
with lock.builder(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class TestPostgresql(TableContract):
    @pytest.fixture
    def address(self, postgresql_url: str) -> str:
        return postgresql_url


@pytest.fixture
def table(postgresql_url: str) -> Iterator[LatencyTable]:
    with LatencyTable.create(postgresql_url, ORIGIN, NETWORKS) as made:
        yield made


def test_schemas_are_tables_of_their_own(postgresql_url: str) -> None:
    addresses = [postgresql_url, f"{postgresql_url}?schema=pixel", f"{postgresql_url}?schema=pi_5"]
    for number, address in enumerate(addresses):
        assert not LatencyTable.exists(address)
        LatencyTable.create(address, ORIGIN, NETWORKS[: number + 1]).close()
    for number, address in enumerate(addresses):
        with LatencyTable.open(address) as table, table.building(), lock.builder(addresses[number - 1]):
            table.add("a", number, burst("a"), times(1.0, 2.0))
    for number, address in enumerate(addresses):
        with LatencyTable.open(address) as table:
            assert table.measured() == {("a", number)}
            assert len(table.networks()) == number + 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_driver_is_filled_in(table: LatencyTable, postgresql_url: str, scheme: str) -> None:
    with LatencyTable.open(postgresql_url.replace("postgresql", scheme, 1)) as again:
        assert again.networks() == NETWORKS


def test_a_builder_elsewhere_is_named_until_it_dies(table: LatencyTable, postgresql_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, postgresql_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        message = rf"process {holder.pid} on {os.uname().nodename} is at work on postgresql://lab:\*\*\*@"
        with pytest.raises(BadTable, match=message), table.building():
            pass
        fill(table)  # what is no build need not wait
        holder.kill()
        holder.wait()
    end = time.monotonic() + 30
    while True:  # until the server has noticed
        try:
            with table.building():
                return
        except BadTable:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_server_that_was_started_again_is_used_again(
    table: LatencyTable, postgresql: Server, postgresql_url: str
) -> None:
    def measure_when_all_are_cut_off() -> None:
        with table.building():
            fill(table)
            postgresql.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"
            )
            fill(table, 1)
            raise ValueError("the block's own")

    with pytest.raises(ValueError, match="the block's own"):
        measure_when_all_are_cut_off()
    assert len(table.measured()) == 6


def test_a_builder_of_another_database_is_not_named(
    table: LatencyTable, postgresql: Server, postgresql_url: str
) -> None:
    """Its lock has the same numbers, and is listed by this database, too."""
    postgresql.run("DROP DATABASE IF EXISTS test_other", "CREATE DATABASE test_other")
    try:
        other = Database(postgresql.url("test_other"))
        elsewhere = _connection(other, "a builder elsewhere")
        here = _connection(Database(postgresql_url), "a builder here")
        with (
            elsewhere,
            here,
            pytest.raises(BadTable, match=r"^a builder here is at work on"),
            table.building(),
        ):
            pass
        with _connection(other, "a builder elsewhere"), table.building():
            fill(table)
    finally:
        postgresql.run("DROP DATABASE test_other WITH (FORCE)")


@contextmanager
def _connection(database: Database, name: str) -> Iterator[None]:
    """A connection of some name that holds the right to build a table in the schema `public`."""
    with database._engine.connect() as connection:
        connection.exec_driver_sql(f"SET application_name = '{name}'")
        number = database._number(connection)
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({BUILDER_LOCK}, {number})")
        yield


def test_a_builder_whose_lock_went_to_another_stops(
    table: LatencyTable, postgresql: Server, postgresql_url: str
) -> None:
    """As when the server was started again and the other was the quicker one."""
    cut_off = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"
    with table.building():
        fill(table)
        postgresql.run(cut_off)
        with _connection(Database(postgresql_url), "the quicker one"):
            for _ in range(2):
                with pytest.raises(BadTable, match=r"^the quicker one is at work on"):
                    fill(table, 1)
        assert len(table.measured()) == 3
        fill(table, 1)  # it has been let go
        with (
            pytest.raises(BadTable, match=rf"^process {os.getpid()} on .* is at work"),
            _another_process(postgresql_url),
        ):
            pass
    assert len(table.measured()) == 6
    with table.building():
        pass


@contextmanager
def _another_process(url: str) -> Iterator[None]:
    """What one does that looks for the lock; this process's own are known by the address."""
    with lock.builder(f"{url}?connect_timeout=9"):
        yield


def test_one_who_may_only_read_reads(table: LatencyTable, postgresql: Server) -> None:
    fill(table)
    name = table.address.rpartition("/")[2]
    postgresql.run(
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN PASSWORD 'guest'",
        "GRANT USAGE ON SCHEMA public TO guest",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest",
        database=name,
    )
    with LatencyTable.open(postgresql.url(name, "guest", "guest")) as guest:
        assert guest.ready
        with pytest.raises(BadTable, match="permission denied"):
            guest.mark_stale("a guest says so")
    postgresql.run("DROP OWNED BY guest", database=name)


class TestWhatIsRefused:
    """Each says what is wrong, and none says the password."""

    def refusal(self, address: str) -> str:
        found = set()
        for act in (LatencyTable.open, LatencyTable.exists):
            with pytest.raises(BadTable) as caught:
                act(address)
            shown_by_traceback = [str(caught.value), repr(caught.value.__cause__)]
            assert not any(one in text for one in (SECRET, "p&w d!5") for text in shown_by_traceback)
            found.add(str(caught.value))
        (message,) = found
        return message

    def test_a_wrong_password(self, postgresql: Server) -> None:
        with pytest.raises(BadTable, match="password authentication failed for user") as caught:
            LatencyTable.open(postgresql.url("postgres", password="guessed"))
        assert "guessed" not in str(caught.value)

    def test_a_missing_database(self, postgresql: Server) -> None:
        assert 'database "nowhere" does not exist' in self.refusal(postgresql.url("nowhere"))

    def test_a_server_that_is_away(self) -> None:
        message = self.refusal(f"postgresql://lab:{SECRET}@127.0.0.1:1/tables")
        assert message.startswith("the latency table postgresql://lab:***@127.0.0.1:1/tables cannot be used")
        assert "Connection refused" in message

    def test_a_schema_with_an_odd_name(self, postgresql: Server) -> None:
        assert "schema 'a; drop'" in self.refusal(postgresql.url("postgres") + "?schema=a; drop")

    def test_another_kind_of_database(self) -> None:
        assert "SQLite files, given by their path, or PostgreSQL" in self.refusal(f"mysql://a:{SECRET}@h/x")

    def test_what_is_no_url(self) -> None:
        assert self.refusal(f"postgresql://u:{SECRET}@h:port/x").startswith(
            "postgresql://*** is no database URL"
        )

    def test_a_missing_schema_is_an_empty_place(self, postgresql_url: str) -> None:
        address = f"{postgresql_url}?schema=later"
        assert not LatencyTable.exists(address)
        with pytest.raises(BadTable, match=r"no latency table"):
            LatencyTable.open(address)
        with pytest.raises(BadTable, match="there is no schema later"), lock.builder(address):
            pass

    def test_a_missing_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        assert "pip install 'mnas[postgresql]'" in self.refusal(
            f"postgresql://lab:{SECRET}@127.0.0.1:1/tables"
        )


def test_only_passwords_are_hidden() -> None:
    assert shown("tables/pixel.db") == "tables/pixel.db"
    assert shown("postgresql://lab@h/x?schema=a") == "postgresql://lab@h/x?schema=a"
    assert shown("postgresql://lab:secret@h:5432/x") == "postgresql://lab:***@h:5432/x"
    assert shown("postgresql://h/x?user=lab&password=secret") == "postgresql://h/x?password=***&user=lab"
    assert shown("postgresql://h/x?sslpassword=secret") == "postgresql://h/x?sslpassword=***"
    assert shown("postgresql://lab:p%26w%20d!5@h/x") == "postgresql://lab:***@h/x"
    assert shown("ssh://pi@bench:22?port=1&delegate=a%20b") == "ssh://pi@bench:22?port=1&delegate=a%20b"


@pytest.mark.parametrize("password", ["Q@Z", "Q:Z", "Q/Z", "Q?Z", "Q#Z", "Q@Z/Y", "%QZ", "Q Z", "Q@Z:Y"])
def test_no_part_of_a_password_that_was_not_escaped_is_shown(password: str) -> None:
    found = shown(f"postgresql://lab:{password}@host.org:99/x")
    assert not set("QZY") & set(found)
