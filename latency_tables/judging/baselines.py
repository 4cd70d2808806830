"""Other ways to predict a latency: operations counted, parts timed alone, regression. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from latency_tables import tflite
from latency_tables.errors import BadTable
from latency_tables.measuring.bursts import Job
from latency_tables.ops import Graph, Node, OpSpec

Floats = NDArray[np.float64]
#: strengths of the ridge that leave-one-out error chooses from
RIDGES = tuple(10.0**exponent for exponent in np.arange(-4, 4.5, 0.5))


def macs(graph: Graph) -> int:
    """Multiply-accumulates of a network."""
    return sum(spec.macs for spec in graph.specs)


def part(graph: Graph, nodes: range) -> Graph:
    """A run of a network's operators as a network of its own.

    What comes from before becomes an input, once however many operators take it; what is used later, or
    leaves the network, an output.

    Raises:
        BadTable: the network has no such nodes.
    """
    if not len(nodes) or nodes.step != 1 or nodes.start < 0 or nodes.stop > len(graph.nodes):
        raise BadTable(f"a network of {len(graph.nodes)} operators has no part {nodes}")
    inputs: dict[int, int] = {}
    shapes = []
    found = []
    for node in graph.nodes[nodes.start : nodes.stop]:
        sources = []
        for source, shape in zip(node.sources, node.spec.inputs, strict=True):
            if source >= nodes.start:
                sources.append(source - nodes.start)
                continue
            if source not in inputs:
                inputs[source] = -1 - len(inputs)
                shapes.append(shape)
            sources.append(inputs[source])
        found.append(Node(node.spec, tuple(sources)))
    later = {source for node in graph.nodes[nodes.stop :] for source in node.sources} | set(graph.outputs)
    outputs = tuple(index - nodes.start for index in nodes if index in later)
    return Graph(tuple(shapes), graph.dtype, tuple(found), outputs or (len(found) - 1,))


def operators_alone(graphs: Iterable[Graph]) -> dict[OpSpec, Graph]:
    """Each operator of some networks as a network of its own."""
    specs = dict.fromkeys(spec for graph in graphs for spec in graph.specs)
    return {spec: tflite.single(spec) for spec in specs}


def nothing(dtype: str) -> Graph:
    """The network that does next to nothing: what it takes is the runtime's, not an operator's."""
    return tflite.single(OpSpec("logistic", dtype, ((1, 1),), (1, 1)))


def jobs(graphs: Iterable[Graph], prefix: str) -> dict[Graph, Job]:
    """A job for each different network, named by its number."""
    unique = dict.fromkeys(graphs)
    return {graph: Job(f"{prefix}-{number:04}", graph) for number, graph in enumerate(unique)}


def summed(parts: Iterable[Graph], latencies_ms: Mapping[Graph, float], nothing_ms: float) -> float | None:
    """The sum over a network's parts, each less what nothing takes; None where one was not measured.

    Args:
        latencies_ms: of each part, measured alone.
        nothing_ms: of `nothing`, measured alike.
    """
    total = 0.0
    for one in parts:
        if one not in latencies_ms:
            return None
        total += max(latencies_ms[one] - nothing_ms, 0.0)
    return total


class Ridge:
    """Latency by how many operators there are of each kind and window, and of what size: a linear regression.

    What counts of a kind is how often it occurs, its multiply-accumulates and the elements it puts out:
    counts of operators one by one say little, most operators being in few of the networks it learns from. It
    needs no operator's time, only whole networks. Relative errors are squared (ridge regression, Hoerl and
    Kennard 1970); how strongly weights are drawn towards 0 is chosen by leave-one-out error.
    """

    def __init__(self, graphs: Sequence[Graph], latencies_ms: Sequence[float]) -> None:
        """Fit to networks and their latencies.

        Raises:
            BadTable: there are fewer than three.
        """
        if len(graphs) < 3:
            raise BadTable(f"a regression needs three networks at least: {len(graphs)} given")
        kinds = dict.fromkeys(_window(spec) for graph in graphs for spec in graph.specs)
        self._places = {kind: 3 * place for place, kind in enumerate(kinds)}
        measured = np.asarray(latencies_ms, float)
        weights = 1 / measured  # of relative errors
        counts = self._counts(graphs)
        spreads = np.std(counts, axis=0)
        self._scales = np.where(spreads > 0, spreads, 1.0)
        self._centre = np.average(counts / self._scales, axis=0, weights=weights**2)
        self._mean = float(np.average(measured, weights=weights**2))
        rows = (counts / self._scales - self._centre) * weights[:, None]
        goals = (measured - self._mean) * weights
        gram = rows @ rows.T
        size = float(np.mean(np.diag(gram))) or 1.0  # of networks all alike: any strength will do
        constant = weights**2 / np.sum(weights**2)
        strength = min(RIDGES, key=lambda one: _left_out_error(gram, goals, constant, one * size))
        self._weights = rows.T @ np.linalg.solve(gram + strength * size * np.eye(len(goals)), goals)

    def predict(self, graph: Graph) -> float:
        """A network's latency, in the unit of those it was fitted to; kinds that none has count nothing."""
        return float((self._counts([graph])[0] / self._scales - self._centre) @ self._weights + self._mean)

    def _counts(self, graphs: Sequence[Graph]) -> Floats:
        counts = np.zeros((len(graphs), 3 * len(self._places)))
        for row, graph in enumerate(graphs):
            for spec in graph.specs:
                if (place := self._places.get(_window(spec))) is not None:
                    counts[row, place : place + 3] += (1, spec.macs, prod(spec.output))
        return counts


def _window(spec: OpSpec) -> tuple[object, ...]:
    return spec.kind, spec.kernel, spec.stride


def _left_out_error(gram: Floats, goals: Floats, constant: Floats, strength: float) -> float:
    """Mean squared error of each network predicted by a fit to the others (Allen's PRESS, 1974).

    Args:
        constant: what fitting the mean adds to the diagonal of the hat matrix.
    """
    hat = np.linalg.solve(gram + strength * np.eye(len(goals)), gram)
    return float(np.mean(((goals - hat @ goals) / (1 - np.diag(hat) - constant)) ** 2))
