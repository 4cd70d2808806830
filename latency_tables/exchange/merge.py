"""Joins tables of one origin into a new one: two half-built ones, two labs' runs. Measures nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from latency_tables.errors import BadTable
from latency_tables.exchange.whole import refuse_taken, whole
from latency_tables.records import Origin
from latency_tables.storage import rows, schema
from latency_tables.storage.copying import current
from latency_tables.storage.database import Database
from latency_tables.store import LatencyTable


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merged table holds.

    Attributes:
        passes: of networks, those that several tables had counted once.
        repeated: passes that an earlier table had already.
        given: figures that were not measured.
    """

    tables: int
    networks: int
    passes: int
    repeated: int
    given: int


def origin_differences(first: Origin, second: Origin) -> dict[str, str]:
    """What differs between two tables' origins: by its name, a line that tells both."""
    found = {
        name: f"{name} is {second.purpose.get(name)!r}, the first table's is {first.purpose.get(name)!r}"
        for name in dict.fromkeys((*first.purpose, *second.purpose))
        if first.purpose.get(name) != second.purpose.get(name)
    }
    for line in first.differences(second.facts, second.settings, second.governor):
        found[line.partition(" ")[0]] = line.replace("the table's", "the first table's")
    return found


def refuse_differences(tables: Sequence[LatencyTable], across: Collection[str] = ()) -> None:
    """Raise BadTable, naming what differs, unless all tables are of the first one's origin.

    Args:
        across: names of what may differ.
    """
    first = tables[0]
    seen: set[str] = set()
    for other in tables[1:]:
        found = origin_differences(first.origin, other.origin)
        seen |= set(found)
        lines = [line for name, line in found.items() if name not in across]
        if lines:
            raise BadTable(
                f"{other.address} was measured under other conditions than {first.address}: "
                f"{'; '.join(lines)}. Only tables of one origin can be joined; what may differ is named by "
                "--across"
            )
    if odd := sorted(set(across) - seen):
        raise BadTable(
            f"the tables do not differ in {', '.join(odd)}; they differ in "
            f"{', '.join(sorted(seen)) or 'nothing'}"
        )


def merge(addresses: Sequence[str], output: str, across: Collection[str] = ()) -> MergeReport:
    """Make a new table of all that others hold; they stay as they are.

    A pass that several tables hold counts once. Networks are the same when their operators and role are; of
    two different ones of one name the later gets another. Of given figures of one unit the first table's
    is kept. The new table is stale where one of the others is, and was anchored when the last of them was.

    Args:
        addresses: files or URLs, two or more; the first is the one whose origin the new table gets.
        output: a new file, or a URL without tables.
        across: names of what may differ between origins.

    Raises:
        BadTable: one is no table, origins differ, or the output exists or cannot be written: nothing is left.
    """
    if len(addresses) < 2:
        raise BadTable(f"{len(addresses)} table(s) to merge; it takes two or more")
    refuse_taken(output)
    with ExitStack() as stack:
        tables = [stack.enter_context(LatencyTable.open(address)) for address in addresses]
        refuse_differences(tables, across)
        parts = []
        for address in addresses:
            with current(Database(address)) as connection:
                parts.append(_Part(connection))
    joined = _Joined(parts)
    with whole(output) as place, Database(place).writing(create=True) as connection:
        if rows.tables(connection):  # made by another process between our look and our turn
            refuse_taken(output)
        joined.write(connection)
    return MergeReport(
        tables=len(addresses),
        networks=len(joined.networks),
        passes=len(joined.passes),
        repeated=joined.repeated,
        given=len(joined.given),
    )


Row = dict[str, Any]


class _Part:
    """All rows of one table, with names in place of its numbers."""

    def __init__(self, connection: sa.Connection) -> None:
        self.meta = rows.meta(connection)
        networks = _rows(connection, schema.networks)
        names = {row.pop("id"): row["name"] for row in networks}
        operators = {row["id"]: row["key"] for row in _rows(connection, schema.operators)}
        self.networks = networks
        self.operators = list(operators.values())
        self.passes = _rows(connection, schema.passes)
        times: dict[int, list[Row]] = {row["id"]: [] for row in self.passes}
        for row in _rows(connection, schema.operator_times):
            row["operator"] = operators[row.pop("operator_id")]
            times[row.pop("pass_id")].append(row)
        for row in self.passes:
            row["network"] = names[row.pop("network_id")]
            row["times"] = times[row.pop("id")]
        self.given = _rows(connection, schema.given)
        self.failures = [
            {**row, "network": names[row.pop("network_id")]} for row in _rows(connection, schema.failures)
        ]


