"""What is asked of a latency table's database, as values. Opens nothing and writes nothing."""

from __future__ import annotations

import json

import sqlalchemy as sa

from latency_tables.errors import BadTable
from latency_tables.fitting.statistics import Observation
from latency_tables.records import Burst, Given, Network, StoredFailure, graph_from_json
from latency_tables.storage import schema


def tables(connection: sa.Connection) -> bool:
    """Whether there is any table at all, anybody's."""
    return bool(sa.inspect(connection).get_table_names())


def meta(connection: sa.Connection) -> dict[str, str]:
    """What the table says of itself; empty where it is no latency table."""
    inspector = sa.inspect(connection)
    if not inspector.has_table("meta"):
        return {}
    if not {"key", "value"} <= {column["name"] for column in inspector.get_columns("meta")}:
        return {}
    return {str(row[0]): str(row[1]) for row in connection.execute(sa.select(schema.meta))}


def fact(connection: sa.Connection, key: str) -> str | None:
    """One entry of `meta`; None where there is none."""
    query = sa.select(schema.meta.c.value).where(schema.meta.c.key == key)
    return connection.execute(query).scalar_one_or_none()


def refuse_damage(connection: sa.Connection, address: str) -> None:
    """Raise BadTable if an SQLite file's own check finds it damaged."""
    if connection.dialect.name == "sqlite":
        verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if verdict != "ok":
            raise BadTable(f"the latency table {address} is damaged: {verdict}")


def networks(connection: sa.Connection) -> list[Network]:
    """The networks to measure, in the order they were given."""
    found = connection.execute(sa.select(schema.networks).order_by(schema.networks.c.id))
    return [Network(row.name, graph_from_json(row.graph), row.role) for row in found]


def network_id(connection: sa.Connection, name: str) -> int | None:
    """The key of a network; None where there is none of that name."""
    query = sa.select(schema.networks.c.id).where(schema.networks.c.name == name)
    return connection.execute(query).scalar_one_or_none()


def operators(connection: sa.Connection) -> dict[str, int]:
    """The key of every operator and block, by its text form, in the order of the text."""
    found = connection.execute(sa.select(schema.operators))
    return {str(row.key): int(row.id) for row in sorted(found, key=lambda row: str(row.key))}


def failures(connection: sa.Connection) -> list[StoredFailure]:
    """Networks whose last try failed."""
    query = (
        sa.select(schema.failures, schema.networks.c.name)
        .join(schema.networks)
        .order_by(schema.networks.c.id)
    )
    return [
        StoredFailure(row.name, row.pass_index, row.error, row.message, row.failed_at)
        for row in connection.execute(query)
    ]


def bursts(connection: sa.Connection) -> list[Burst]:
    """Every stored pass, by network and pass."""
    query = (
        sa.select(schema.passes, schema.networks.c.name)
        .join(schema.networks)
        .order_by(schema.networks.c.id, schema.passes.c.pass_index)
    )
    return [
        Burst(
            network=row.name,
            pass_index=row.pass_index,
            started_at=row.started_at,
            samples_ms=tuple(map(float, json.loads(row.samples_ms))),
            dropped=row.dropped,
            reference_ms=row.reference_ms,
            context=dict(json.loads(row.context)),
            peak_memory_bytes=row.peak_memory_bytes,
            energy_mj=row.energy_mj,
        )
        for row in connection.execute(query)
    ]


def measured(connection: sa.Connection) -> set[tuple[str, int]]:
    """Which passes are stored: pairs of network and pass index."""
    query = sa.select(schema.networks.c.name, schema.passes.c.pass_index).join(schema.passes)
    return {(str(row.name), int(row.pass_index)) for row in connection.execute(query)}


def known_units(connection: sa.Connection) -> set[str]:
    """The text form of every unit that some stored pass has a time of, or is of, or that is given.

    Operators that a profile did not tell apart, and that do not follow each other, are no unit.
    """
    times = schema.operator_times.c
    profiled = sa.select(schema.operators.c.key, times.positions).join(schema.operator_times).distinct()
    found = {str(key) for key, positions in connection.execute(profiled) if _adjacent(positions)}
    found |= set(map(str, connection.execute(sa.select(schema.given.c.unit)).scalars()))
    alone = sa.select(schema.networks.c.graph).join(schema.passes).where(schema.networks.c.role == "alone")
    for graph in set(connection.execute(alone).scalars()):
        found |= {str(spec) for spec in graph_from_json(graph).specs}
    return found


def _adjacent(positions: str | None) -> bool:
    """Whether a unit's nodes follow each other, as networks are split into units."""
    nodes = list(map(int, positions.split(","))) if positions else [0]
    return nodes == list(range(nodes[0], nodes[0] + len(nodes)))


def observations(connection: sa.Connection) -> list[Observation]:
    """Every operator time."""
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
    return [
        Observation(str(key), str(name), int(index), float(ms))
        for key, name, index, ms in connection.execute(query)
    ]


def given(connection: sa.Connection) -> list[Given]:
    """The figures that were not measured for this table, by the text form of their unit."""
    query = sa.select(
        schema.given.c.unit,
        schema.given.c.latency_ms,
        schema.given.c.std_ms,
        schema.given.c.count,
        schema.given.c.method,
        schema.given.c.exponent,
    )
    figures = [Given(*row) for row in connection.execute(query)]
    return sorted(figures, key=lambda one: one.unit)
