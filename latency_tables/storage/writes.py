"""What is written to a latency table's database, within a transaction of the caller's. Opens nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import sqlalchemy as sa

from devices.measurement import Failure, Pass
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Given, Network, graph_to_json
from latency_tables.storage import rows, schema


def now() -> str:
    """The time as it is stored: ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def tables(connection: sa.Connection, meta: Mapping[str, str], networks: Sequence[Network]) -> None:
    """All of a new table."""
    schema.metadata.create_all(connection)
    facts = {"format": schema.FORMAT, "schema_version": str(schema.SCHEMA_VERSION), **meta}
    connection.execute(schema.meta.insert(), [{"key": key, "value": facts[key]} for key in facts])
    add_networks(connection, networks)


def set_fact(connection: sa.Connection, key: str, value: str | None) -> None:
    """Replace an entry of `meta`, or remove it for None."""
    connection.execute(schema.meta.delete().where(schema.meta.c.key == key))
    if value is not None:
        connection.execute(schema.meta.insert().values(key=key, value=value))


def add_networks(connection: sa.Connection, networks: Sequence[Network]) -> None:
    """Networks that the table has not, and the operators in them."""
    if networks:
        connection.execute(
            schema.networks.insert(),
            [{"name": one.name, "role": one.role, "graph": graph_to_json(one.graph)} for one in networks],
        )
        _operator_ids(connection, (str(spec) for one in networks for spec in one.graph.specs))


def add_pass(
    connection: sa.Connection,
    network_id: int,
    pass_index: int,
    burst: Pass,
    units: Sequence[tuple[str, Attribution]],
) -> None:
    """One pass of one network, with the time of each unit in it by its text form; a failure is forgotten."""
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
            energy_mj=burst.energy_mj,
            context=json.dumps(asdict(burst.context)),
        )
        .returning(schema.passes.c.id)
    ).scalar_one()
    ids = _operator_ids(connection, (unit for unit, _ in units))
    times = [
        {
            "pass_id": pass_id,
            "position": one.positions[0],
            "positions": ",".join(map(str, one.positions)) if len(one.positions) > 1 else None,
            "operator_id": ids[unit],
            "mean_ms": one.mean_ms,
            "labels": " + ".join(one.labels),
        }
        for unit, one in units
    ]
    if times:
        connection.execute(schema.operator_times.insert(), times)
    _forget_failure(connection, network_id)


def set_failure(connection: sa.Connection, network_id: int, pass_index: int, failure: Failure) -> None:
    """Why a network could not be measured, in place of an earlier reason."""
    _forget_failure(connection, network_id)
    connection.execute(
        schema.failures.insert().values(
            network_id=network_id,
            pass_index=pass_index,
            error=failure.error,
            message=failure.message.replace("\0", "�"),  # which PostgreSQL cannot hold
            failed_at=now(),
        )
    )


def set_given(connection: sa.Connection, figures: Iterable[Given]) -> None:
    """Figures that were not measured for this table, each in place of an earlier one of its unit."""
    for one in figures:
        connection.execute(schema.given.delete().where(schema.given.c.unit == one.unit))
        connection.execute(schema.given.insert().values(asdict(one)))


def _forget_failure(connection: sa.Connection, network_id: int) -> None:
    connection.execute(schema.failures.delete().where(schema.failures.c.network_id == network_id))


def _operator_ids(connection: sa.Connection, keys: Iterable[str]) -> dict[str, int]:
    """The keys of units in the database, by their text form; those that it lacks are added."""
    wanted = list(dict.fromkeys(keys))
    ids = rows.operators(connection)
    if lacking := [{"key": key} for key in wanted if key not in ids]:
        connection.execute(schema.operators.insert(), lacking)
        ids = rows.operators(connection)
    return ids
