"""Which nodes of a network a delegate runs together, and in what order. Knows no profile."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass, replace

from latency_tables.ops import Graph
from latency_tables.profiles.labels import LABELS


@dataclass(frozen=True, slots=True)
class Subset:
    """Nodes that run one after the other, in that order: those of a delegate, or the runtime's own."""

    delegated: bool
    nodes: tuple[int, ...]


def subsets(graph: Graph, left: Set[int]) -> tuple[Subset, ...]:
    """The network as TFLite runs it when the nodes in `left` are not delegated.

    It cuts a graph into subsets, delegated and not in turn, each of all nodes whose inputs are known
    (`tensorflow/lite/graph_info.cc`): within a subset nodes keep their order, but a node that waits for
    another subset is overtaken by later ones that need not.
    """
    waiting = list(range(len(graph.nodes)))
    done: set[int] = set()
    found: list[Subset] = []
    delegated = 0 not in left
    while waiting:
        subset: list[int] = []
        for index in waiting:
            ready = all(source < 0 or source in done for source in graph.nodes[index].sources)
            if (index not in left) == delegated and ready:
                subset.append(index)
                done.add(index)
        if subset:
            found.append(Subset(delegated, tuple(subset)))
        waiting = [index for index in waiting if index not in done]
        delegated = not delegated
    return tuple(found)


def of_kinds(graph: Graph, kinds: Set[str]) -> frozenset[int]:
    """The nodes of these kinds."""
    return frozenset(index for index, node in enumerate(graph.nodes) if node.spec.kind in kinds)


def executed(graph: Graph, delegate: str) -> Graph:
    """The network as it runs: without the operators that XNNPACK leaves out, as nothing needs their results.

    The runtime's own kernels leave nothing out, so an operator of a kind that XNNPACK is not known to run
    stays, with all that it needs. What other delegates leave out is not known: they count as leaving nothing.
    """
    if delegate != "xnnpack":
        return graph
    every = range(len(graph.nodes))
    own = {index for index in every if graph.nodes[index].spec.kind not in LABELS}
    kept = leading_to(graph, own | set(graph.outputs), every)
    numbers = {index: number for number, index in enumerate(kept)}
    nodes = tuple(
        replace(node, sources=tuple(numbers.get(source, source) for source in node.sources))
        for node in (graph.nodes[index] for index in kept)
    )
    return replace(graph, nodes=nodes, outputs=tuple(numbers[index] for index in graph.outputs))


def leading_to(graph: Graph, outputs: Set[int], among: Collection[int]) -> tuple[int, ...]:
    """The nodes of `among`, in its order, of which some of the outputs are made, those included."""
    candidates = set(among)
    waiting = [index for index in outputs if index in candidates]
    found: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index in candidates and index not in found:
            found.add(index)
            waiting += [source for source in graph.nodes[index].sources if source >= 0]
    return tuple(index for index in among if index in found)
