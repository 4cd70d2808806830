"""Operators: text form, figures that contradict each other, multiply-accumulates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadOpSpec
from latency_tables.ops import ACTIVATIONS, DTYPES, PADDINGS, WINDOWED, OpSpec

sizes = st.integers(1, 3000)
shapes = st.lists(sizes, max_size=5).map(tuple)
pairs = st.tuples(sizes, sizes)
kinds = st.one_of(
    st.sampled_from(["add", "mean", "fully_connected", "same", "relu6", "x", "s2"]),
    st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True).filter(lambda kind: kind not in WINDOWED),
    st.from_regex(r"custom:[A-Za-z0-9_.:-]{1,12}", fullmatch=True),
)
common = {
    "dtype": st.sampled_from(sorted(DTYPES)),
    "inputs": st.lists(shapes, max_size=4).map(tuple),
    "output": shapes,
    "activation": st.none() | st.sampled_from(sorted(ACTIVATIONS)),
    "weights": st.none() | st.sampled_from([*sorted(DTYPES), "int4"]),
    "groups": sizes,
    "dilation": pairs,
}
specs = st.one_of(
    st.builds(OpSpec, kind=kinds, **common),
    st.builds(
        OpSpec,
        kind=st.sampled_from(sorted(WINDOWED)),
        kernel=pairs,
        stride=pairs,
        padding=st.sampled_from(sorted(PADDINGS)),
        **common,
    ),
)


@given(specs)
def test_the_text_form_reads_back(spec: OpSpec) -> None:
    assert OpSpec.parse(str(spec)) == spec


@given(specs, specs)
def test_different_operators_have_different_keys(one: OpSpec, other: OpSpec) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(st.text() | st.text("custom:_2d/x+0123456789kswgd-relu6samevlidfot\n ٣"))
def test_any_other_text_is_refused_in_one_way(text: str) -> None:
    try:
        spec = OpSpec.parse(text)
    except BadOpSpec:
        return
    assert str(spec) == text


@given(specs, st.data())
def test_a_damaged_text_is_refused_or_another_operator(spec: OpSpec, data: st.DataObject) -> None:
    text = str(spec)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = (
        text[:place]
        + data.draw(st.sampled_from(["", "/", "x", "0", "-1", "+", "é", " "]))
        + text[place + 1 :]
    )
    try:
        read = OpSpec.parse(damaged)
    except BadOpSpec:
        return
    assert str(read) == damaged


GOOD = "conv_2d/float32/1x8x8x3/1x4x4x16/k3x3/s2x2/same/relu6"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "''"),
        ("conv_2d", "'conv_2d'"),
        (GOOD.replace("float32", "float33"), "'float33'"),
        (GOOD.replace("1x8x8x3", "1x8x0x3"), "'1x8x0x3'"),
        (GOOD.replace("1x4x4x16", "1x4x4x"), "'1x4x4x'"),
        (GOOD.replace("1x4x4x16", "1x4x4x" + "9" * 5000), "99999'"),
        (GOOD.replace("k3x3", "k3"), "'k3'"),
        (GOOD.replace("k3x3", "k0x3"), "'k0x3'"),
        (GOOD.replace("relu6", "relu7"), "'relu7'"),
        (GOOD.replace("/same", ""), "padding None"),
        (GOOD.replace("/s2x2", ""), "stride None"),
        (GOOD.replace("conv_2d", "Conv 2D"), "'Conv 2D'"),
        (GOOD + "/w:float3", "'float3'"),
        (GOOD + "/relu6", "did you mean"),
        (GOOD + "/relu", "did you mean"),
        ("add/float32/1x8+1x8/1x8/k3x3", "add with kernel (3, 3)"),
        ("add/float32/1x8+/1x8", "''"),
        ("custom:a b/float32/1x8/1x8", "'custom:a b'"),
    ],
)
def test_the_message_quotes_what_is_wrong(text: str, quoted: str) -> None:
    with pytest.raises(BadOpSpec) as caught:
        OpSpec.parse(text)
    assert quoted in str(caught.value)


def test_text_forms_that_tables_hold() -> None:
    """Tables on disk are keyed by these texts: they must never change."""
    for text in (
        GOOD,
        "depthwise_conv_2d/int8/1x14x14x96/1x7x7x96/k5x5/s2x2/valid/d2x2",
        "conv_2d/float32/1x8x8x24/1x8x8x24/k1x1/s1x1/same/g3/w:int8/relu",
        "add/int8/1x28x28x40+1x28x28x40/1x28x28x40",
        "mean/float32/1x7x7x320/1x320",
        "mul/float32/scalar+1x3/1x3",
        "random_uniform/float32/none/2x2",
        "custom:Flex.Inv/float32/3x3/scalar",
    ):
        assert str(OpSpec.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("conv_2d/float32/1x224x224x3/1x112x112x32/k3x3/s2x2/same", 112 * 112 * 32 * 27),
        ("conv_2d/float32/1x8x8x24/1x8x8x48/k3x3/s1x1/same/g3", 8 * 8 * 48 * 9 * 8),
        ("depthwise_conv_2d/float32/1x8x8x24/1x8x8x48/k5x5/s1x1/same", 8 * 8 * 48 * 25),
        ("transpose_conv/float32/1x4x4x8/1x8x8x16/k3x3/s2x2/same", 4 * 4 * 8 * 9 * 16),
        ("fully_connected/float32/1x1280/1x1000", 1_280_000),
        ("fully_connected/float32/1x7x7x64/1x10", 31_360),
        ("fully_connected/float32/1x7x24/1x7x10", 1680),
        ("add/float32/1x8+1x8/1x8", 0),
    ],
)
def test_multiply_accumulates(text: str, macs: int) -> None:
    assert OpSpec.parse(text).macs == macs


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "conv_2d"},
        {"kind": "add", "kernel": (3, 3)},
        {"kind": "add", "padding": "same"},
        {"kind": "conv_2d", "kernel": (3, 3), "stride": (1, 1), "padding": "SAME"},
        {"kind": "conv_2d", "kernel": (3, 3), "stride": (0, 1), "padding": "same"},
        {"kind": "add", "groups": 0},
        {"kind": "add", "dilation": (0, 1)},
        {"kind": "add", "output": (1, 0)},
        {"kind": "add", "activation": "gelu"},
        {"kind": "add", "dtype": "string"},
        {"kind": "add", "weights": "string"},
        {"kind": "a/b"},
        {"kind": ""},
    ],
)
def test_figures_that_contradict_each_other_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(BadOpSpec):
        OpSpec(**{"dtype": "float32", "inputs": ((1, 4, 4, 2),), "output": (1, 4, 4, 2), **fields})
