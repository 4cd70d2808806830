"""Lowering: shapes, squeeze widths, skips, counts; against converted models in test_keras_model."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.ops import Graph
from mnas import spaces
from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.lower import lower
from mnas.recipes import recipe
from mnas.spaces.base import Space

SPACES = [spaces.create("mnasnet", 64, width=0.5), spaces.create("mnasnet-small-images", 28, channels=1)]


@st.composite
def members(draw: st.DrawFn) -> Architecture:
    space: Space = draw(st.sampled_from(SPACES))
    return space.decode([draw(st.integers(0, len(choice.options) - 1)) for choice in space.choices])


def texts(graph: Graph) -> list[str]:
    return [f"{node.sources} {node.spec}" for node in graph]


def test_one_layer_of_every_kind() -> None:
    text = "in_8x6x3,cv_r1_k3_s2_c8_se0.5_re,ir_r1_k5_s2_e3_c8_pool,ds_r1_k3_s1_c8,sc_r1_k3_s1_c16,fc_5"
    lowered = lower(Architecture.parse(text))
    assert texts(lowered.graph) == [
        "(-1,) conv_2d/float32/1x8x6x3/1x4x3x8/k3x3/s2x2/same/relu",
        "(0,) mean/float32/1x4x3x8/1x1x1x8",
        "(1,) conv_2d/float32/1x1x1x8/1x1x1x1/k1x1/s1x1/same/relu",
        "(2,) conv_2d/float32/1x1x1x1/1x1x1x8/k1x1/s1x1/same",
        "(3,) logistic/float32/1x1x1x8/1x1x1x8",
        "(0, 4) mul/float32/1x4x3x8+1x1x1x8/1x4x3x8",
        "(5,) conv_2d/float32/1x4x3x8/1x4x3x24/k1x1/s1x1/same/relu6",
        "(6,) depthwise_conv_2d/float32/1x4x3x24/1x2x2x24/k5x5/s2x2/same/relu6",
        "(7,) conv_2d/float32/1x2x2x24/1x2x2x8/k1x1/s1x1/same",
        "(5,) average_pool_2d/float32/1x4x3x8/1x2x2x8/k3x3/s2x2/same",
        "(8, 9) add/float32/1x2x2x8+1x2x2x8/1x2x2x8",
        "(10,) depthwise_conv_2d/float32/1x2x2x8/1x2x2x8/k3x3/s1x1/same/relu6",
        "(11,) conv_2d/float32/1x2x2x8/1x2x2x8/k1x1/s1x1/same",
        "(12, 10) add/float32/1x2x2x8+1x2x2x8/1x2x2x8",
        "(13,) depthwise_conv_2d/float32/1x2x2x8/1x2x2x8/k3x3/s1x1/same/relu6",
        "(14,) conv_2d/float32/1x2x2x8/1x2x2x16/k1x1/s1x1/same/relu6",
        "(15,) mean/float32/1x2x2x16/1x16",
        "(16,) fully_connected/float32/1x16/1x5",
    ]
    assert lowered.names[5:8] == ("stage0_layer0_scale", "stage1_layer0_expand", "stage1_layer0_depthwise")
    normalised = [name for name, flag in zip(lowered.names, lowered.normalised, strict=True) if flag]
    assert all(name.endswith(("convolution", "expand", "depthwise", "project")) for name in normalised)
    assert len(normalised) == 8


def test_squeeze_width_counts_the_layer_s_input_not_the_expanded_filters() -> None:
    graph = lower(Architecture.parse("in_8x8x3,cv_r1_k3_s1_c16,ir_r2_k3_s1_e6_c40_se0.25,fc_5")).graph
    squeezed = [node.spec.output[-1] for node in graph if node.spec.output[1:3] == (1, 1)]
    assert squeezed == [96, 4, 96, 96, 240, 10, 240, 240]


@pytest.mark.parametrize(
    ("block", "kinds"),
    [
        ("ir_r2_k3_s1_e3_c8", ["add", "add"]),
        ("ir_r2_k3_s2_e3_c8", ["add"]),
        ("ir_r2_k3_s1_e3_c16", ["add"]),
        ("ir_r2_k3_s1_e3_c8_noskip", []),
        ("ir_r2_k3_s2_e3_c8_pool", ["average_pool_2d", "add"] * 2),
        ("ir_r2_k3_s1_e3_c16_pool", ["average_pool_2d", "add"]),
        ("ir_r1_k3_s1_e3_c16_pool", []),
    ],
)
def test_skips_appear_where_shapes_agree(block: str, kinds: list[str]) -> None:
    graph = lower(Architecture.parse(f"in_8x8x3,cv_r1_k3_s1_c8,{block},fc_5")).graph
    assert [node.spec.kind for node in graph if node.spec.kind in ("add", "average_pool_2d")] == kinds


def test_e1_has_no_expansion_and_counts_like_ds() -> None:
    one = lower(Architecture.parse("in_8x8x3,ir_r2_k3_s1_e1_c16,fc_5"))
    other = lower(Architecture.parse("in_8x8x3,ds_r2_k3_s1_c16,fc_5"))
    assert one.graph == other.graph


@given(members(), st.sampled_from(["float32", "int8"]))
def test_every_source_comes_earlier_and_has_the_shape_its_reader_expects(
    architecture: Architecture, dtype: str
) -> None:
    lowered = lower(architecture, dtype)
    graph = lowered.graph
    for position, node in enumerate(graph):
        assert all(source < position for source in node.sources)
        shapes = [
            graph.nodes[source].spec.output if source >= 0 else graph.inputs[0] for source in node.sources
        ]
        assert tuple(shapes) == node.spec.inputs
        assert node.spec.dtype == graph.dtype == dtype
    used = {source for node in graph for source in node.sources}
    assert used == {-1, *range(len(graph.nodes) - 1)}
    assert graph.outputs == (len(graph.nodes) - 1,)
    assert len(set(lowered.names)) == len(lowered.names) == len(lowered.normalised) == len(graph.nodes)
    assert lowered.macs == sum(node.spec.macs for node in graph)


def test_a_single_pixel_is_not_averaged_and_is_added_as_the_converter_adds_it() -> None:
    graph = lower(Architecture.parse("in_1x1x8,ir_r1_k3_s1_e2_c8_se0.25,ds_r1_k3_s2_c8_pool,fc_2")).graph
    assert texts(graph)[:10] == [
        "(-1,) reshape/float32/1x1x1x8/8",
        "(-1,) conv_2d/float32/1x1x1x8/1x1x1x16/k1x1/s1x1/same/relu6",
        "(1,) depthwise_conv_2d/float32/1x1x1x16/1x1x1x16/k3x3/s1x1/same/relu6",
        "(2,) conv_2d/float32/1x1x1x16/1x1x1x2/k1x1/s1x1/same/relu6",
        "(3,) conv_2d/float32/1x1x1x2/1x1x1x16/k1x1/s1x1/same",
        "(4,) logistic/float32/1x1x1x16/1x1x1x16",
        "(2, 5) mul/float32/1x1x1x16+1x1x1x16/1x1x1x16",
        "(6,) conv_2d/float32/1x1x1x16/1x1x1x8/k1x1/s1x1/same",
        "(7, 0) add/float32/1x1x1x8+8/1x1x1x8",
        "(8,) depthwise_conv_2d/float32/1x1x1x8/1x1x1x8/k3x3/s2x2/same/relu6",
    ]
    assert texts(graph)[11:14] == [
        "(8,) average_pool_2d/float32/1x1x1x8/1x1x1x8/k3x3/s2x2/same",
        "(11,) reshape/float32/1x1x1x8/8",
        "(10, 12) add/float32/1x1x1x8+8/1x1x1x8",
    ]


def test_an_unknown_element_type_is_refused() -> None:
    with pytest.raises(BadInput, match="'float16'; allowed: float32, int8"):
        lower(recipe("mobilenetv2"), "float16")


def test_lowering_takes_well_under_a_millisecond() -> None:
    architecture = recipe("mnasnet-a1")
    lower(architecture)
    started = time.process_time()
    for _ in range(100):
        lower(architecture)
    assert (time.process_time() - started) / 100 < 0.001
