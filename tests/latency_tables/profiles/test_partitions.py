from __future__ import annotations

import random

from latency_tables.profiles.partitions import Subset, leading_to, of_kinds, subsets
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
