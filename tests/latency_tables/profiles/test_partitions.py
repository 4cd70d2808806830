from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace

import pytest

from devices.measurement import ModelFile, Pass
from devices.registry import open_device
from latency_tables import tflite
from latency_tables.build import PLAN
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import attribute_network
from latency_tables.profiles.partitions import Subset, executed, leading_to, of_kinds, subsets
from tests.latency_tables.profiles.test_attribute import network


def test_a_delegated_network_runs_in_its_own_order():
    assert subsets(network("float32"), frozenset()) == (Subset(True, tuple(range(13))),)


def test_operators_wait_for_others_and_are_overtaken():
    graph = network("int8")
    left = of_kinds(graph, {"average_pool_2d"})
    assert left == {8}
    assert subsets(graph, left) == (
        Subset(True, (0, 1, 2, 3, 4, 5, 6, 7, 9)),
        Subset(False, (8,)),
        Subset(True, (10, 11, 12)),
    )


def test_every_order_respects_what_operators_wait_for():
    graph = network("int8")
    for seed in range(50):
        left = frozenset(random.Random(seed).sample(range(13), seed % 14))
        order = [index for subset in subsets(graph, left) for index in subset.nodes]
        assert sorted(order) == list(range(13))
        for position, index in enumerate(order):
            assert all(s < 0 or s in order[:position] for s in graph.nodes[index].sources)
        for subset in subsets(graph, left):
            assert all((index not in left) == subset.delegated for index in subset.nodes)


def test_what_leads_to_a_node_is_found_among_some():
    graph = network("float32")
    assert leading_to(graph, {7}, range(13)) == tuple(range(8))
    assert leading_to(graph, {12}, [10, 11, 12]) == (10, 11, 12)
    assert leading_to(graph, set(), range(13)) == ()
    assert leading_to(graph, {2}, [7, 8]) == ()


def branches(dtype: str) -> Graph:
    """A convolution and one more behind it; beside them one that nothing uses, with a pooling behind it."""
    first = OpSpec.parse(f"conv_2d/{dtype}/1x14x14x8/1x14x14x16/k3x3/s1x1/same/relu6")
    last = OpSpec.parse(f"conv_2d/{dtype}/1x14x14x16/1x14x14x8/k3x3/s1x1/same")
    idle = OpSpec.parse(f"conv_2d/{dtype}/1x14x14x8/1x14x14x24/k3x3/s1x1/same/relu6")
    pool = OpSpec.parse(f"max_pool_2d/{dtype}/1x14x14x24/1x7x7x24/k2x2/s2x2/valid")
    nodes = (Node(idle, (-1,)), Node(first, (-1,)), Node(pool, (0,)), Node(last, (1,)))
    return Graph(((1, 14, 14, 8),), dtype, nodes, (3,))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_runtime_leaves_out_what_nothing_uses(dtype):
    graph = branches(dtype)
    content = tflite.write(graph)
    assert tflite.read(content) == graph
    plan = replace(PLAN, passes=1, min_runs=3, min_time_s=0.0, per_operator=True)
    with closing(open_device("local")) as device:
        (measured,) = device.stream([ModelFile("idle", content)], plan)
    assert isinstance(measured, Pass)
    ran = executed(graph, "xnnpack")
    assert ran.specs == (graph.nodes[1].spec, graph.nodes[3].spec)
    assert (ran.nodes[1].sources, ran.outputs) == ((0,), (1,))
    assert [one.positions for one in attribute_network(ran, measured.operators)] == [(0,), (1,)]


def test_what_other_delegates_leave_out_is_not_known():
    assert executed(branches("float32"), "cpu") == branches("float32")


def test_what_xnnpack_may_not_run_stays_with_what_it_needs():
    graph = branches("float32")
    idle, first, _, last = graph.nodes
    odd = Node(OpSpec.parse("cumsum/float32/1x14x14x24/1x14x14x24"), (0,))
    kept = executed(replace(graph, nodes=(idle, first, odd, last)), "xnnpack")
    assert kept.nodes == (idle, first, odd, last)
