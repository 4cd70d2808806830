"""A latency table in its database: made once, then filled pass by pass. Measures nothing itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import sqlalchemy as sa

from devices.measurement import Failure, Pass
from latency_tables.errors import BadTable
from latency_tables.figures import Figure
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.fitting.fit import Measured, figures_of, fit
from latency_tables.fitting.imported import calibration_from_plain, calibration_to_plain
from latency_tables.fitting.joining import join
from latency_tables.fitting.statistics import Observation
from latency_tables.ops import OpSpec
from latency_tables.predict import Prediction, Predictor
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import (
    Burst,
    Given,
    Network,
    Origin,
    StoredFailure,
    origin_from_meta,
    origin_to_meta,
)
from latency_tables.storage import lock, migrations, rows, schema, writes
from latency_tables.storage.database import Database
from latency_tables.units import parse_unit, print_unit

if TYPE_CHECKING:
    import pandas as pd

Value = TypeVar("Value")


class LatencyTable:
    """One device's latencies per operator, for one kind of networks.

    Every figure is derived from the stored passes. The database is complete whenever no process has it open;
    a file whose writer was killed, when it is next opened.
    """

    def __init__(
        self, address: str, database: Database, origin: Origin, created_at: str, old: sa.Engine | None = None
    ) -> None:
        self._given_address = address
        self._database = database
        self._origin = origin
        self._created_at = created_at
        self._old = old
        self._networks: list[Network] | None = None
        self._predictor: Predictor | None = None

    @classmethod
    def create(cls, address: Path | str, origin: Origin, networks: Sequence[Network]) -> Self:
        """Make a table with its networks in one step: a killed process leaves all of it or nothing.

        Args:
            address: the path of a new file, or a database URL: `postgresql://user@host/name`, with
                `?schema=other` for a table in a schema of its own.

        Raises:
            BadTable: something is there already, or it cannot be written.
        """
        address = str(address)
        database = Database(address)
        taken = f"{database.address} exists already: open it, or choose another name"
        if cls.exists(address):
            raise BadTable(taken)
        now = writes.now()
        with database.writing(create=True) as connection:
            if rows.tables(connection):  # made by another process between our look and our turn
                raise BadTable(taken)
            writes.tables(connection, {"created_at": now, **origin_to_meta(origin)}, networks)
        return cls(address, database, origin, now)

    @classmethod
    def open(cls, address: Path | str) -> Self:
        """Open a table. One of an older schema is read as it is, and brought up to date by its next writing.

        Raises:
            BadTable: there is none, or it is foreign, damaged, or of a newer schema. It stays as it is.
        """
        address = str(address)
        database = Database(address)
        old = None
        with database.reading() as connection:
            meta = rows.meta(connection)
            if meta.get("format") != schema.FORMAT:
                raise BadTable(f"{database.address} is a database, but no latency table")
            rows.refuse_damage(connection, database.address)
            version = migrations.version(meta.get("schema_version", ""), database.address)
            if version < schema.SCHEMA_VERSION:
                old = migrations.migrated_copy(connection, version)
                with old.connect() as copy:
                    meta = rows.meta(copy)
        origin = origin_from_meta(meta, database.address)
        return cls(address, database, origin, meta.get("created_at", ""), old)

    @staticmethod
    def exists(address: Path | str) -> bool:
        """Whether something is there: a file that is not empty, or a database or schema that has tables.

        Raises:
            BadTable: a file is there that is no database, its folder is missing, or a server does not answer.
        """
        database = Database(str(address))
        path = database.path
        if path is not None:
            if not path.absolute().parent.is_dir():
                raise BadTable(f"there can be no latency table {path}: there is no folder {path.parent}")
            if not path.exists() or (path.is_file() and not path.stat().st_size):
                return False
        with database.reading() as connection:
            return rows.tables(connection)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
        if self._old is not None:
            self._old.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Path or URL, as it may be printed: without a password."""
        return self._database.address

    @property
    def origin(self) -> Origin:
        """What the table was made for, and where it is measured."""
        return self._origin

    @property
    def created_at(self) -> str:
        """ISO 8601 time in UTC."""
        return self._created_at

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold the right to build the table while the block runs, against every other process.

        Raises:
            BadTable: another process holds it; says which.
        """
        with lock.builder(self._given_address), self._database.held_open():
            yield

    @property
    def reanchored_at(self) -> str | None:
        """ISO 8601 time in UTC of the last anchoring: only passes of anchors since then count; None: all."""
        return self._read(lambda connection: rows.fact(connection, "reanchored_at"))

    def anchor_again(self, iso_time: str) -> None:
        """Let only those passes of anchors count for the calibration that started at this time or later.

        Raises:
            BadTable: it is no ISO 8601 time with its offset from UTC, or the table cannot be written.
        """
        _time(iso_time)
        self._set_fact("reanchored_at", iso_time)

    @property
    def stale(self) -> str | None:
        """Why the table's figures are not to be trusted any more; None: nothing is known against them."""
        return self._read(lambda connection: rows.fact(connection, "stale"))

    def mark_stale(self, reason: str) -> None:
        """Note why the table's figures are not to be trusted any more."""
        self._set_fact("stale", reason)

    def clear_stale(self) -> None:
        """Forget that the table was stale."""
        self._set_fact("stale", None)

    @property
    def given_from(self) -> str | None:
        """Where the given figures are from, in words; None: nobody said, or there are none."""
        return self._read(lambda connection: rows.fact(connection, "given_from"))

    def say_given_from(self, text: str) -> None:
        """Note where the given figures are from."""
        self._set_fact("given_from", text)

    def keep_calibration(self, calibration: Calibration, sizes: Sizes) -> None:
        """Take the calibration of the table that the given figures are from; anchors of its own go before."""
        self._set_fact("calibration", json.dumps(calibration_to_plain(calibration, sizes)))

    def networks(self) -> list[Network]:
        """The networks to measure, in the order they were given."""
        if self._networks is None:
            self._networks = self._read(rows.networks)
        return list(self._networks)

    def add_networks(self, networks: Sequence[Network]) -> None:
        """Add networks to measure; those that are there already stay as they are.

        Raises:
            BadTable: the table has another network of one's name, or cannot be written.
        """
        with self._writing() as connection:
            there = {one.name: one for one in rows.networks(connection)}
            if odd := [one.name for one in networks if there.get(one.name, one) != one]:
                raise BadTable(f"the latency table {self.address} has another network {odd[0]}")
            writes.add_networks(connection, [one for one in networks if one.name not in there])
        self._forget()

    def operators(self) -> list[str]:
        """The text form of every operator the table is to have, measured or not.

        They are those of its cover and anchor networks: what a model from elsewhere has besides is welcome,
        but no table is incomplete for want of it. A table that has no such networks is to have all.
        """
        networks = self.networks()
        own = [one for one in networks if one.role in ("cover", "anchor")] or networks
        return sorted({str(spec) for one in own for spec in one.graph.specs})

    def add(self, network: str, pass_index: int, burst: Pass, attributions: Sequence[Attribution]) -> None:
        """Keep one pass of one network, with what it says of each node; a failure of it is forgotten.

        Args:
            attributions: in any order, all nodes of the network in them once; none for a pass without a
                profile. One of several nodes gives a figure to them as a block.

        Raises:
            BadTable: the table has this pass already, or cannot be written.
            ValueError: the attributions are not of the network's nodes.
        """
        specs = next((one.graph.specs for one in self.networks() if one.name == network), ())
        units = [(print_unit(tuple(specs[node] for node in one.positions)), one) for one in attributions]
        nodes = sorted(node for one in attributions for node in one.positions)
        if nodes and nodes != list(range(len(specs))):
            raise ValueError(f"{network} has {len(specs)} nodes, and the attributions are of {nodes}")
        with self._writing() as connection:
            network_id = self._network_id(connection, network)
            governor = burst.context.governor
            if governor and rows.fact(connection, "governor") is None and not rows.measured(connection):
                writes.set_fact(connection, "governor", governor)
                self._origin = replace(self._origin, governor=governor)
            writes.add_pass(connection, network_id, pass_index, burst, units)
        self._predictor = None

    def fail(self, network: str, pass_index: int, failure: Failure) -> None:
        """Note that a network could not be measured; an earlier failure of it is replaced."""
        with self._writing() as connection:
            writes.set_failure(connection, self._network_id(connection, network), pass_index, failure)

    def failures(self) -> list[StoredFailure]:
        """Networks whose last try failed."""
        return self._read(rows.failures)

    def bursts(self) -> list[Burst]:
        """Every stored pass, by network and pass."""
        return self._read(rows.bursts)

    def measured(self) -> set[tuple[str, int]]:
        """Which passes are stored: pairs of network and pass index."""
        return self._read(rows.measured)

    def missing(self) -> list[str]:
        """The operators without a figure, their own or a block's with them in it, as `operators` has them."""
        found = {str(spec) for unit in self._read(rows.known_units) for spec in parse_unit(unit)}
        return [key for key in self.operators() if key not in found]

    def missing_alone(self) -> list[str]:
        """The operators without a figure of their own, those of blocks included.

        A network in which a block is interrupted needs them.
        """
        found = self._read(rows.known_units)
        return [key for key in self.operators() if key not in found]

    def given(self) -> list[Given]:
        """The figures that were not measured for this table, by the text form of their unit."""
        return self._read(rows.given)

    def add_given(self, figures: Iterable[Given]) -> None:
        """Keep figures that were not measured for this table; an earlier one of the same unit is replaced.

        Raises:
            BadOpSpec: a figure's unit is no text of operators.
            BadTable: the table cannot be written.
        """
        found = [replace(one, unit=print_unit(parse_unit(one.unit))) for one in figures]
        with self._writing() as connection:
            writes.set_given(connection, found)
        self._forget()

    def observations(self) -> list[Observation]:
        """Every operator time in the table."""
        return self._read(rows.observations)

    def figures(self) -> dict[str, Figure]:
        """What the table has for each unit, by its text form, before the calibration; needs no anchors."""
        return figures_of(self.contents()) if self._predictor is None else dict(self._predictor.figures)

    def frame(self) -> pd.DataFrame:
        """One row per unit: see `latency_tables.frame.frame` for the columns and their units."""
        from latency_tables.frame import frame

        return frame(self)

    @property
    def ready(self) -> bool:
        """Whether the table can predict: it has every operator, and anchors measured if it has any."""
        measured = {name for name, _ in self.measured()}
        anchors = [one.name for one in self.networks() if one.role == "anchor"]
        anchored = not anchors or any(name in measured for name in anchors)
        return anchored and not self.missing() and bool(self._read(rows.known_units))

    def predictor(self) -> Predictor:
        """The figures and the scale, ready for many networks; kept until the table grows.

        Raises:
            BadTable: no operator or no anchor network has been measured.
        """
        if self._predictor is None:
            self._predictor = fit(self.contents(), self.address)
        return self._predictor

    def predict(self, specs: Sequence[OpSpec]) -> Prediction:
        """The latency of a network of these operators.

        Raises:
            MissingOperators: the table has no figure for some of them; it names them.
            BadTable: the table is not built yet.
        """
        return self.predictor().predict(specs)

    def contents(self) -> Measured:
        """All that it holds, its passes joined at one speed: what figures and calibration are fitted to."""

        def query(connection: sa.Connection) -> Measured:
            since = rows.fact(connection, "reanchored_at")
            networks = rows.networks(connection)
            anchors = {one.name for one in networks if one.role == "anchor"}
            calibration = rows.fact(connection, "calibration")
            joined = join(rows.bursts(connection), rows.observations(connection), anchors, since)
            return Measured(
                networks,
                joined.samples_ms,
                joined.anchors_ms,
                joined.observations,
                rows.given(connection),
                None if calibration is None else calibration_from_plain(json.loads(calibration)),
            )

        return self._read(query)

    def _network_id(self, connection: sa.Connection, name: str) -> int:
        found = rows.network_id(connection, name)
        if found is None:
            raise BadTable(f"the latency table {self.address} has no network {name}")
        return found

    def _set_fact(self, key: str, value: str | None) -> None:
        with self._writing() as connection:
            writes.set_fact(connection, key, value)
        self._forget()

    def _forget(self) -> None:
        self._networks = None
        self._predictor = None

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._database.writing() as connection:
            version = migrations.version(rows.fact(connection, "schema_version") or "", self.address)
            migrations.migrate(connection, version)
            yield connection
        if self._old is not None:
            self._old.dispose()
            self._old = None

    def _read(self, query: Callable[[sa.Connection], Value]) -> Value:
        if self._old is not None:
            with self._old.connect() as copy:
                return query(copy)
        with self._database.reading() as connection:
            return query(connection)


def _time(iso_time: str) -> datetime:
    """A time as it is stored.

    Raises:
        BadTable: it is none, or one without its offset from UTC.
    """
    try:
        found = datetime.fromisoformat(iso_time)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadTable(f"{iso_time!r} is no time; one is written such as 2026-01-02T03:04:05+00:00")
    return found