class _Joined:
    """The rows of several tables as those of one."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self.networks: dict[tuple[str, str, int], Row] = {}
        self.passes: dict[tuple[str, str, str, str], Row] = {}
        self.repeated = 0
        self.given: dict[str, Row] = {}
        self.failures: dict[str, Row] = {}
        self.operators = dict.fromkeys(key for part in parts for key in part.operators)
        self.meta = _meta([part.meta for part in parts], [part.meta for part in parts if part.given])
        names: list[dict[str, str]] = []
        for part in parts:
            alike = Counter[tuple[str, str]]()  # within a table networks stay apart that have all in common
            called = {}
            for row in part.networks:
                called[row["name"]] = self._add_network(row, alike[row["graph"], row["role"]])
                alike[row["graph"], row["role"]] += 1
            names.append(called)
            for row in part.given:
                self.given.setdefault(row["unit"], row)
        # passes of a network are numbered in the order of time
        for place in sorted(range(len(parts)), key=lambda place: _began(parts[place])):
            self._add_passes(parts[place], names[place])
        measured = {row["network"] for row in self.passes.values()}
        for part, called in zip(parts, names, strict=True):
            for row in part.failures:
                if called[row["network"]] not in measured:
                    self.failures[called[row["network"]]] = {**row, "network": called[row["network"]]}

    def _add_network(self, row: Row, number: int) -> str:
        key = (row["graph"], row["role"], number)
        if key not in self.networks:
            taken = {one["name"] for one in self.networks.values()}
            name, copy = row["name"], 2
            while name in taken:
                name, copy = f"{row['name']}~{copy}", copy + 1
            self.networks[key] = {**row, "name": name}
        return str(self.networks[key]["name"])

    def _add_passes(self, part: _Part, names: dict[str, str]) -> None:
        fresh = {}
        for row in part.passes:
            key = (names[row["network"]], row["started_at"], row["model_sha256"], row["samples_ms"])
            if key in self.passes:
                self.repeated += 1
            else:
                fresh[key] = {**row, "network": key[0]}
        taken = {(row["network"], row["pass_index"]) for row in self.passes.values()}
        # one number for all networks: what was one pass over them stays one
        shift = 0
        if any((row["network"], row["pass_index"]) in taken for row in fresh.values()):
            shift = 1 + max(index for _, index in taken)
        for key, row in fresh.items():
            self.passes[key] = {**row, "pass_index": row["pass_index"] + shift}

    def write(self, connection: sa.Connection) -> None:
        """Make the tables and put everything there, in the connection's transaction."""
        schema.metadata.create_all(connection)
        _insert(connection, schema.meta, [{"key": key, "value": value} for key, value in self.meta.items()])
        _insert(connection, schema.networks, list(self.networks.values()))
        _insert(connection, schema.operators, [{"key": key} for key in self.operators])
        networks = {row["name"]: row["id"] for row in _rows(connection, schema.networks)}
        operators = {row["key"]: row["id"] for row in _rows(connection, schema.operators)}
        times = []
        for row in sorted(self.passes.values(), key=lambda row: (row["pass_index"], row["started_at"])):
            own = {key: value for key, value in row.items() if key not in ("network", "times")}
            pass_id = connection.execute(
                schema.passes.insert()
                .values(network_id=networks[row["network"]], **own)
                .returning(schema.passes.c.id)
            ).scalar_one()
            times += [
                {
                    **{key: value for key, value in one.items() if key != "operator"},
                    "pass_id": pass_id,
                    "operator_id": operators[one["operator"]],
                }
                for one in row["times"]
            ]
        _insert(connection, schema.operator_times, times)
        _insert(connection, schema.given, list(self.given.values()))
        _insert(
            connection,
            schema.failures,
            [
                {
                    "network_id": networks[name],
                    **{key: value for key, value in row.items() if key != "network"},
                }
                for name, row in self.failures.items()
            ],
        )


def _meta(parts: Sequence[dict[str, str]], given: Sequence[dict[str, str]]) -> dict[str, str]:
    joined = {**parts[0], "schema_version": str(schema.SCHEMA_VERSION)}
    if given and "calibration" in given[0]:
        joined["calibration"] = given[0]["calibration"]
    if said := list(dict.fromkeys(part["given_from"] for part in given if "given_from" in part)):
        joined["given_from"] = "; ".join(said)
    joined["created_at"] = min(part.get("created_at", "") for part in parts)
    if len({part.get("calibration") for part in given}) > 1:
        raise BadTable(
            "the tables' given figures are from tables of different calibrations: they cannot be joined"
        )
    if anchored := [part["reanchored_at"] for part in parts if "reanchored_at" in part]:
        joined["reanchored_at"] = max(anchored, key=datetime.fromisoformat)
    if stale := list(dict.fromkeys(part["stale"] for part in parts if "stale" in part)):
        joined["stale"] = "; ".join(stale)
    return joined


def _began(part: _Part) -> str:
    return min((str(row["started_at"]) for row in part.passes), default="")


def _rows(connection: sa.Connection, table: sa.Table) -> list[Row]:
    order = table.c.id if "id" in table.c else sa.text("1")
    return [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(order))]


def _insert(connection: sa.Connection, table: sa.Table, found: Sequence[Row]) -> None:
    if found:
        connection.execute(table.insert(), found)
