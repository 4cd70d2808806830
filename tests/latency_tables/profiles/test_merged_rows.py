"""Rows as `benchmark_model` adds them up, against what each operator took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.measurement import OperatorTime
from latency_tables.errors import BadTable
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import attributed
from latency_tables.profiles.partitions import of_kinds, subsets
from tests.latency_tables.profiles.test_attribute import network

DENSE = "Fully Connected (NC, QS8, QC8W) GEMM"


def labels_of(spec: OpSpec) -> tuple[str, ...]:
    """What XNNPACK runs for an operator of an int8 network."""
    if spec.kind == "fully_connected":
        return "Static Reshape (NC)", DENSE
    if spec.kind == "conv_2d":
        return (DENSE if spec.kernel == (1, 1) else "Convolution (NHWC, QC8) IGEMM",)
    found = {
        "depthwise_conv_2d": "Convolution (NHWC, QC8) DWConv",
        "mean": "Mean (ND) Reduce",
        "logistic": "Sigmoid (NC)",
        "mul": "Multiply (ND)",
        "add": "Add (ND)",
    }
    return (found[spec.kind],)


def added_up(graph: Graph, times_ms: list[float]) -> list[OperatorTime]:
    """The rows: within a partition places count up, and rows of one label and place are one."""
    found: dict[str, list] = {}
    for subset in subsets(graph, of_kinds(graph, {"average_pool_2d"})):
        place = 0
        for index in subset.nodes:
            spec = graph.nodes[index].spec
            if not subset.delegated:
                found[f"[node_{index}]:{index}"] = ["AVERAGE_POOL_2D", False, [times_ms[index]]]
                continue
            own = labels_of(spec)
            for label in own:
                row = found.setdefault(f"Delegate/{label}:{place}", [label, True, []])
                row[2].append(times_ms[index] / len(own))
                place += 1
    return [
        OperatorTime(i, label, delegated, sum(times), label, name, len(times), sum(times))
        for i, (name, (label, delegated, times)) in enumerate(found.items())
    ]


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Chains of operators of an int8 network, some of which XNNPACK leaves to the runtime."""
    kinds = ("conv", "point", "depthwise_conv_2d", "logistic", "average_pool_2d", "average_pool_2d", "add")
    nodes: list[Node] = []
    filters = 8
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=14)):
        given_filters = draw(st.sampled_from((8, 16))) if kind in ("conv", "point") else filters
        shape, out = (1, 6, 6, filters), (1, 6, 6, given_filters)
        source = len(nodes) - 1
        if kind in ("conv", "point"):
            size = 3 if kind == "conv" else 1
            spec = OpSpec("conv_2d", "int8", (shape,), out, (size, size), (1, 1), padding="same")
        elif kind == "logistic":
            spec = OpSpec(kind, "int8", (shape,), out)
        elif kind == "add":
            spec = OpSpec(kind, "int8", (shape, shape), out)
        else:
            spec = OpSpec(kind, "int8", (shape,), out, (3, 3), (1, 1), padding="same")
        nodes.append(Node(spec, (source,) * len(spec.inputs)))
        filters = given_filters
    if draw(st.booleans()):
        flat = (1, filters)
        nodes.append(Node(OpSpec("mean", "int8", ((1, 6, 6, filters),), flat), (len(nodes) - 1,)))
        nodes.append(Node(OpSpec("fully_connected", "int8", (flat,), (1, 10)), (len(nodes) - 1,)))
    return Graph(((1, 6, 6, 8),), "int8", tuple(nodes), (len(nodes) - 1,))


@given(networks(), st.lists(st.floats(0.001, 9), min_size=16, max_size=16))
def test_what_is_told_is_true(graph: Graph, times_ms: list[float]) -> None:
    # equal operators take equal times here, so that a shared row may be shared out
    same = {node.spec: times_ms[index] for index, node in enumerate(graph.nodes)}
    times = [same[node.spec] for node in graph.nodes]
    rows = added_up(graph, times)
    try:
        told = attributed(graph, rows)
    except BadTable as error:
        raise AssertionError(f"{error}: {rows}") from error
    for one in told.found:
        assert one.mean_ms == pytest.approx(sum(times[index] for index in one.positions))
    assert sorted(index for one in told.found for index in one.positions) == list(range(len(graph.nodes)))
    assert bool(told.reasons) == any(len(one.positions) > 1 for one in told.found)


