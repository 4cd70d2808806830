"""How a latency table's database is reached: a file, or a server by URL. Knows none of its tables."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import event, pool
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.storage import files

#: seconds a writer waits for another one; a client for a server's answer, and for its sign of life later
BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S, SILENCE_S = 10, 30
#: first halves of the advisory locks on a server: of a table's builder, and of each of its writes
BUILDER_LOCK, WRITE_LOCK = 0x6D6E6101, 0x6D6E6102
#: names by which a PostgreSQL server may be asked for; the driver is psycopg in any case
_SERVERS = ("postgresql", "postgres", "postgresql+psycopg")


def is_url(address: str) -> bool:
    """Whether a table's address is a database URL rather than the path of a file."""
    return "://" in address


def shown(address: str) -> str:
    """An address as it may be printed: a password in it is replaced by `***`."""
    if not is_url(address):
        return address
    try:
        url = sa.make_url(address)
    except (ArgumentError, ValueError):
        url = None
    if url is None or "@" in f"{url.host}{url.database}":  # not to be told apart from its password then
        return address.partition("://")[0] + "://***"
    secret = {name: "***" for name in url.query if "password" in name.lower()}
    if url.password is None and not secret:
        return address
    text = url.update_query_dict(secret).render_as_string(hide_password=True)
    return text.replace("%2A%2A%2A", "***")


