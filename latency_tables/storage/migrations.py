"""From each version of the schema to the next, in order. Knows the schemas of the past, not of today."""

from __future__ import annotations

import json
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import pool

from latency_tables.errors import BadTable
from latency_tables.storage.schema import SCHEMA_VERSION


def version(text: str, address: str) -> int:
    """The version that a table's `meta` tells, one that this program can bring up to date.

    Raises:
        BadTable: it is another; the message says which can be read.
    """
    if text.isdecimal() and 1 <= int(text) <= SCHEMA_VERSION:
        return int(text)
    raise BadTable(
        f"the latency table {address} has schema version {text or 'unknown'}, and this program "
        f"reads versions 1 to {SCHEMA_VERSION}: use the program that wrote it, or a newer one"
    )


def migrate(connection: sa.Connection, start: int) -> None:
    """Bring a table from version `start` up to date, within the connection's transaction."""
    for number in range(start, SCHEMA_VERSION):
        STEPS[number](connection)
        connection.execute(
            sa.text("UPDATE meta SET value = :version WHERE key = 'schema_version'"),
            {"version": str(number + 1)},
        )


def migrated_copy(connection: sa.Connection, start: int) -> sa.Engine:
    """A copy of an older table in memory, brought up to date: how one is read that nobody may change."""
    found = sa.MetaData()
    found.reflect(connection)
    for table in found.tables.values():
        for column in table.columns:
            column.server_default = None  # a server's sequences
    engine = sa.create_engine(
        "sqlite://", poolclass=pool.StaticPool, connect_args={"check_same_thread": False}
    )
    with engine.begin() as copy:
        found.create_all(copy)
        for table in found.sorted_tables:
            rows = [row._asdict() for row in connection.execute(sa.select(table))]
            if rows:
                copy.execute(table.insert(), rows)
        migrate(copy, start)
    return engine


def _to_2(connection: sa.Connection) -> None:
    """Blocks that ran as one, given figures, energy, the governor; unknown times of loading and first run."""
    for statement in _TO_2_SQLITE if connection.dialect.name == "sqlite" else _TO_2_POSTGRESQL:
        connection.exec_driver_sql(statement)
    first = connection.exec_driver_sql("SELECT context FROM passes ORDER BY id LIMIT 1").scalar()
    governor = first and json.loads(first).get("governor")
    if governor:
        connection.execute(
            sa.text("INSERT INTO meta (key, value) VALUES ('governor', :governor)"), {"governor": governor}
        )


_GIVEN_2 = (
    "CREATE TABLE given (unit TEXT NOT NULL, latency_ms FLOAT NOT NULL, std_ms FLOAT, count INTEGER, "
    "method VARCHAR(16) NOT NULL, exponent FLOAT NOT NULL, PRIMARY KEY (unit))"
)
# SQLite cannot drop NOT NULL: the table is made anew, and with it the one that refers to it
_TO_2_SQLITE = (
    "CREATE TABLE passes_2 (id INTEGER NOT NULL, network_id INTEGER NOT NULL, pass_index INTEGER NOT NULL, "
    "started_at VARCHAR(40) NOT NULL, model_sha256 VARCHAR(64) NOT NULL, samples_ms TEXT NOT NULL, "
    "dropped INTEGER NOT NULL, reference_ms FLOAT, first_inference_ms FLOAT, initialisation_ms FLOAT, "
    "peak_memory_bytes BIGINT, energy_mj FLOAT, context TEXT NOT NULL, PRIMARY KEY (id), "
    "UNIQUE (network_id, pass_index), FOREIGN KEY(network_id) REFERENCES networks (id))",
    "INSERT INTO passes_2 SELECT id, network_id, pass_index, started_at, model_sha256, samples_ms, dropped, "
    "reference_ms, first_inference_ms, initialisation_ms, peak_memory_bytes, NULL, context FROM passes",
    "CREATE TABLE operator_times_2 (pass_id INTEGER NOT NULL, position INTEGER NOT NULL, positions TEXT, "
    "operator_id INTEGER NOT NULL, mean_ms FLOAT NOT NULL, labels TEXT NOT NULL, "
    "PRIMARY KEY (pass_id, position), FOREIGN KEY(pass_id) REFERENCES passes_2 (id), "
    "FOREIGN KEY(operator_id) REFERENCES operators (id))",
    "INSERT INTO operator_times_2 SELECT pass_id, position, NULL, operator_id, mean_ms, labels "
    "FROM operator_times",
    "DROP TABLE operator_times",
    "DROP TABLE passes",
    "ALTER TABLE passes_2 RENAME TO passes",
    "ALTER TABLE operator_times_2 RENAME TO operator_times",
    _GIVEN_2,
)
_TO_2_POSTGRESQL = (
    "ALTER TABLE networks ALTER COLUMN name TYPE TEXT",
    "ALTER TABLE passes ALTER COLUMN first_inference_ms DROP NOT NULL",
    "ALTER TABLE passes ALTER COLUMN initialisation_ms DROP NOT NULL",
    "ALTER TABLE passes ADD COLUMN energy_mj FLOAT",
    "ALTER TABLE operator_times ADD COLUMN positions TEXT",
    _GIVEN_2,
)

#: from the version that is the key to the next
STEPS: dict[int, Callable[[sa.Connection], None]] = {1: _to_2}
