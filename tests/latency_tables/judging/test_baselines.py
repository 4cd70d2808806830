from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables import tflite
from latency_tables.errors import BadTable
from latency_tables.judging.baselines import Ridge, jobs, macs, nothing, operators_alone, part, summed
from latency_tables.ops import Graph, Node, OpSpec
from tests.latency_tables.convolutions import SHAPE, chain, convolution


def residual() -> Graph:
    """Two convolutions beside a shortcut, their sum, and a convolution behind it."""
    add = OpSpec("add", "float32", (SHAPE, SHAPE), SHAPE)
    return Graph(
        (SHAPE,),
        "float32",
        (
            Node(convolution(3), (-1,)),
            Node(convolution(1), (0,)),
            Node(convolution(3), (1,)),
            Node(add, (2, 0)),
            Node(convolution(5), (3,)),
        ),
        (4,),
    )


def test_a_part_has_what_comes_in_once_and_what_is_used_later():
    middle = part(residual(), range(1, 4))
    assert [node.sources for node in middle.nodes] == [(-1,), (0,), (1, -1)]
    assert middle.inputs == (SHAPE,)
    assert middle.outputs == (2,)
    start = part(residual(), range(0, 2))
    assert start.outputs == (0, 1)  # the shortcut leaves it too
    assert part(residual(), range(0, 5)) == residual()


@given(st.integers(0, 4), st.integers(1, 5))
def test_every_part_can_be_written_and_is_what_was_cut_out(start, size):
    stop = min(5, start + size)
    found = part(residual(), range(start, stop))
    assert found.specs == residual().specs[start:stop]
    assert tflite.read(tflite.write(found)) == found


@pytest.mark.parametrize("nodes", [range(2, 2), range(3, 9), range(-1, 2), range(0, 4, 2)])
def test_what_is_no_part_is_refused(nodes):
    with pytest.raises(BadTable, match="a network of 5 operators has no part range"):
        part(residual(), nodes)


def test_each_different_operator_is_alone_once():
    found = operators_alone([residual(), chain(2, 1)])
    assert len(found) == 4
    assert all(graph.specs == (spec,) for spec, graph in found.items())
    assert len(jobs([*found.values(), *found.values()], "part")) == 4
    assert {job.name for job in jobs(found.values(), "part").values()} == {f"part-000{n}" for n in range(4)}


def test_a_sum_leaves_out_what_nothing_takes_and_knows_what_it_lacks():
    one, three = (part(chain(1, 1), range(n, n + 1)) for n in range(2))
    assert summed([one, three, one], {one: 1.0, three: 2.0}, 0.25) == pytest.approx(0.75 + 1.75 + 0.75)
    assert summed([one], {one: 0.1}, 0.25) == 0  # never below
    assert summed([one, three], {one: 1.0}, 0.25) is None


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_nothing_can_be_written(dtype):
    assert len(tflite.read(tflite.write(nothing(dtype))).nodes) == 1


def test_multiplications_are_counted():
    assert macs(chain(1, 2)) == 24 * 24 * 16 * 16 * (1 + 2 * 9)


def test_a_regression_finds_what_is_linear():
    rng = np.random.default_rng(0)
    graphs = [chain(*map(int, rng.integers(1, 6, 3))) for _ in range(30)]

    def takes_ms(graph):
        return 1.0 + 0.001 * macs(graph) / 1e4 + 0.2 * sum(spec.kernel == (5, 5) for spec in graph.specs)

    ridge = Ridge(graphs, [takes_ms(graph) for graph in graphs])
    for graph in (chain(5, 1, 1), chain(2, 2, 5)):
        assert ridge.predict(graph) == pytest.approx(takes_ms(graph), rel=0.01)


def test_a_regression_on_noise_says_little_but_the_mean():
    rng = np.random.default_rng(1)
    graphs = [chain(*map(int, rng.integers(1, 6, 3))) for _ in range(30)]
    ridge = Ridge(graphs, rng.normal(10, 0.5, 30))
    assert all(ridge.predict(graph) == pytest.approx(10, abs=0.8) for graph in graphs)


def test_a_regression_of_networks_all_alike_is_their_mean():
    ridge = Ridge([chain(1, 1)] * 3, [2.0, 2.0, 2.0])
    assert ridge.predict(chain(1, 1)) == pytest.approx(2.0)
    assert np.isfinite(ridge.predict(chain(1, 1, 3)))


def test_two_networks_are_too_few_for_a_regression():
    with pytest.raises(BadTable, match="needs three networks"):
        Ridge([chain(1, 1)] * 2, [1.0, 2.0])