def test_operators_that_share_no_row_are_told_and_others_are_not() -> None:
    graph = network("int8")
    times = [float(2**index) for index in range(13)]
    told = attributed(graph, added_up(graph, times))
    assert {one.positions[0]: one.mean_ms for one in told.found} == dict(enumerate(times))
    assert told.reasons == ()


def chain(*kernels: int) -> Graph:
    """Depthwise convolutions with int8 pooling between them."""
    nodes: list[Node] = []
    shape = (1, 6, 6, 8)
    for kernel in kernels:
        for kind in ("depthwise_conv_2d", "average_pool_2d"):
            spec = OpSpec(kind, "int8", (shape,), shape, (kernel, kernel), (1, 1), padding="same")
            nodes.append(Node(spec, (len(nodes) - 1,)))
    return Graph((shape,), "int8", tuple(nodes), (len(nodes) - 1,))


def test_equal_operators_share_a_rows_time() -> None:
    told = attributed(chain(3, 3), added_up(chain(3, 3), [1.0, 8.0, 3.0, 9.0]))
    assert [(one.positions, one.mean_ms) for one in told.found] == [
        ((0,), 2.0),
        ((1,), 8.0),
        ((2,), 2.0),
        ((3,), 9.0),
    ]


def test_different_operators_in_one_row_have_their_time_together() -> None:
    told = attributed(chain(3, 5), added_up(chain(3, 5), [1.0, 8.0, 3.0, 9.0]))
    assert [(one.positions, one.mean_ms) for one in told.found] == [((0, 2), 4.0), ((1,), 8.0), ((3,), 9.0)]
    (reason,) = told.reasons
    assert "'Convolution (NHWC, QC8) DWConv', adds up 2 operators of as many partitions" in reason
    assert "2 different ones" in reason


def test_rows_of_another_network_are_refused() -> None:
    rows = added_up(chain(3, 3), [1.0] * 4)
    with pytest.raises(BadTable, match="no rows fit the partition of operators"):
        attributed(chain(3, 3, 3), rows)
    other = network("int8")
    with pytest.raises(BadTable, match="cannot be attributed"):
        attributed(other, rows)


LABELS = (
    "Convolution (NHWC, QC8) IGEMM",
    DENSE,
    "Static Reshape (NC)",
    "AVERAGE_POOL_2D",
    "TfLiteXNNPackDelegate",
)


@given(
    networks(),
    st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 6), st.integers(0, 4)), max_size=30),
)
def test_rows_that_cannot_be_are_refused(graph: Graph, given_rows: list[tuple[str, int, int]]) -> None:
    rows = [
        OperatorTime(i, label, not label.isupper(), 1.0, label, f"Delegate/{label}:{place}", called, 1.0)
        for i, (label, place, called) in enumerate(given_rows)
    ]
    try:
        told = attributed(graph, rows)
    except BadTable:
        return
    nodes = [index for one in told.found for index in one.positions]
    assert len(nodes) == len(set(nodes)) <= len(graph.nodes)


def test_a_large_partition_that_may_be_many_rows_takes_no_time() -> None:
    shape = (1, 6, 6, 8)
    spec = OpSpec("depthwise_conv_2d", "int8", (shape,), shape, (3, 3), (1, 1), padding="same")
    graph = Graph((shape,), "int8", tuple(Node(spec, (i - 1,)) for i in range(600)), (599,))
    label = "Convolution (NHWC, QC8) DWConv"
    rows = [
        OperatorTime(index, label, True, 1.0, label, f"Delegate/{label}:{index // 2}", 2, 1.0)
        for index in range(1200)
    ]
    told = attributed(graph, rows)
    assert sum(len(one.positions) for one in told.found) == 600
