"""Other ways to predict, judged in a table's own run: what they need measured, what they then say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latency_tables.fitting.joining import join
from latency_tables.fitting.statistics import network_ms
from latency_tables.judging import baselines
from latency_tables.judging.baselines import Ridge
from latency_tables.judging.interleaved import Measured
from latency_tables.judging.validation import Rival
from latency_tables.measuring.bursts import Job
from latency_tables.ops import Graph, OpSpec
from latency_tables.store import LatencyTable

#: cuts a network into its blocks: runs of its operators, in order
Blocks = Callable[[Graph], Sequence[range]]

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Alone:
    """The operators and blocks of some networks, each to be measured by itself.

    Attributes:
        operators: by operator, its network.
        blocks: by network, the networks of its blocks.
        jobs: the different ones of all of them, and the network that does nothing.
    """

    operators: dict[OpSpec, Graph]
    blocks: dict[Graph, tuple[Graph, ...]]
    jobs: dict[Graph, Job]
    nothing: Job

    @classmethod
    def of(cls, graphs: Sequence[Graph], blocks: Blocks) -> Alone:
        """What there is to measure for these networks."""
        operators = baselines.operators_alone(graphs)
        cut = {graph: tuple(baselines.part(graph, nodes) for nodes in blocks(graph)) for graph in graphs}
        every = [*operators.values(), *(block for parts in cut.values() for block in parts)]
        nothing = Job(NOTHING, baselines.nothing(graphs[0].dtype))
        return cls(operators, cut, baselines.jobs(every, "part"), nothing)

    def all_jobs(self) -> tuple[Job, ...]:
        """What is to be measured, under names of its own."""
        return (*self.jobs.values(), self.nothing)

    def rivals(self, measured: Measured) -> list[Rival]:
        """The sums of parts measured alone."""
        latencies_ms = {
            graph: network_ms(measured.samples_ms(job.name))
            for graph, job in self.jobs.items()
            if job.name in measured.passes
        }
        nothing_ms = network_ms(measured.samples_ms(NOTHING)) if NOTHING in measured.passes else None

        def of_operators(graph: Graph) -> float | None:
            parts = (self.operators[spec] for spec in graph.specs)
            return None if nothing_ms is None else baselines.summed(parts, latencies_ms, nothing_ms)

        def of_blocks(graph: Graph) -> float | None:
            return (
                None if nothing_ms is None else baselines.summed(self.blocks[graph], latencies_ms, nothing_ms)
            )

        return [Rival("sum of blocks alone", of_blocks), Rival("sum of operators alone", of_operators)]


def unmeasured_rivals(table: LatencyTable) -> list[Rival]:
    """Those that need nothing but the table's own networks: regression on counts, and counting operations."""
    passes = join(table.bursts(), table.observations(), ()).samples_ms
    whole = [
        (one.graph, network_ms(passes[one.name]))
        for one in table.networks()
        if one.role in {"cover", "anchor"} and passes.get(one.name)
    ]
    found = [Rival("multiply-accumulates", lambda graph: float(baselines.macs(graph)))]
    if len(whole) > 2:
        ridge = Ridge([graph for graph, _ in whole], [ms for _, ms in whole])
        found.insert(0, Rival("ridge on operator counts", ridge.predict))
    return found
