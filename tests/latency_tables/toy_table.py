"""Small tables of vectors' logistics, with made-up figures, by the real writer."""

from __future__ import annotations

from devices.measurement import Context, DeviceFacts, Pass, Settings
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Network, Origin
from latency_tables.storage.database import Database
from latency_tables.store import LatencyTable

FACTS = DeviceFacts("local", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
ORIGIN = Origin({"space": "toy", "resolution": 32}, FACTS, Settings(threads=1, cpus=(1,)))
SPECS = [OpSpec("logistic", "float32", ((1, size),), (1, size)) for size in (1, 2, 3)]


def chain(*specs: OpSpec) -> Graph:
    nodes = tuple(Node(spec, (index - 1,)) for index, spec in enumerate(specs))
    return Graph(specs[0].inputs, "float32", nodes, (len(specs) - 1,))


NETWORKS = [
    Network("a", chain(SPECS[0], SPECS[1]), "cover"),
    Network("b", chain(SPECS[2], SPECS[1], SPECS[1]), "cover"),
    Network("c", chain(SPECS[0], SPECS[2]), "anchor"),
]


def burst(
    name: str,
    *,
    samples: tuple[float, ...] = (6.0, 6.0, 6.0),
    started_at: str = "2026-01-02T03:04:05+00:00",
    governor: str | None = None,
    suspect: str | None = None,
    initialisation: float | None = 8.0,
    memory: int | None = None,
    energy: float | None = None,
) -> Pass:
    context = Context(
        FACTS, ORIGIN.settings, started_at, "xnnpack", 2, 2, 0.25, governor=governor, suspect=suspect
    )
    return Pass(
        name, "0" * 64, 0, samples, 1, 0.5, 7.0, initialisation, memory, (), context, energy_mj=energy
    )


def times(*figures: float) -> list[Attribution]:
    return [Attribution((node,), figure, ("Sigmoid (NC)",)) for node, figure in enumerate(figures)]


def fill(table: LatencyTable, index: int = 0) -> None:
    """One pass of every network: each takes 1.5 times as long as its operators."""
    for name, figures in (("a", (1.0, 2.0)), ("b", (3.0, 2.0, 2.0)), ("c", (1.0, 3.0))):
        table.add(name, index, burst(name, samples=(1.5 * sum(figures),) * 3), times(*figures))


def sql(address: str, *statements: str) -> list[tuple[object, ...]]:
    """Statements in a transaction of their own, past the store; the rows of the last."""
    with Database(str(address)).writing() as connection:
        for statement in statements:
            found = connection.exec_driver_sql(statement)
        return [tuple(row) for row in found] if found.returns_rows else []
