"""Sums of parts measured alone: what they say, and that they say nothing without the empty model."""

from __future__ import annotations

import pytest

from devices.plan import Plan
from latency_tables.judging.compared import NOTHING, Alone
from latency_tables.judging.interleaved import Group, InMemory, measure
from latency_tables.ops import Graph
from tests.latency_tables.convolutions import Desk, chain


def whole(graph: Graph) -> list[range]:
    return [range(len(graph.nodes))]


@pytest.mark.parametrize("failing", [(), (NOTHING,)])
def test_without_the_empty_model_sums_of_parts_are_unknown(failing: tuple[str, ...]) -> None:
    graph = chain(2, 1)
    alone = Alone.of([graph], whole)
    found = measure(Desk(failing), [Group(alone.all_jobs(), Plan(passes=1, min_runs=1), InMemory())])
    said = [one.raw(graph) for one in alone.rivals(found)]
    assert said == ([None, None] if failing else [pytest.approx(4.0, rel=1e-3)] * 2)
