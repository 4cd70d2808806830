"""Profiles that people have published, and networks like theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.measurement import OperatorTime
from devices.runners.benchmark_model import parse
from devices.runners.benchmark_model.lines import lines
from devices.runners.benchmark_model.tables import Tables
from devices.runners.benchmark_model.visit import operator_times
from latency_tables.errors import BadTable
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.profiles import labels, merged_rows
from latency_tables.profiles.attribute import attribute_network, attributed
from tests.devices.runners.benchmark_model.corpus import console

#: lp6m/yolov5s_android on GitHub, benchmark/README.md at 7b789d10: YOLOv5s on a Xiaomi Mi 11 by NNAPI; the
#: table of operators alone
NNAPI = Path(__file__).with_name("2021-mi11-nnapi-partitions.txt")
#: filters and stride of MobileNet V1's separable convolutions
MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def mobilenet(flattening: str, dtype: str = "float32") -> Graph:
    """MobileNet V1 as the converters of 2018 to 2022 wrote it."""
    nodes: list[Node] = []
    image = (1, 224, 224, 3)

    def add(kind: str, filters: int, kernel: int, stride: int) -> None:
        nonlocal image
        pooled = kind == "average_pool_2d"
        taken, size = image, 1 if pooled else image[1] // stride
        image = (1, size, size, filters)
        spec = OpSpec(
            kind,
            dtype,
            (taken,),
            image,
            (kernel, kernel),
            (stride, stride),
            padding="valid" if pooled else "same",
            activation=None if pooled else "relu6",
        )
        nodes.append(Node(spec, (len(nodes) - 1,)))

    add("conv_2d", 32, 3, 2)
    for filters, stride in MOBILENET:
        add("depthwise_conv_2d", image[3], 3, stride)
        add("conv_2d", filters, 1, 1)
    add("average_pool_2d", 1024, 7, 2)
    add("conv_2d", 1001, 1, 1)
    nodes.append(Node(OpSpec(flattening, dtype, (image,), (1, 1001)), (len(nodes) - 1,)))
    nodes.append(Node(OpSpec("softmax", dtype, ((1, 1001),), (1, 1001)), (len(nodes) - 1,)))
    return Graph(((1, 224, 224, 3),), dtype, tuple(nodes), (len(nodes) - 1,))


def read(name: str) -> tuple[OperatorTime, ...]:
    return operator_times(parse(console(name)))


def test_the_rows_of_the_runtimes_own_kernels_are_attributed() -> None:
    rows = read("2022-riscv-one-warmup-run")
    found = attribute_network(mobilenet("squeeze"), rows)
    assert [one.positions for one in found] == [(index,) for index in range(31)]
    assert [one.mean_ms for one in found] == [row.mean_ms for row in rows]
    assert found[3].labels == ("DEPTHWISE_CONV_2D",)


def test_rows_of_2018_have_neither_numbers_nor_calls() -> None:
    rows = profile("2018-readme-profile")
    assert {row.times_called for row in rows} == {0}
    found = attribute_network(mobilenet("reshape"), rows)
    assert [one.mean_ms for one in found][:3] == [4.269, 2.150, 6.107]
    assert len(found) == 31


def profile(name: str) -> list[OperatorTime]:
    """The rows of a console that tells no result."""
    return rows_of(console(name))


def rows_of(text: str) -> list[OperatorTime]:
    tables = Tables()
    for line in lines(text):
        if line:
            tables.take(line)
    found = tables.operators("regular", frozenset({"TfLiteNnapiDelegate"}))
    return [
        OperatorTime(i, one.kind, one.delegated, one.total_ms, one.kind, one.name, one.times_called)
        for i, one in enumerate(found)
    ]


def test_what_the_tool_itself_does_is_no_operator() -> None:
    rows = read("2025-litert-sme2-profile")
    assert [labels.is_bookkeeping(row) for row in rows] == [True, True, False, False, True]
    dense = OpSpec("fully_connected", "float32", ((1, 8),), (1, 10))
    (found,) = attribute_network(Graph(((1, 8),), "float32", (Node(dense, (-1,)),), (0,)), rows)
    assert found.labels == ("Static Reshape (NC)", "Fully Connected (NC, PF32) GEMM")
    assert found.mean_ms == pytest.approx(0.003 + 0.382)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_one_row_for_the_whole_network_tells_nothing_of_its_operators(dtype: str) -> None:
    rows = read("2020-mobilenetv3-gpu-profile")
    assert [row.label for row in rows] == ["TfLiteGpuDelegateV2"]
    with pytest.raises(BadTable, match="'TfLiteGpuDelegateV2', stands for all 31 operators together"):
        attribute_network(mobilenet("reshape", dtype), rows)


def test_partitions_of_nnapi_are_told_from_what_the_runtime_ran_itself() -> None:
    rows = rows_of(NNAPI.read_text(encoding="utf-8"))
    assert [row.index for row in rows if labels.is_partition(row)] == [6, 8, 10]
    assert [labels.node(row) for row in rows if not row.delegated] == [0, 1, 2, 3, 4, 5, 143, 165]


def test_rows_that_add_up_operators_of_several_partitions_are_known() -> None:
    rows = read("2024-efficientdet-xnnpack-profile-spaces")
    assert merged_rows.are_merged(rows)
    assert [labels.place(row) for row in rows[:4]] == [None, 0, 1, 2]
    assert not merged_rows.are_merged(read("2025-litert-sme2-profile"))


def test_nnapis_partitions_of_a_like_network_are_blocks() -> None:
    """Six slices, a large partition, a resize, a small partition, a resize, another partition."""
    shape = (1, 8, 8, 4)
    kinds = ["strided_slice"] * 6 + ["concatenation"] + ["logistic"] * 11
    kinds += ["resize_nearest_neighbor", "logistic", "hard_swish", "resize_nearest_neighbor", "logistic"]
    nodes = []
    for index, kind in enumerate(kinds):
        sources = tuple(range(6)) if kind == "concatenation" else (index - 1 if index > 5 else -1,)
        nodes.append(Node(OpSpec(kind, "float32", (shape,) * len(sources), shape), sources))
    graph = Graph((shape,), "float32", tuple(nodes), (len(nodes) - 1,))
    rows = rows_of(NNAPI.read_text(encoding="utf-8").replace(":143\n", ":18\n").replace(":165\n", ":21\n"))
    told = attributed(graph, rows)
    assert [one.positions for one in told.found][:6] == [(index,) for index in range(6)]
    assert [one.positions for one in told.found][6:] == [(18,), (19, 20), (21,), (22,)]
    assert told.found[7].mean_ms == 14.418
    (reason,) = told.reasons
    assert "row 6 of the profile, 'TfLiteNnapiDelegate', stands for 12 operators together" in reason
