from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.measurement import Context, Pass, Settings
from latency_tables.fitting.footprint import live_bytes, parameter_bytes
from latency_tables.fitting.resources import LEAST_NETWORKS, fit_energy, fit_memory, resources
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Network, Origin
from latency_tables.store import LatencyTable
from tests.latency_tables.given_predictor import known
from tests.latency_tables.profiles.test_attribute import network
from tests.latency_tables.test_build import FACTS
from tests.latency_tables.test_phone_tables import draw


def vector(size: int, *sources: int) -> Node:
    return Node(OpSpec("logistic", "float32", ((1, size),), (1, size)), sources)


def test_activations_live_from_their_making_to_their_last_use() -> None:
    # 100 -> 100 -> 100, with the first kept for the end
    spec = OpSpec("add", "float32", ((1, 100), (1, 100)), (1, 100))
    nodes = (vector(100, -1), vector(100, 0), vector(100, 1), Node(spec, (2, 0)))
    graph = Graph(((1, 100),), "float32", nodes, (3,))
    assert live_bytes(graph) == 4 * 400  # the input, what is kept, and what is read and written
    chain = Graph(((1, 100),), "float32", nodes[:3], (2,))
    assert live_bytes(chain) == 3 * 400
    assert live_bytes(replace(chain, inputs=((1, 100), (1, 50)))) == 3 * 400 + 200


@pytest.mark.parametrize(("dtype", "each"), [("float32", 4), ("int8", 1)])
def test_weights_and_biases(dtype: str, each: int) -> None:
    graph = network(dtype)
    weights = [3 * 9 * 8, 8 * 8, 9 * 8, 0, 8 * 2, 2 * 8, 0, 0, 0, 9 * 64, 0, 0, 80]
    biases = [8, 8, 8, 0, 2, 8, 0, 0, 0, 8, 0, 0, 10]
    assert parameter_bytes(graph) == each * sum(weights) + 4 * sum(biases)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_a_chain_needs_its_input_and_its_largest_neighbours(sizes: list[int]) -> None:
    pairs = list(zip([sizes[0], *sizes], sizes, strict=False))
    nodes = tuple(
        Node(OpSpec("fully_connected", "float32", ((1, a),), (1, b)), (i - 1,))
        for i, (a, b) in enumerate(pairs)
    )
    graph = Graph(((1, sizes[0]),), "float32", nodes, (len(nodes) - 1,))
    first, *rest = pairs
    expected = max([sizes[0] + first[1], *(sizes[0] + a + b for a, b in rest)])
    assert live_bytes(graph) == 4 * expected


def graphs(count: int) -> list[Graph]:
    return [draw(seed, "float32") for seed in range(count)]


def test_memory_is_found_again() -> None:
    made = graphs(12)
    rng = random.Random(0)
    peaks = [
        (1e6 + 2.1 * parameter_bytes(one) + 1.3 * live_bytes(one)) * rng.uniform(0.995, 1.005) for one in made
    ]
    found = fit_memory(made, peaks)
    assert found is not None
    assert found.left_out_percent < 1
    assert found.networks == 12
    new = draw(99, "float32")
    expected = 1e6 + 2.1 * parameter_bytes(new) + 1.3 * live_bytes(new)
    assert found.predict(new) == pytest.approx(expected, rel=0.01)


def test_memory_that_follows_nothing_has_a_large_error() -> None:
    rng = random.Random(1)
    found = fit_memory(graphs(12), [rng.uniform(1e6, 9e6) for _ in range(12)])
    assert found is not None
    assert found.left_out_percent > 20
    assert min(found.fixed_bytes, found.per_parameter_byte, found.per_live_byte) >= 0


def drawn_times(count: int) -> list[dict[str, float]]:
    rng = random.Random(2)
    kinds = ("conv_2d", "depthwise_conv_2d", "mul")
    return [{kind: rng.uniform(0.5, 5) for kind in kinds} for _ in range(count)]


def test_one_power_for_all_kinds_where_they_draw_alike() -> None:
    times = drawn_times(20)
    rng = random.Random(3)
    found = fit_energy(times, [4.0 * sum(one.values()) * rng.uniform(0.99, 1.01) for one in times])
    assert found is not None
    assert list(found.power_mw.values()) == [pytest.approx(4000, rel=0.01)] * 3
    assert len(set(found.power_mw.values())) == 1
    assert found.left_out_percent < 1


def test_a_power_for_each_kind_where_they_differ() -> None:
    times = drawn_times(30)
    watts = {"conv_2d": 6.0, "depthwise_conv_2d": 4.0, "mul": 3.0}
    found = fit_energy(times, [sum(watts[kind] * ms for kind, ms in one.items()) for one in times])
    assert found is not None
    assert found.power_mw == pytest.approx({kind: 1000 * w for kind, w in watts.items()}, rel=0.02)
    assert found.left_out_percent < 2
    assert 3000 < found.common_mw < 6000


def test_too_few_networks_tell_nothing() -> None:
    few = LEAST_NETWORKS - 1
    assert fit_memory(graphs(few), [1e6] * few) is None
    assert fit_energy(drawn_times(few), [1.0] * few) is None
    assert fit_memory([], []) is None


def filled(tmp_path, *, memory: bool, energy: bool) -> LatencyTable:
    made = [Network(f"anchor-{i}", one, "anchor") for i, one in enumerate(graphs(8))]
    table = LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), made)
    context = Context(FACTS, Settings(), "2026-01-02T03:04:05+00:00", "xnnpack")
    for one in made:
        times = [0.01 + spec.macs / 1e7 for spec in one.graph.specs]
        peak = 10**6 + 2 * parameter_bytes(one.graph)
        samples = (sum(times),) * 5
        told = peak if memory else None
        burst = Pass(one.name, "0" * 64, 0, samples, 0, None, 1.0, 1.0, told, None, context)
        burst = replace(burst, energy_mj=5 * sum(times) if energy else None)
        table.add(one.name, 0, burst, [Attribution((i,), ms, ("x",)) for i, ms in enumerate(times)])
    return table


def test_a_table_tells_what_its_device_told(tmp_path) -> None:
    with filled(tmp_path, memory=True, energy=True) as table:
        found = resources(table)
        graph = table.networks()[0].graph
        assert found.memory is not None
        assert found.memory.predict(graph) == pytest.approx(10**6 + 2 * parameter_bytes(graph), rel=0.01)
        assert found.energy is not None
        prediction = table.predict(graph.specs)
        assert found.energy.predict(graph.specs, prediction) == pytest.approx(
            5 * prediction.latency_ms, rel=0.02
        )


def test_a_table_tells_nothing_that_its_device_did_not(tmp_path) -> None:
    with filled(tmp_path, memory=False, energy=False) as table:
        assert resources(table).memory is None
        assert resources(table).energy is None


def test_kinds_that_were_never_seen_draw_what_is_common() -> None:
    found = fit_energy(drawn_times(20), [4.0 * sum(one.values()) for one in drawn_times(20)])
    assert found is not None
    spec = OpSpec("tanh", "float32", ((1, 8),), (1, 8))
    prediction = known({str(spec): 2.0}, 1.0, "t").predict([spec])
    assert found.predict([spec], prediction) == pytest.approx(8.0)
