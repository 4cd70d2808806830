"""A latency table on disk: made once with its networks, then filled pass by pass. Measures nothing itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

import sqlalchemy as sa

from devices.measurement import Failure, Pass
from latency_tables import rows, schema
from latency_tables.attribute import Attribution
from latency_tables.errors import BadTable
from latency_tables.fit import Measured, fit
from latency_tables.ops import OpSpec
from latency_tables.predict import Prediction, Predictor
from latency_tables.records import (
    Burst,
    Network,
    Origin,
    StoredFailure,
    graph_to_json,
    origin_from_meta,
    origin_to_meta,
)
from latency_tables.statistics import Estimate, Observation, estimates

Value = TypeVar("Value")


class LatencyTable:
    """One device's latencies per operator, for one kind of networks.

    Every figure is derived from the stored passes; the file is complete whenever no write is under way.
    """

    def __init__(self, address: str, engine: sa.Engine, origin: Origin, created_at: str) -> None:
        self._address = address
        self._engine = engine
        self._origin = origin
        self._created_at = created_at
        self._networks: list[Network] | None = None
        self._predictor: Predictor | None = None

    @classmethod
    def create(cls, address: Path | str, origin: Origin, networks: Sequence[Network]) -> Self:
        """Make a table with its networks in one step: a killed process leaves all of it or nothing.

        Args:
            address: the path of a new file, or a database URL.

        Raises:
            BadTable: something is there already, or it cannot be written.
        """
        address = str(address)
        if cls.exists(address):
            raise BadTable(f"{address} exists already: open it, or choose another name")
        engine = schema.connect(address, create=True)
        now = _now()
        meta = {
            "format": schema.FORMAT,
            "schema_version": str(schema.SCHEMA_VERSION),
            "created_at": now,
            **origin_to_meta(origin),
        }
        keys = dict.fromkeys(str(spec) for network in networks for spec in network.graph.specs)
        with schema.writing(address), engine.begin() as connection:
            schema.metadata.create_all(connection)
            connection.execute(schema.meta.insert(), [{"key": k, "value": v} for k, v in meta.items()])
            if networks:
                connection.execute(
                    schema.networks.insert(),
                    [
                        {"name": one.name, "role": one.role, "graph": graph_to_json(one.graph)}
                        for one in networks
                    ],
                )
                connection.execute(schema.operators.insert(), [{"key": key} for key in keys])
        return cls(address, engine, origin, now)

    @classmethod
    def open(cls, address: Path | str) -> Self:
        """Open a table.

        Raises:
            BadTable: there is none, or it is foreign, damaged, or of a newer schema. The file stays as it is.
        """
        address = str(address)
        engine = schema.connect(address)
        with schema.reading(address), engine.connect() as connection:
            meta = rows.meta(connection)
            if meta.get("format") != schema.FORMAT:
                raise BadTable(f"{address} is a database, but no latency table")
            schema.refuse_damage(connection, address)
        version = meta.get("schema_version", "")
        if version != str(schema.SCHEMA_VERSION):
            raise BadTable(
                f"the latency table {address} has schema version {version or 'unknown'}, and this program "
                f"reads version {schema.SCHEMA_VERSION}: use the program that wrote it, or a newer one"
            )
        return cls(address, engine, origin_from_meta(meta, address), meta.get("created_at", ""))

    @staticmethod
    def exists(address: Path | str) -> bool:
        """Whether something is there: a file that is not empty, or a database that has tables.

        Raises:
            BadTable: a file is there that is no database, or its folder is missing.
        """
        address = str(address)
        if not schema.is_url(address):
            path = Path(address)
            if not path.absolute().parent.is_dir():
                raise BadTable(f"there can be no latency table {path}: there is no folder {path.parent}")
            if not path.exists() or (path.is_file() and not path.stat().st_size):
                return False
        engine = schema.connect(address)
        with schema.reading(address), engine.connect() as connection:
            return bool(sa.inspect(connection).get_table_names())

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Path or URL."""
        return self._address

    @property
    def origin(self) -> Origin:
        """What the table was made for, and where it is measured."""
        return self._origin

    @property
    def created_at(self) -> str:
        """ISO 8601 time in UTC."""
        return self._created_at

    def networks(self) -> list[Network]:
        """The networks to measure, in the order they were given."""
        if self._networks is None:
            self._networks = self._read(rows.networks)
        return list(self._networks)

    def operators(self) -> list[str]:
        """The text form of every operator the table is to have, measured or not."""
        return list(self._read(rows.operators))

    def add(self, network: str, pass_index: int, burst: Pass, attributions: Sequence[Attribution]) -> None:
        """Keep one pass of one network, with what it says of each node; a failure of it is forgotten.

        Raises:
            BadTable: the table has this pass already, or cannot be written.
        """
        specs = {one.name: one.graph.specs for one in self.networks()}.get(network, ())
        with schema.writing(self._address), self._engine.begin() as connection:
            network_id = self._network_id(connection, network)
            pass_id = connection.execute(
                schema.passes.insert()
                .values(
                    network_id=network_id,
                    pass_index=pass_index,
                    started_at=burst.context.started_at,
                    model_sha256=burst.sha256,
                    samples_ms=json.dumps(burst.distribution_ms),
                    dropped=burst.dropped,
                    reference_ms=burst.reference_ms,
                    first_inference_ms=burst.first_inference_ms,
                    initialisation_ms=burst.initialisation_ms,
                    peak_memory_bytes=burst.peak_memory_bytes,
                    context=json.dumps(asdict(burst.context)),
                )
                .returning(schema.passes.c.id)
            ).scalar_one()
            ids = rows.operators(connection)
            times = [
                {
                    "pass_id": pass_id,
                    "position": position,
                    "operator_id": ids[str(spec)],
                    "mean_ms": one.mean_ms,
                    "labels": " + ".join(one.labels),
                }
                for position, (spec, one) in enumerate(zip(specs, attributions, strict=True))
            ]
            connection.execute(schema.operator_times.insert(), times)
            connection.execute(schema.failures.delete().where(schema.failures.c.network_id == network_id))
        self._predictor = None

    def fail(self, network: str, pass_index: int, failure: Failure) -> None:
        """Note that a network could not be measured; an earlier failure of it is replaced."""
        with schema.writing(self._address), self._engine.begin() as connection:
            network_id = self._network_id(connection, network)
            connection.execute(schema.failures.delete().where(schema.failures.c.network_id == network_id))
            connection.execute(
                schema.failures.insert().values(
                    network_id=network_id,
                    pass_index=pass_index,
                    error=failure.error,
                    message=failure.message,
                    failed_at=_now(),
                )
            )

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
        """The operators without a figure, in the order of `operators`."""
        found = self._read(rows.profiled)
        return [key for key in self.operators() if key not in found]

    def observations(self) -> list[Observation]:
        """Every operator time in the table."""
        return self._read(rows.observations)

    def estimates(self) -> dict[str, Estimate]:
        """What the profile says of each measured operator, by its text form."""
        return estimates(self.observations())

    @property
    def ready(self) -> bool:
        """Whether the table can predict: it has every operator, and anchors for the scale."""
        measured = {name for name, _ in self.measured()}
        anchored = any(one.role == "anchor" and one.name in measured for one in self.networks())
        return anchored and not self.missing()

    def predictor(self) -> Predictor:
        """The figures and the scale, ready for many networks; kept until the table grows.

        Raises:
            BadTable: no operator or no anchor network has been measured.
        """
        if self._predictor is None:
            self._predictor = self._make_predictor()
        return self._predictor

    def predict(self, specs: Sequence[OpSpec]) -> Prediction:
        """The latency of a network of these operators.

        Raises:
            MissingOperators: the table has no figure for some of them; it names them.
            BadTable: the table is not built yet.
        """
        return self.predictor().predict(specs)

    def _make_predictor(self) -> Predictor:
        samples: dict[str, list[tuple[float, ...]]] = {}
        for burst in self.bursts():
            samples.setdefault(burst.network, []).append(burst.samples_ms)
        return fit(Measured(self.networks(), samples, samples, self.observations()), self._address)

    def _network_id(self, connection: sa.Connection, name: str) -> int:
        found = rows.network_id(connection, name)
        if found is None:
            raise BadTable(f"the latency table {self._address} has no network {name}")
        return found

    def _read(self, query: Callable[[sa.Connection], Value]) -> Value:
        with schema.reading(self._address), self._engine.connect() as connection:
            return query(connection)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
