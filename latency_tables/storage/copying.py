"""A whole latency table in another file, and the digest of a table. Changes and interprets nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from latency_tables.errors import BadTable
from latency_tables.storage import migrations, rows, schema
from latency_tables.storage.database import Database


def copy(address: str, target: Path | str) -> None:
    """Write a table, in a file or on a server, to an SQLite file or a URL, in the state of one moment.

    Args:
        target: the path of a file, or a URL without tables: that is filled in one transaction.

    Raises:
        BadTable: there is no table, or the target has one or cannot be written.
    """
    database, new = Database(address), Database(str(target))
    if new.path is None:
        with current(database) as old, new.writing(create=True) as connection:
            if rows.tables(connection):
                raise BadTable(f"{new.address} exists already: choose another name")
            _fill(old, connection)
        return
    try:
        if database.path is not None:
            database.back_up(new.path)
            return
        with _in_memory(database) as found, closing(sqlite3.connect(new.path)) as file:
            found.backup(file)
    except sqlite3.Error as error:
        raise BadTable(f"cannot copy {database.address} to {target}: {error}") from error


def digest(address: str) -> str:
    """Hexadecimal SHA-256 of a file's content, or of the rows of a table on a server.

    A file whose last writer was killed is made whole first.

    Raises:
        BadTable: there is no such file or table, or it cannot be read.
    """
    database = Database(address)
    if database.path is None:
        with _in_memory(database) as found:
            return hashlib.sha256("\n".join(found.iterdump()).encode()).hexdigest()
    with database.reading() as connection:
        connection.exec_driver_sql("SELECT name FROM sqlite_master")
    with database.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fill(old: sa.Connection, new: sa.Connection) -> None:
    """All rows under their own numbers, on a server; those that come later get later ones."""
    schema.metadata.create_all(new)
    for table in schema.metadata.sorted_tables:
        found = [row._asdict() for row in old.execute(sa.select(table))]
        if found:
            new.execute(table.insert(), found)
        if found and "id" in table.c:
            sequence = sa.func.pg_get_serial_sequence(table.name, "id")
            new.execute(sa.select(sa.func.setval(sequence, max(row["id"] for row in found))))


@contextmanager
def current(database: Database) -> Iterator[sa.Connection]:
    """A table's rows in today's schema, whichever they are stored in.

    Raises:
        BadTable: there is no table, or one of a newer schema.
    """
    with database.reading() as connection:
        if _version(connection, database) == schema.SCHEMA_VERSION:
            yield connection
            return
    with _migrated(database) as engine, engine.connect() as connection:
        yield connection


@contextmanager
def _migrated(database: Database) -> Iterator[sa.Engine]:
    """A copy of a table in memory, in today's schema."""
    with database.reading() as connection:
        engine = migrations.migrated_copy(connection, _version(connection, database))
    try:
        yield engine
    finally:
        engine.dispose()


def _version(connection: sa.Connection, database: Database) -> int:
    meta = rows.meta(connection)
    if meta.get("format") != schema.FORMAT:
        raise BadTable(f"{database.address} is a database, but no latency table")
    return migrations.version(meta.get("schema_version", ""), database.address)


@contextmanager
def _in_memory(database: Database) -> Iterator[sqlite3.Connection]:
    with _migrated(database) as engine, closing(engine.raw_connection()) as pooled:
        driver: object = pooled.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        yield driver
