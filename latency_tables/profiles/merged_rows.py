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
from latency_tables.errors import BadTable
from latency_tables.ops import Graph, OpSpec
from latency_tables.profiles import labels
from latency_tables.profiles.partitions import Subset

#: ways in which a partition's operators may be the rows that are tried, and of all partitions together
WAYS, COMBINATIONS = 64, 4096

#: for each node of a partition the rows that it ran as
Way = tuple[tuple[int, tuple[OperatorTime, ...]], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The time of one operator, or of several together whose own times are not told."""

    nodes: tuple[int, ...]
    mean_ms: float
    labels: tuple[str, ...]


def are_merged(rows: Sequence[OperatorTime]) -> bool:
    """Whether some rows add up several operators."""
    return any((row.times_called or 0) > 1 and labels.place(row) is not None for row in rows)


def parted(
    graph: Graph, cut: Sequence[Subset], rows: Sequence[OperatorTime]
) -> tuple[list[Part], tuple[str, ...]]:
    """The times that the rows tell, each operator in one, and why some are of several operators together.

    An operator has a time of its own where its row is its own, or where all operators that the row adds up
    are equal.

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
    parts = [Part((index,), row.mean_ms, (row.label,)) for index, row in zip(left, own, strict=True)]
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
            found = list(islice(_ways(graph, subset.nodes, places), WAYS))
            if not found:
                raise BadTable(
                    f"no rows fit the partition of operators {subset.nodes[0]} to {subset.nodes[-1]}: its "
                    "times cannot be attributed"
                )
            ways.append(found)
    nodes = [index for subset in cut if subset.delegated for index in subset.nodes]
    delegated = [row for row in rows if row.delegated]
    told, reasons = _shared(graph, nodes, _agreed(ways, delegated), delegated)
    return parts + told, reasons


def _ways(graph: Graph, nodes: Sequence[int], places: Mapping[int, Sequence[OperatorTime]]) -> Iterator[Way]:
    """Every way in which the nodes of a partition may be the rows, those that come to nothing left out."""
    specs = [graph.nodes[index].spec for index in nodes]
    # by node the places at which it may begin; then, of those, the ones that lead to an end
    begins: list[set[int]] = [{0}]
    for spec in specs:
        begins.append({after for at in begins[-1] for _, after in _choices(spec, at, places)})
    for number in reversed(range(len(specs))):
        begins[number] = {
            at
            for at in begins[number]
            if any(after in begins[number + 1] for _, after in _choices(specs[number], at, places))
        }
    waiting: list[tuple[Way, int]] = [((), 0)] if begins[0] else []
    while waiting:
        way, at = waiting.pop()
        if len(way) == len(nodes):
            yield way
            continue
        for rows, after in reversed(_choices(specs[len(way)], at, places)):
            if after in begins[len(way) + 1]:
                waiting.append(((*way, (nodes[len(way)], rows)), after))


def _choices(
    spec: OpSpec, at: int, places: Mapping[int, Sequence[OperatorTime]]
) -> list[tuple[tuple[OperatorTime, ...], int]]:
    """The rows that an operator may be that begins at a place, each time with the place after them."""
    found: list[tuple[tuple[OperatorTime, ...], int]] = []
    for preparation in places.get(at, ()):
        if labels.prepares(spec, preparation):
            found += [
                ((preparation, row), at + 2) for row in places.get(at + 1, ()) if labels.fits(spec, row)
            ]
    fitting = [row for row in places.get(at, ()) if labels.fits(spec, row)]
    found += [((row,), at + 1) for row in fitting if labels.likely(spec, row)] or [
        ((row,), at + 1) for row in fitting
    ]
    return found


def _agreed(
    ways: Sequence[Sequence[Way]], rows: Sequence[OperatorTime]
) -> dict[int, tuple[OperatorTime, ...]]:
    """By node its rows, where all ways that agree with how often each row was called say the same."""
    called = Counter({row.index: row.times_called or 0 for row in rows})
    possible: list[Way] = []
    if prod(map(len, ways)) <= COMBINATIONS:
        for each in product(*ways):
            whole = tuple(pair for way in each for pair in way)
            if Counter(row.index for _, taken in whole for row in taken) == called:
                possible.append(whole)
    if not possible:  # calls are counted in all runs and rounded: then only what is beyond doubt
        certain = (pair for way in ways for pair in way[0] if all(pair in other for other in way))
        return dict(certain)
    return {index: own for index, own in possible[0] if all(dict(way).get(index) == own for way in possible)}


def _shared(
    graph: Graph,
    nodes: Sequence[int],
    taken: Mapping[int, tuple[OperatorTime, ...]],
    rows: Sequence[OperatorTime],
) -> tuple[list[Part], tuple[str, ...]]:
    """What each operator has of the rows; operators that cannot be told apart have theirs together."""
    users: dict[int, list[int]] = defaultdict(list)
    for index, own in taken.items():
        for row in own:
            users[row.index].append(index)
    # what is not told apart comes together: operators that share a row, and rows that share an operator
    joint: list[tuple[set[int], set[int]]] = []
    reasons = []
    doubtful: tuple[set[int], set[int]] = ({index for index in nodes if index not in taken}, set())
    for row in rows:
        specs = {graph.nodes[index].spec for index in users[row.index]}
        if len(users[row.index]) != (row.times_called or 1):
            doubtful[0].update(users[row.index])
            doubtful[1].add(row.index)
            why = "it is not clear of which"
        elif len(specs) > 1:
            joint.append((set(users[row.index]), {row.index}))
            why = f"{len(specs)} different ones among them"
        else:
            continue
        reasons.append(
            f"row {row.index} of the profile, {row.label!r}, adds up {row.times_called} operators of as many "
            f"partitions, {why}"
        )
    groups = _together([doubtful, *joint], taken)
    by_index = {row.index: row for row in rows}
    parts = []
    for group, own_rows in groups:
        found = [by_index[number] for number in sorted(own_rows)]
        order = tuple(index for index in nodes if index in group)
        parts.append(Part(order, sum(row.mean_ms for row in found), tuple(row.label for row in found)))
    shared = {index for group, _ in groups for index in group}
    for index, own in taken.items():
        if index not in shared:
            mean_ms = sum(row.mean_ms / len(users[row.index]) for row in own)
            parts.append(Part((index,), mean_ms, tuple(row.label for row in own)))
    return parts, tuple(reasons)


def _together(
    groups: Sequence[tuple[set[int], set[int]]], taken: Mapping[int, tuple[OperatorTime, ...]]
) -> list[tuple[set[int], set[int]]]:
    """Groups of nodes and rows, those joined that have one in common; a node brings all its rows."""
    found: list[tuple[set[int], set[int]]] = []
    for some_nodes, some_rows in groups:
        nodes, rows = set(some_nodes), set(some_rows)
        grown = True
        while grown:
            size = len(nodes), len(rows)
            rows |= {row.index for index in nodes for row in taken.get(index, ())}
            nodes |= {index for index, own in taken.items() if any(row.index in rows for row in own)}
            for other in [one for one in found if one[0] & nodes or one[1] & rows]:
                found.remove(other)
                nodes |= other[0]
                rows |= other[1]
            grown = (len(nodes), len(rows)) != size
        if nodes:
            found.append((nodes, rows))
    return found
