"""A whole latency table in another file, and the digest of a table. Changes and interprets nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from latency_tables.errors import BadTable
from latency_tables.storage import migrations, rows, schema
from latency_tables.storage.database import Database


def copy(address: str, target: Path) -> None:
    """Write a table, in a file or on a server, to an SQLite file, in the state of one moment.

    Raises:
        BadTable: there is no table, or the file cannot be written.
    """
    database = Database(address)
    try:
        if database.path is not None:
            database.back_up(target)
            return
        with _in_memory(database) as found, closing(sqlite3.connect(target)) as new:
            found.backup(new)
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


@contextmanager
def _in_memory(database: Database) -> Iterator[sqlite3.Connection]:
    with database.reading() as connection:
        meta = rows.meta(connection)
        if meta.get("format") != schema.FORMAT:
            raise BadTable(f"{database.address} is a database, but no latency table")
        version = migrations.version(meta.get("schema_version", ""), database.address)
        engine = migrations.migrated_copy(connection, version)
    try:
        with closing(engine.raw_connection()) as pooled:
            driver: object = pooled.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            yield driver
    finally:
        engine.dispose()
