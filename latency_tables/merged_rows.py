"""Parts rows of a profile that add up operators of several partitions. Knows no file and no device.

Where a delegate runs a network in several partitions, `benchmark_model` names the operators within each by
their label and their place in it, and adds up those of one name: `Delegate/Add (ND):3`, called 4 times in a
run, is the fourth operator of four partitions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod

from devices.measurement import OperatorTime
from latency_tables import labels
from latency_tables.errors import BadTable
from latency_tables.ops import Graph
from latency_tables.partitions import Subset

#: ways in which a partition's operators may be the rows that are tried, and of all partitions together
WAYS, COMBINATIONS = 64, 4096

#: for each node of a partition the rows that it ran as
Way = tuple[tuple[int, tuple[OperatorTime, ...]], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One operator's time."""

    node: int
    mean_ms: float
    labels: tuple[str, ...]


def are_merged(rows: Sequence[OperatorTime]) -> bool:
    """Whether some rows add up several operators."""
    return any((row.times_called or 0) > 1 and labels.place(row) is not None for row in rows)


def parted(
    graph: Graph, cut: Sequence[Subset], rows: Sequence[OperatorTime]
) -> tuple[list[Part], tuple[str, ...]]:
    """The times that the rows tell of single operators, and why they tell none of the others.

    An operator has a time where its row is its own, or where all operators that the row adds up are equal.

    Args:
        cut: the partitions, in the order in which they run.

    Raises:
        BadTable: the rows do not fit the network's operators.
    """
    own = [row for row in rows if not row.delegated]
    left = [index for subset in cut if not subset.delegated for index in subset.nodes]
    if len(own) != len(left) or not all(
        labels.fits(graph.nodes[index].spec, row) for index, row in zip(left, own, strict=True)
    ):
        raise BadTable(
            f"the {len(own)} rows of the runtime's own operators are not the {len(left)} that the network "
            "leaves to it: its times cannot be attributed"
        )
    parts = [Part(index, row.mean_ms, (row.label,)) for index, row in zip(left, own, strict=True)]
    places: dict[int, list[OperatorTime]] = defaultdict(list)
    for row in rows:
        if row.delegated:
            at = labels.place(row)
            if at is None:
                raise BadTable(f"row {row.index}, {row.label!r}, does not tell its place in its partition")
            places[at].append(row)
    ways = []
    for subset in cut:
        if subset.delegated:
            found = list(islice(_ways(graph, subset.nodes, 0, places), WAYS))
            if not found:
                raise BadTable(
                    f"no rows fit the partition of operators {subset.nodes[0]} to {subset.nodes[-1]}: its "
                    "times cannot be attributed"
                )
            ways.append(found)
    taken = _agreed(ways, rows)
    told, reasons = _shared(graph, taken, rows)
    return parts + told, reasons


def _ways(
    graph: Graph, nodes: Sequence[int], at: int, places: Mapping[int, Sequence[OperatorTime]]
) -> Iterator[Way]:
    """Every way in which the nodes of a partition, from a place in it, may be the rows."""
    if not nodes:
        yield ()
        return
    index, spec = nodes[0], graph.nodes[nodes[0]].spec
    for preparation in places.get(at, ()):
        if labels.prepares(spec, preparation):
            for row in places.get(at + 1, ()):
                if labels.fits(spec, row):
                    for rest in _ways(graph, nodes[1:], at + 2, places):
                        yield ((index, (preparation, row)), *rest)
    fitting = [row for row in places.get(at, ()) if labels.fits(spec, row)]
    for row in [row for row in fitting if labels.likely(spec, row)] or fitting:
        for rest in _ways(graph, nodes[1:], at + 1, places):
            yield ((index, (row,)), *rest)


def _agreed(
    ways: Sequence[Sequence[Way]], rows: Sequence[OperatorTime]
) -> dict[int, tuple[OperatorTime, ...]]:
    """By node its rows, where all ways that agree with how often each row was called say the same."""
    called = Counter({row.index: row.times_called or 0 for row in rows if row.delegated})
    possible: list[Way] = []
    if prod(map(len, ways)) <= COMBINATIONS:
        for each in product(*ways):
            whole = tuple(pair for way in each for pair in way)
            if Counter(row.index for _, taken in whole for row in taken) == +called:
                possible.append(whole)
    if not possible:  # calls are counted in all runs and rounded: then only what is beyond doubt
        possible = [
            tuple(pair for way in ways for pair in way[0] if all(pair in other for other in way)),
        ]
    first = dict(possible[0])
    return {
        index: rows for index, rows in first.items() if all(dict(way).get(index) == rows for way in possible)
    }


def _shared(
    graph: Graph, taken: Mapping[int, tuple[OperatorTime, ...]], rows: Sequence[OperatorTime]
) -> tuple[list[Part], tuple[str, ...]]:
    users: dict[int, list[int]] = defaultdict(list)
    for index, own in taken.items():
        for row in own:
            users[row.index].append(index)
    unclear = {}
    for row in rows:
        if not row.delegated:
            continue
        nodes = users[row.index]
        kinds = {graph.nodes[index].spec for index in nodes}
        if len(nodes) != (row.times_called or 1):
            unclear[row.index] = "of which not all are known"
        elif len(kinds) > 1:
            unclear[row.index] = f"{len(kinds)} different ones among them"
    parts = []
    for index, own in taken.items():
        if not any(row.index in unclear for row in own):
            mean_ms = sum(row.mean_ms / len(users[row.index]) for row in own)
            parts.append(Part(index, mean_ms, tuple(row.label for row in own)))
    by_index = {row.index: row for row in rows}
    reasons = tuple(
        f"row {number} of the profile, {by_index[number].label!r}, adds up {by_index[number].times_called} "
        f"operators of as many partitions, {why}"
        for number, why in unclear.items()
    )
    return parts, reasons