class Database:
    """One address; every reading and every writing is a transaction, and the errors of all come as BadTable.

    Nothing stays open in between, so that a file can be copied and a server restarted; but a file does while
    `held_open` lasts, and a server's builder lock has a connection of its own. Files are in SQLite's WAL
    mode, in which readers and the one writer do not wait for each other, and are written through to the disk
    at each commit.
    """

    def __init__(self, address: str) -> None:
        """Connect to nothing yet.

        Raises:
            BadTable: the address is no URL of a known kind, or its driver is not installed.
        """
        self.address = shown(address)
        self.path = None if is_url(address) else Path(address)
        self._given = address
        self._secrets: list[str] = []
        self._schema = ""
        self._engine = self._of_server(address) if self.path is None else self._of_file(self.path)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the table, whoever writes meanwhile.

        Values that no table would hold become `BadTable` too: the file is damaged.
        """
        if self.path:
            files.refuse_others(self.path)
        options: Mapping[str, Any] = {} if self.path else {"isolation_level": "REPEATABLE READ"}
        with self._mapped(), self._engine.connect() as connection:
            yield connection.execution_options(**options)

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[sa.Connection]:
        """A transaction that waits for other writers, and is kept whole or not at all.

        Args:
            create: whether the file, or the URL's schema on the server, may be made.
        """
        if self.path and create:
            files.make(self.path)
        elif self.path:
            files.refuse_others(self.path)
        elif lock := _builders.get(self._given):
            lock.renew()
        with self._mapped(), self._engine.connect() as plain:
            connection = plain.execution_options(writes=True, creates=create)
            if self.path:
                # readers that look at a file of before there was WAL: it is changed at a later writing
                with suppress(sqlite3.OperationalError):
                    plain.connection.cursor().execute("PRAGMA journal_mode = WAL")
            with connection.begin():
                if not self.path:
                    self._begin_on_server(connection, create=create)
                yield connection

    def back_up(self, target: Path) -> None:
        """Write one state of an SQLite file to another, whoever writes to it meanwhile.

        Raises:
            BadTable: there is no such table, or it cannot be read.
            sqlite3.Error: the target cannot be written.
        """
        with self.reading() as connection, closing(sqlite3.connect(target)) as new:
            driver: object = connection.connection.dbapi_connection
            if not isinstance(driver, sqlite3.Connection):
                raise BadTable(f"{self.address} is on a server: only a file can be copied as it is")
            driver.backup(new)

    @contextmanager
    def builder_lock(self) -> Iterator[None]:
        """On a server: hold the right to build the table while the block runs.

        It ends with its connection: before each writing in this process it is seen whether that still is.

        Raises:
            BadTable: somebody else holds it; says who.
        """
        lock = _BuilderLock(self)
        lock.renew()
        before = _builders.get(self._given)
        _builders[self._given] = lock
        try:
            yield
        finally:
            del _builders[self._given]
            if before is not None:
                _builders[self._given] = before
            lock.release()

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """Keep a connection to a file while the block runs, for many writings one after the other.

        The last connection to close folds the log into the file, which takes longer than the writing.

        Raises:
            BadTable: there is no such table, or it cannot be read.
        """
        if self.path is None:
            yield
            return
        files.refuse_others(self.path)
        with ExitStack() as stack:
            with self._mapped():
                connection = stack.enter_context(self._engine.connect())
                connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()  # opens the file
                connection.rollback()
            driver: object = connection.connection.dbapi_connection
            assert isinstance(driver, sqlite3.Connection)
            stack.enter_context(files.held(self.path, driver))
            yield

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _of_file(self, path: Path) -> sa.Engine:
        engine = sa.create_engine(
            "sqlite://", poolclass=pool.NullPool, creator=lambda: files.connect(path, BUSY_TIMEOUT_S)
        )
        event.listen(engine, "begin", _begin_on_file)
        return engine

    def _of_server(self, address: str) -> sa.Engine:
        try:
            url = sa.make_url(address)
        except (ArgumentError, ValueError):
            raise BadTable(f"{self.address} is no database URL; one is postgresql://user@host/name") from None
        if url.drivername not in _SERVERS:
            raise BadTable(
                f"{self.address}: tables are SQLite files, given by their path, or PostgreSQL databases, "
                "such as postgresql://user@host/name"
            )
        self._secrets = [str(one) for one in (url.password, url.query.get("password")) if one]
        schema = str(url.query.get("schema", ""))
        if schema and not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise BadTable(f"schema {schema!r}: lower-case letters, digits and underscores are allowed")
        options = f"{url.query.get('options', '')} -c lock_timeout={round(BUSY_TIMEOUT_S * 1000)}"
        if schema:
            options += f" -c search_path={schema}"
        self._schema = schema
        try:
            return sa.create_engine(
                url.set(drivername="postgresql+psycopg").difference_update_query(["schema", "options"]),
                poolclass=pool.NullPool,
                connect_args={
                    "connect_timeout": CONNECT_TIMEOUT_S,
                    # a server that went away without a word is found out
                    "keepalives_idle": SILENCE_S,
                    "tcp_user_timeout": SILENCE_S * 1000,
                    "application_name": f"process {os.getpid()} on {socket.gethostname()}"[:63],
                    "options": options,
                },
            )
        except ImportError as error:
            raise BadTable(
                f"{self.address}: PostgreSQL needs the package psycopg ({error}): "
                "pip install 'mnas[postgresql]'"
            ) from None

    def _begin_on_server(self, connection: sa.Connection, *, create: bool) -> None:
        if create and self._schema:
            connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
        key = {"purpose": WRITE_LOCK, "table": self._number(connection)}
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:purpose, :table)"), key)

    def _number(self, connection: sa.Connection) -> int:
        """The second half of the advisory locks: those are of a whole database, a table is of one schema."""
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
        if schema is None:
            raise BadTable(f"{self.address}: there is no schema {self._schema or 'public'} in the database")
        return crc32(str(schema).encode()) & 0x7FFFFFFF

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Errors as `BadTable`: full disks, rights that lack, locks that never end, servers that are away."""
        try:
            yield
        except SQLAlchemyError as error:
            self._fail(error, str(getattr(error, "orig", None) or error))
        except (ValueError, KeyError, TypeError, IndexError, BadOpSpec) as error:
            raise BadTable(f"the latency table {self.address} is damaged: {error!r}") from error

    def _fail(self, error: Exception, text: str) -> NoReturn:
        cause = (text.splitlines() or [type(error).__name__])[0]
        for secret in self._secrets:
            cause = cause.replace(secret, "***")
        # a server's errors hold the parameters of the connection
        shown_error = error if self.path else None
        raise BadTable(f"the latency table {self.address} cannot be used: {cause}") from shown_error


class _BuilderLock:
    """The right to build a table on a server, which is lost with its connection and taken again then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sa.Connection | None = None

    def renew(self) -> None:
        """Take it, if it is not held; raise BadTable if somebody else holds it."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except SQLAlchemyError:  # the server was started again, or ended the connection
                self.release()
            else:
                return
        database = self._database
        with ExitStack() as stack, database._mapped():
            plain = stack.enter_context(database._engine.connect())
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            key = {"purpose": BUILDER_LOCK, "table": database._number(connection)}
            taken = connection.execute(sa.text("SELECT pg_try_advisory_lock(:purpose, :table)"), key)
            if not taken.scalar_one():
                holder = connection.execute(sa.text(_HOLDER), key).scalar() or "somebody"
                raise BadTable(f"{holder} is at work on {database.address}: wait for it")
            stack.pop_all()
            self._connection = connection

    def release(self) -> None:
        """Close its connection, with which the lock ends."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()


#: the locks on servers that this process holds, by the address as it was given
_builders: dict[str, _BuilderLock] = {}

# locks of a server's other databases are listed, too
_HOLDER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = :purpose AND objid = :table AND objsubid = 2 AND granted
    AND datname = current_database()
"""


def _begin_on_file(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
