"""Which rows of the runtime's profiler belong to which operator of a network. Measures and stores nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from devices.measurement import OperatorTime
from latency_tables.errors import BadTable
from latency_tables.ops import Graph, OpSpec

#: kind -> what XNNPACK calls the operators that run it; a row's label must match in full
LABELS: dict[str, str] = {
    # a 1x1 convolution of stride 1 runs as a fully connected operator
    "conv_2d": r"Convolution \(NHWC, \w+\) (I?GEMM|DWConv|VMulCAddC)|Fully Connected \([\w, ]+\) GEMM",
    "depthwise_conv_2d": r"Convolution \(NHWC, \w+\) (DWConv|VMulCAddC|IGEMM)",
    "fully_connected": r"Fully Connected \([\w, ]+\) GEMM",
    "add": r"Add \(ND.*\)",
    "sub": r"Subtract \(ND.*\)",
    "mul": r"Multiply \(ND.*\)|Square \(NC.*\)",
    "mean": r"Mean \(ND.*\) Reduce2?|Global Average Pooling .*",
    "average_pool_2d": r"Average Pooling \(NHWC, \w+\).*|Global Average Pooling .*",
    "max_pool_2d": r"Max Pooling \(NHWC, \w+\).*",
    "logistic": r"Sigmoid \(NC.*\).*",
    "hard_swish": r"HardSwish \(NC.*\).*",
    "relu": r"Clamp \(NC.*\).*",
    "relu6": r"Clamp \(NC.*\).*",
    "softmax": r"Softmax \(NC.*\).*",
    "reshape": r"Static Reshape \(N[CD].*\)|Copy \(NC.*\).*",
    "concatenation": r"Copy \(NC.*\)|Concatenate.*",
}
#: kind -> a row that the runtime may run just before the operator's own, as part of it
PREPARATIONS: dict[str, str] = {"fully_connected": r"Static Reshape \(N[CD].*\)"}
#: element types in labels that name one, by the operator's
_ELEMENT_TYPES = {"float32": ("F32", "X32"), "int8": ("QS8", "QC8", "QC8W", "S8", "X8")}


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


def attribute(specs: Sequence[OpSpec], rows: Sequence[OperatorTime]) -> tuple[float, ...]:
    """The time of each operator in milliseconds, from the rows of a profile in the same order.

    Raises:
        BadTable: the rows do not fit the operators one after the other; the message says where.
    """
    return tuple(one.mean_ms for one in _match(specs, rows))


def attribute_network(graph: Graph, rows: Sequence[OperatorTime]) -> tuple[Attribution, ...]:
    """As `attribute`, for a network, in the order of its nodes.

    Where the delegate left operators to the runtime's own kernels, the rows are in `execution_order`.

    Raises:
        BadTable: the rows do not fit the network's operators; the message says where.
    """
    left = frozenset(row.label.lower() for row in rows if not row.delegated)
    order = execution_order(graph, left)
    found = _match([graph.nodes[index].spec for index in order], rows)
    placed = [replace(one, positions=tuple(order[at] for at in one.positions)) for one in found]
    return tuple(sorted(placed, key=lambda one: one.positions))


def execution_order(graph: Graph, left: Set[str]) -> tuple[int, ...]:
    """The order in which TFLite runs the nodes when the kinds in `left` are not delegated.

    TFLite cuts a graph into subsets, delegated and not in turn, each of all nodes whose inputs are known
    (`tensorflow/lite/graph_info.cc`): within a subset nodes keep their order, but a node that waits for
    another subset is overtaken by later ones that need not.
    """
    waiting = list(range(len(graph.nodes)))
    done: set[int] = set()
    order: list[int] = []
    delegated = bool(waiting) and graph.nodes[0].spec.kind not in left
    while waiting:
        subset: list[int] = []
        for index in waiting:
            node = graph.nodes[index]
            if (node.spec.kind not in left) == delegated and all(s < 0 or s in done for s in node.sources):
                subset.append(index)
                done.add(index)
        order += subset
        waiting = [index for index in waiting if index not in done]
        delegated = not delegated
    return tuple(order)


def _match(specs: Sequence[OpSpec], rows: Sequence[OperatorTime]) -> list[Attribution]:
    found: list[Attribution] = []
    position = 0
    for number, spec in enumerate(specs):
        taken: list[OperatorTime] = []
        preparation = PREPARATIONS.get(spec.kind)
        if preparation and position < len(rows) and re.fullmatch(preparation, rows[position].label):
            taken.append(rows[position])
            position += 1
        if position == len(rows):
            raise BadTable(
                f"the profile ends after {len(rows)} rows, before operator {number} of {len(specs)} "
                f"({spec}): its times cannot be attributed"
            )
        row = rows[position]
        if not _fits(spec, row):
            raise BadTable(
                f"row {row.index} of the profile, {row.label!r}, is not what operator {number} of "
                f"{len(specs)} ({spec}) is known to run as: its times cannot be attributed"
            )
        taken.append(row)
        position += 1
        found.append(
            Attribution((number,), sum(row.mean_ms for row in taken), tuple(row.label for row in taken))
        )
    if position < len(rows):
        raise BadTable(
            f"the profile has {len(rows) - position} rows more than the network has operators, from row "
            f"{rows[position].index}, {rows[position].label!r}: its times cannot be attributed"
        )
    return found


def _fits(spec: OpSpec, row: OperatorTime) -> bool:
    if not row.delegated:
        return row.label.lower() == spec.kind
    pattern = LABELS.get(spec.kind)
    if pattern is None or re.fullmatch(pattern, row.label) is None:
        return False
    named = re.findall(r"\b(F32|F16|X32|X16|X8|S8|U8|Q[A-Z]+8W?)\b", row.label)
    known = _ELEMENT_TYPES.get(spec.dtype)
    return not named or known is None or all(name in known for name in named)
