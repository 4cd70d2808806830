"""The tables of a latency table's database, and how to connect to it. Knows no rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, pool
from sqlalchemy.exc import SQLAlchemyError

from latency_tables.errors import BadOpSpec, BadTable

#: `meta` names the format and its version, so that foreign and newer files are told apart from broken ones
FORMAT = "mnas latency table"
SCHEMA_VERSION = 1
#: seconds a writer waits for another one
BUSY_TIMEOUT_S = 30.0
_SQLITE_MAGIC = b"SQLite format 3\x00"

metadata = sa.MetaData()

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
networks = sa.Table(
    "networks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("graph", sa.Text, nullable=False),
)
operators = sa.Table(
    "operators",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
)
passes = sa.Table(
    "passes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("network_id", sa.ForeignKey("networks.id"), nullable=False),
    sa.Column("pass_index", sa.Integer, nullable=False),
    sa.Column("started_at", sa.String(40), nullable=False),
    sa.Column("model_sha256", sa.String(64), nullable=False),
    sa.Column("samples_ms", sa.Text, nullable=False),
    sa.Column("dropped", sa.Integer, nullable=False),
    sa.Column("reference_ms", sa.Float),
    sa.Column("first_inference_ms", sa.Float, nullable=False),
    sa.Column("initialisation_ms", sa.Float, nullable=False),
    sa.Column("peak_memory_bytes", sa.BigInteger),
    sa.Column("context", sa.Text, nullable=False),
    sa.UniqueConstraint("network_id", "pass_index"),
)
operator_times = sa.Table(
    "operator_times",
    metadata,
    sa.Column("pass_id", sa.ForeignKey("passes.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("operator_id", sa.ForeignKey("operators.id"), nullable=False),
    sa.Column("mean_ms", sa.Float, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
)
failures = sa.Table(
    "failures",
    metadata,
    sa.Column("network_id", sa.ForeignKey("networks.id"), primary_key=True),
    sa.Column("pass_index", sa.Integer, nullable=False),
    sa.Column("error", sa.String(64), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("failed_at", sa.String(40), nullable=False),
)


def is_url(address: str) -> bool:
    """Whether a table's address is a database URL rather than the path of a file."""
    return "://" in address


def connect(address: str, *, create: bool = False) -> sa.Engine:
    """An engine for a path or a database URL; SQLite files are written through to the disk at each commit.

    Raises:
        BadTable: there is no such file, or it is no SQLite file.
    """
    if is_url(address):
        return sa.create_engine(address)
    path = Path(address)
    if not create:
        _check_file(path)
    url = sa.URL.create("sqlite", database=str(path))
    # no pool: no connection outlives its use, so that the file can be copied and locked by others
    engine = sa.create_engine(url, poolclass=pool.NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE_MAGIC))
    except FileNotFoundError:
        raise BadTable(f"there is no latency table {path}: make one with `mnas table build`") from None
    except OSError as error:
        raise BadTable(f"cannot read the latency table {path}: {error.strerror}") from error
    if start != _SQLITE_MAGIC:
        what = "is empty" if not start else "is not an SQLite file"
        raise BadTable(f"{path} {what}, so it is no latency table: make one with `mnas table build`")


def _on_connect(connection: Any, _record: Any) -> None:
    # the driver's own transactions leave CREATE TABLE outside; SQLAlchemy's BEGIN below takes it in
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _on_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def refuse_damage(connection: sa.Connection, address: str) -> None:
    """Raise BadTable if an SQLite file's own check finds it damaged."""
    if connection.dialect.name == "sqlite":
        verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if verdict != "ok":
            raise BadTable(f"the latency table {address} is damaged: {verdict}")


@contextmanager
def writing(address: str) -> Iterator[None]:
    """Turn the database's errors into `BadTable`: full disks, rights that lack, locks that never end."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadTable(f"the latency table {address} cannot be used: {cause}") from error


@contextmanager
def reading(address: str) -> Iterator[None]:
    """As `writing`, and values that no table would hold become `BadTable` too: the file is damaged."""
    try:
        with writing(address):
            yield
    except (ValueError, KeyError, TypeError, IndexError, BadOpSpec) as error:
        raise BadTable(f"the latency table {address} is damaged: {error!r}") from error
