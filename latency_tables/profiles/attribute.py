"""Which rows of a profile belong to which operators of a network. Measures and stores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.measurement import OperatorTime
from latency_tables.errors import BadTable
from latency_tables.ops import Graph
from latency_tables.profiles import labels, merged_rows
from latency_tables.profiles.partitions import Subset, leading_to, of_kinds, subsets

#: a row for more operators than this, one after the other, tells nothing of them: other networks do not have
#: the like. An inverted residual with squeeze and excitation has ten
MOST_OF_A_BLOCK = 10


@dataclass(frozen=True, slots=True)
class Attribution:
    """What the profiler's rows say of one operator, or of several that the runtime ran as one.

    Attributes:
        positions: the nodes in the network's graph, by their number, in the order of execution.
        mean_ms: of all of them together.
        labels: the runtime's names of the rows.
    """

    positions: tuple[int, ...]
    mean_ms: float
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attributed:
    """What a profile says of a network.

    Attributes:
        found: in the order of the network's nodes; each node is in one at most. Nodes that do not follow each
            other are together where the profile tells only their sum.
        reasons: why nodes have no time, or none of their own.
    """

    found: tuple[Attribution, ...]
    reasons: tuple[str, ...]


def attribute_network(graph: Graph, rows: Sequence[OperatorTime]) -> tuple[Attribution, ...]:
    """The times of a network's operators, or of those that ran as one, in the order of its nodes.

    Each node is in one of them.

    Raises:
        BadTable: the rows do not fit the network's operators, or stand for too many at once; says which.
    """
    told = attributed(graph, rows)
    if sum(len(one.positions) for one in told.found) < len(graph.nodes):
        raise BadTable("; ".join(told.reasons))
    return told.found


def attributed(graph: Graph, rows: Sequence[OperatorTime]) -> Attributed:
    """As `attribute_network`, also where operators have no time, with the reasons.

    Where a delegate left operators to the runtime's own kernels, the rows are in the order in which `subsets`
    run. A partition that the delegate reports in one row is a block of all its operators.

    Raises:
        BadTable: the rows do not fit the network's operators; the message says where.
    """
    kept = [row for row in rows if not labels.is_bookkeeping(row)]
    cut = subsets(graph, _left(graph, kept))
    if merged_rows.are_merged(kept):
        parts, reasons = merged_rows.parted(graph, cut, kept)
        found = [Attribution(one.nodes, one.mean_ms, one.labels) for one in parts]
        return Attributed(tuple(sorted(found, key=lambda one: min(one.positions))), reasons)
    walk = _Walk(graph, kept)
    for subset in cut:
        walk.take(subset)
    walk.end()
    return Attributed(tuple(sorted(walk.found, key=lambda one: min(one.positions))), tuple(walk.reasons))


def _left(graph: Graph, rows: Sequence[OperatorTime]) -> frozenset[int]:
    """The nodes that no delegate ran: by their numbers where the rows tell them, else by their kinds."""
    own = [row for row in rows if not row.delegated]
    numbers = [labels.node(row) for row in own]
    told = [number for number in numbers if number is not None and number < len(graph.nodes)]
    agree = len(told) == len(own) == len(set(told))
    if agree and all(labels.fits(graph.nodes[n].spec, row) for n, row in zip(told, own, strict=True)):
        return frozenset(told)
    return of_kinds(graph, {row.label.lower() for row in own})


class _Walk:
    """Goes through the rows of a profile along the operators that they must be of."""

    def __init__(self, graph: Graph, rows: Sequence[OperatorTime]) -> None:
        self.found: list[Attribution] = []
        self.reasons: list[str] = []
        self._graph = graph
        self._rows = rows
        self._at = 0

    def take(self, subset: Subset) -> None:
        """Take the rows of one subset."""
        nodes = list(subset.nodes)
        while nodes:
            row = self._row()
            if subset.delegated and row is not None and labels.is_partition(row):
                nodes = self._block(row, nodes)
            else:
                nodes = self._operator(nodes)

    def end(self) -> None:
        """Raise BadTable if rows are left over."""
        if (row := self._row()) is not None:
            raise BadTable(
                f"the profile has {len(self._rows) - self._at} rows more than the network has operators, "
                f"from row {row.index}, {row.label!r}: its times cannot be attributed"
            )

    def _row(self, ahead: int = 0) -> OperatorTime | None:
        return self._rows[self._at + ahead] if self._at + ahead < len(self._rows) else None

    def _block(self, row: OperatorTime, nodes: list[int]) -> list[int]:
        """Take the row of a partition; the nodes that are left of the subset."""
        taken = leading_to(self._graph, labels.outputs(row), nodes) or tuple(nodes)
        self._at += 1
        self._keep(taken, [row])
        return [index for index in nodes if index not in taken]

    def _operator(self, nodes: list[int]) -> list[int]:
        """Take the rows of the next operator and what is joined with it; the nodes that are left."""
        index, spec = nodes[0], self._graph.nodes[nodes[0]].spec
        taken: list[OperatorTime] = []
        done: set[str] = set()
        while (row := self._row()) is not None:
            pattern = labels.prepares(spec, row)
            if pattern is None or pattern in done:
                break
            done.add(pattern)
            taken.append(row)
            self._at += 1
        if row is None:
            raise BadTable(
                f"the profile ends after {len(self._rows)} rows, before operator {index} of "
                f"{len(self._graph.nodes)} ({spec}): its times cannot be attributed"
            )
        joined = [index]
        if not labels.fits(spec, row):
            following = self._graph.nodes[nodes[1]].spec if len(nodes) > 1 else None
            if (
                row.delegated
                and following is not None
                and following.kind in labels.INTO_NEXT.get(spec.kind, ())
                and labels.fits(following, row)
            ):
                joined.append(nodes[1])
            else:
                raise BadTable(
                    f"row {row.index} of the profile, {row.label!r}, is not what operator {index} of "
                    f"{len(self._graph.nodes)} ({spec}) is known to run as: its times cannot be attributed"
                )
        taken.append(row)
        self._at += 1
        rest = nodes[len(joined) :]
        while row.delegated and rest and self._joins(joined[-1], rest[0]):
            joined.append(rest.pop(0))
        self._keep(tuple(joined), taken)
        return rest

    def _joins(self, before: int, index: int) -> bool:
        """Whether a node has no row of its own, because it runs as the end of the one before it."""
        node, row = self._graph.nodes[index], self._row()
        if node.spec.kind not in labels.INTO_PREVIOUS or node.sources != (before,):
            return False
        return row is None or not labels.fits(node.spec, row)

    def _keep(self, positions: tuple[int, ...], rows: Sequence[OperatorTime]) -> None:
        told = f"row {rows[-1].index} of the profile, {rows[-1].label!r}, stands for"
        adjacent = sorted(positions) == list(range(min(positions), max(positions) + 1))
        if 1 < len(positions) == len(self._graph.nodes):
            self.reasons.append(f"{told} all {len(positions)} operators together, and tells nothing of each")
            return
        if adjacent and len(positions) > MOST_OF_A_BLOCK:
            self.reasons.append(
                f"{told} {len(positions)} operators together: no block that other networks would have "
                f"(at most {MOST_OF_A_BLOCK})"
            )
            return
        if not adjacent:
            self.reasons.append(f"{told} {len(positions)} operators that do not follow each other")
        self.found.append(
            Attribution(positions, sum(row.mean_ms for row in rows), tuple(row.label for row in rows))
        )
