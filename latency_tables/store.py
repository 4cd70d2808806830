"""A latency table on disk: networks, their passes, operator times, failures. Measures nothing itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from devices.measurement import Failure, Pass
from latency_tables import schema
from latency_tables.attribute import Attribution
from latency_tables.errors import BadTable
from latency_tables.ops import OpSpec
from latency_tables.predict import (
    Estimate,
    Observation,
    Prediction,
    Predictor,
    estimates,
    fit_scale,
    network_ms,
)
from latency_tables.records import (
    Burst,
    Network,
    Origin,
    StoredFailure,
    graph_from_json,
    graph_to_json,
    origin_from_meta,
    origin_to_meta,
)


class LatencyTable:
    """One device's latencies per operator, for one kind of networks.

    Every figure is derived from the stored passes, so that a table in the making is one already.
    """

    def __init__(self, address: str, engine: sa.Engine, origin: Origin, created_at: str) -> None:
        self._address = address
        self._engine = engine
        self._origin = origin
        self._created_at = created_at
        self._predictor: Predictor | None = None
        self._networks: list[Network] | None = None

    # -- coming and going

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
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = {
            "format": schema.FORMAT,
            "schema_version": str(schema.SCHEMA_VERSION),
            "created_at": now,
            **origin_to_meta(origin),
        }
        keys = dict.fromkeys(str(spec) for network in networks for spec in network.graph.specs)
        with schema.readable(address), engine.begin() as connection:
            schema.metadata.create_all(connection)
            connection.execute(
                schema.meta.insert(), [{"key": key, "value": value} for key, value in rows.items()]
            )
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
        with schema.readable(address), engine.connect() as connection:
            if not sa.inspect(connection).has_table("meta"):
                raise BadTable(f"{address} is a database, but no latency table")
            if engine.dialect.name == "sqlite":
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if verdict != "ok":
                    raise BadTable(f"the latency table {address} is damaged: {verdict}")
            meta = {str(row.key): str(row.value) for row in connection.execute(sa.select(schema.meta))}
        if meta.get("format") != schema.FORMAT:
            raise BadTable(f"{address} is a database, but no latency table")
        version = meta.get("schema_version", "")
        if version != str(schema.SCHEMA_VERSION):
            raise BadTable(
                f"the latency table {address} has schema version {version or 'unknown'}, and this program "
                f"reads version {schema.SCHEMA_VERSION}: use the program that wrote it, or a newer one"
            )
        return cls(address, engine, origin_from_meta(meta, address), meta.get("created_at", ""))

    @staticmethod
    def exists(address: Path | str) -> bool:
        """Whether something is there: a file that is not empty, or a database that has tables."""
        address = str(address)
        if not schema.is_url(address):
            path = Path(address)
            if not path.exists() or not path.stat().st_size:
                return False
        engine = schema.connect(address)
        with schema.readable(address), engine.connect() as connection:
            return bool(sa.inspect(connection).get_table_names())

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what it is

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
            query = sa.select(schema.networks).order_by(schema.networks.c.id)
            with schema.readable(self._address), self._engine.connect() as connection:
                rows = connection.execute(query).all()
            self._networks = [Network(row.name, graph_from_json(row.graph), row.role) for row in rows]
        return list(self._networks)

    def operators(self) -> list[str]:
        """The text form of every operator the table is to have, measured or not."""
        query = sa.select(schema.operators.c.key).order_by(schema.operators.c.key)
        with schema.readable(self._address), self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    # -- what was measured

    def add(self, network: str, pass_index: int, burst: Pass, attributions: Sequence[Attribution]) -> None:
        """Keep one pass of one network, with what it says of each node; a failure of it is forgotten.

        Raises:
            BadTable: the table has this pass already, or cannot be written.
        """
        specs = {one.name: one.graph.specs for one in self.networks()}.get(network, ())
        with schema.readable(self._address), self._engine.begin() as connection:
            network_id = self._network_id(connection, network)
            pass_id = connection.execute(
                schema.passes.insert()
                .values(
                    network_id=network_id,
                    pass_index=pass_index,
                    started_at=burst.context.started_at,
                    model_sha256=burst.sha256,
                    samples_ms=json.dumps(burst.samples_ms),
                    dropped=burst.dropped,
                    reference_ms=burst.reference_ms,
                    first_inference_ms=burst.first_inference_ms,
                    initialisation_ms=burst.initialisation_ms,
                    peak_memory_bytes=burst.peak_memory_bytes,
                    context=json.dumps(asdict(burst.context)),
                )
                .returning(schema.passes.c.id)
            ).scalar_one()
            if attributions:
                keys = {str(spec) for spec in specs}
                found = connection.execute(
                    sa.select(schema.operators.c.key, schema.operators.c.id).where(
                        schema.operators.c.key.in_(keys)
                    )
                )
                ids = {str(row.key): int(row.id) for row in found}
                connection.execute(
                    schema.operator_times.insert(),
                    [
                        {
                            "pass_id": pass_id,
                            "position": position,
                            "operator_id": ids[str(spec)],
                            "mean_ms": one.mean_ms,
                            "labels": " + ".join(one.labels),
                        }
                        for position, (spec, one) in enumerate(zip(specs, attributions, strict=True))
                    ],
                )
            connection.execute(schema.failures.delete().where(schema.failures.c.network_id == network_id))
        self._predictor = None

    def fail(self, network: str, pass_index: int, failure: Failure) -> None:
        """Note that a network could not be measured; an earlier failure of it is replaced."""
        with schema.readable(self._address), self._engine.begin() as connection:
            network_id = self._network_id(connection, network)
            connection.execute(schema.failures.delete().where(schema.failures.c.network_id == network_id))
            connection.execute(
                schema.failures.insert().values(
                    network_id=network_id,
                    pass_index=pass_index,
                    error=failure.error,
                    message=failure.message,
                    failed_at=datetime.now(UTC).isoformat(timespec="seconds"),
                )
            )

    def _network_id(self, connection: sa.Connection, name: str) -> int:
        query = sa.select(schema.networks.c.id).where(schema.networks.c.name == name)
        found = connection.execute(query).scalar_one_or_none()
        if found is None:
            raise BadTable(f"the latency table {self._address} has no network {name}")
        return int(found)

    def failures(self) -> list[StoredFailure]:
        """Networks whose last try failed."""
        query = (
            sa.select(schema.failures, schema.networks.c.name)
            .join(schema.networks)
            .order_by(schema.networks.c.id)
        )
        with schema.readable(self._address), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            StoredFailure(row.name, row.pass_index, row.error, row.message, row.failed_at) for row in rows
        ]

    def bursts(self) -> list[Burst]:
        """Every stored pass, by network and pass."""
        query = (
            sa.select(schema.passes, schema.networks.c.name)
            .join(schema.networks)
            .order_by(schema.networks.c.id, schema.passes.c.pass_index)
        )
        with schema.readable(self._address), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Burst(
                network=row.name,
                pass_index=row.pass_index,
                started_at=row.started_at,
                samples_ms=tuple(json.loads(row.samples_ms)),
                dropped=row.dropped,
                reference_ms=row.reference_ms,
                context=json.loads(row.context),
            )
            for row in rows
        ]

    def measured(self) -> set[tuple[str, int]]:
        """Which passes are stored: pairs of network and pass index."""
        query = sa.select(schema.networks.c.name, schema.passes.c.pass_index).join(schema.passes)
        with schema.readable(self._address), self._engine.connect() as connection:
            return {(str(row.name), int(row.pass_index)) for row in connection.execute(query)}

    def observations(self) -> list[Observation]:
        """Every operator time in the table."""
        query = (
            sa.select(
                schema.operators.c.key,
                schema.networks.c.name,
                schema.passes.c.pass_index,
                schema.operator_times.c.mean_ms,
            )
            .select_from(schema.operator_times)
            .join(schema.operators)
            .join(schema.passes)
            .join(schema.networks)
        )
        with schema.readable(self._address), self._engine.connect() as connection:
            return [Observation(*row) for row in connection.execute(query)]

    # -- what it says

    def estimates(self) -> dict[str, Estimate]:
        """The figure of each measured operator, by its text form."""
        return estimates(self.observations())

    @property
    def ready(self) -> bool:
        """Whether the table can predict: it has every operator, and anchors for the scale."""
        anchors = {one.name for one in self.networks() if one.role == "anchor"}
        return self.estimates().keys() >= set(self.operators()) and bool(
            anchors & {name for name, _ in self.measured()}
        )

    def predictor(self) -> Predictor:
        """The figures and the scale, ready for many networks; kept until the table grows.

        Raises:
            BadTable: no operator or no anchor network has been measured.
        """
        if self._predictor is None:
            figures = {key: one.latency_ms for key, one in self.estimates().items()}
            raw = Predictor(figures, 1.0, self._address)
            samples: dict[str, list[tuple[float, ...]]] = {}
            for burst in self.bursts():
                samples.setdefault(burst.network, []).append(burst.samples_ms)
            anchors = [one for one in self.networks() if one.role == "anchor" and one.name in samples]
            if not figures or not anchors:
                raise BadTable(
                    f"the latency table {self._address} is not built yet ({len(figures)} operators, "
                    f"{len(anchors)} anchor networks): go on with the `mnas table build` that began it"
                )
            scale = fit_scale(
                [raw.predict(anchor.graph.specs).sum_ms for anchor in anchors],
                [network_ms(samples[anchor.name]) for anchor in anchors],
            )
            self._predictor = Predictor(figures, scale, self._address)
        return self._predictor

    def predict(self, specs: Sequence[OpSpec]) -> Prediction:
        """The latency of a network of these operators.

        Raises:
            MissingOperators: the table has no figure for some of them; it names them.
            BadTable: the table is not built yet.
        """
        return self.predictor().predict(specs)
