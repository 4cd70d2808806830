"""Rows that stand for several operators: blocks, where other networks may have them too."""

from __future__ import annotations

import pytest

from devices.measurement import OperatorTime
from latency_tables.errors import BadTable
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles.attribute import MOST_OF_A_BLOCK, attribute_network, attributed
from tests.latency_tables.profiles.test_attribute import FLOAT32, network, rows

SHAPE = (1, 6, 6, 8)
WIDE = (1, 8, 8, 8)


def delegate(index: int, *outputs: int, name: str = "StandInDelegate") -> OperatorTime:
    tensors = ", ".join(f"node_{one}" for one in outputs)
    return OperatorTime(index, name, True, 2.0**index, name, f"[{tensors}]:{90 + index}", 1)


def test_each_row_of_a_delegate_takes_what_leads_to_its_outputs() -> None:
    told = attributed(
        network("float32"),
        [delegate(0, 1), delegate(1, 2), delegate(2, 6), delegate(3, 7), delegate(4, 8, 9), delegate(5, 12)],
    )
    assert [one.positions for one in told.found] == [
        (0, 1),
        (2,),
        (3, 4, 5, 6),
        (7,),
        (8, 9),
        (10, 11, 12),
    ]
    assert [one.mean_ms for one in told.found] == [2.0**index for index in range(6)]
    assert told.reasons == ()


def test_partitions_between_the_runtimes_own_operators_are_blocks() -> None:
    means = [OperatorTime(i, "MEAN", False, 2.0**i) for i in (1, 5)]
    logistic = OperatorTime(3, "LOGISTIC", False, 8.0)
    given = [
        delegate(0, 2, 8),
        means[0],
        delegate(2, 5),
        logistic,
        delegate(4, 10),
        means[1],
        delegate(6, 12),
    ]
    told = attributed(network("float32"), given)
    assert [(one.positions, one.mean_ms) for one in told.found] == [
        ((0, 1, 2, 8), 1.0),
        ((3,), 2.0),
        ((4, 5), 4.0),
        ((6,), 8.0),
        ((7, 9, 10), 16.0),
        ((11,), 32.0),
        ((12,), 64.0),
    ]
    assert [reason[:8] for reason in told.reasons] == ["row 0 of", "row 4 of"]


def test_a_row_too_many_is_refused() -> None:
    with pytest.raises(BadTable, match="1 rows more"):
        attributed(network("float32"), [delegate(0, 12), delegate(1, 12)])


def test_operators_that_do_not_follow_each_other_have_their_time_together() -> None:
    told = attributed(network("float32"), [delegate(0, 7), delegate(1, 9), delegate(2, 12)])
    assert [one.positions for one in told.found] == [(0, 1, 2, 3, 4, 5, 6, 7), (8, 10, 11, 12), (9,)]
    (reason,) = told.reasons
    assert "row 2 of the profile, 'StandInDelegate', stands for 4 operators that do not follow" in reason


def test_a_block_of_too_many_is_none() -> None:
    nodes = tuple(Node(OpSpec("logistic", "float32", (SHAPE,), SHAPE), (i - 1,)) for i in range(20))
    graph = Graph((SHAPE,), "float32", nodes, (19,))
    told = attributed(graph, [delegate(0, MOST_OF_A_BLOCK - 1), delegate(1, 2 * MOST_OF_A_BLOCK - 1)])
    assert [len(one.positions) for one in told.found] == [MOST_OF_A_BLOCK] * 2
    told = attributed(graph, [delegate(0, MOST_OF_A_BLOCK), delegate(1, 19)])
    assert [len(one.positions) for one in told.found] == [9]
    assert f"(at most {MOST_OF_A_BLOCK})" in told.reasons[0]


def test_rows_without_names_are_partitions_in_turn() -> None:
    rows = [
        OperatorTime(0, "TfLiteXNNPackDelegate", True, 5.0),
        OperatorTime(1, "AVERAGE_POOL_2D", False, 1.0),
        OperatorTime(2, "TfLiteXNNPackDelegate", True, 3.0),
    ]
    told = attributed(network("int8"), rows)
    assert [(one.positions, one.mean_ms) for one in told.found] == [
        ((0, 1, 2, 3, 4, 5, 6, 7, 9), 5.0),
        ((8,), 1.0),
        ((10, 11, 12), 3.0),
    ]
    (reason,) = told.reasons
    assert "stands for 9 operators that do not follow each other" in reason


def padded(activation: str) -> Graph:
    window = {"kernel": (3, 3), "stride": (1, 1), "padding": "valid"}
    return Graph(
        (SHAPE,),
        "float32",
        (
            Node(OpSpec("pad", "float32", (SHAPE,), WIDE), (-1,)),
            Node(OpSpec("conv_2d", "float32", (WIDE,), SHAPE, **window), (0,)),
            Node(OpSpec(activation, "float32", (SHAPE,), SHAPE), (1,)),
            Node(OpSpec("logistic", "float32", (SHAPE,), SHAPE), (2,)),
        ),
        (3,),
    )


def test_padding_and_clamping_that_xnnpack_joins_with_a_convolution_are_a_block_with_it() -> None:
    names = ["Convolution (NHWC, F32) IGEMM", "Sigmoid (NC)"]
    found = attribute_network(padded("relu6"), rows(names))
    assert [(one.positions, one.mean_ms) for one in found] == [((0, 1, 2), 1.0), ((3,), 2.0)]


def test_padding_and_clamping_of_their_own_are_their_own() -> None:
    names = ["Constant Pad (ND, X32)", "Convolution (NHWC, F32) IGEMM", "Clamp (NC, F32)", "Sigmoid (NC)"]
    assert [one.positions for one in attribute_network(padded("relu"), rows(names))] == [
        (0,),
        (1,),
        (2,),
        (3,),
    ]


def test_nothing_else_is_joined() -> None:
    with pytest.raises(BadTable, match=r"row 0 .* operator 0 of 4 \(pad"):
        attribute_network(padded("relu"), rows(["Sigmoid (NC)"]))
    with pytest.raises(BadTable, match="ends after 1 rows"):
        attribute_network(padded("relu"), rows(["Convolution (NHWC, F32) IGEMM"]))
    with pytest.raises(BadTable, match="hard_swish"):
        attribute_network(padded("hard_swish"), rows(["Convolution (NHWC, F32) IGEMM", "Sigmoid (NC)"]))


def test_a_label_of_each_age_is_known() -> None:
    ages = {
        "Convolution (NHWC, F32) IGEMM": "Convolution (NHWC, F32)",
        "Fully Connected (NC, F32) GEMM": "Convolution (NHWC, F32) GEMM",
        "Mean (ND) Reduce2": "Sum (ND) Reduce",
        "Multiply (ND)": "Binary Elementwise (ND)",
        "Sigmoid (NC)": "Unary Elementwise (NC)",
        "Add (ND)": "Add (ND, F32)",
    }
    older = [ages.get(label, label) for label in FLOAT32[:-1]]
    assert len(attribute_network(network("float32"), rows([*older, FLOAT32[-1]]))) == 13


@pytest.mark.parametrize("name", ["LITERT_CL", "Vx Delegate", "TfLiteXNNPackDelegate", "edgetpu-custom-op"])
def test_delegates_of_any_name_report_partitions(name: str) -> None:
    told = attributed(network("float32"), [delegate(0, 6, name=name), delegate(1, 12, name=name)])
    assert [one.positions for one in told.found] == [(0, 1, 2, 3, 4, 5, 6), (7, 8, 9, 10, 11, 12)]
