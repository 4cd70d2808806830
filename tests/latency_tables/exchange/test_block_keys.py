"""Keys of public tables: their text form, and that they stand for the operators which networks have."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadTable
from latency_tables.exchange.block_keys import (
    DIALECTS,
    MNASNET,
    ONCE_FOR_ALL,
    PROXYLESSNAS,
    BlockKey,
    Dialect,
    key_of,
    operators,
)
from mnas.architecture import Block
from mnas.lower import lower_block, lower_classifier

#: as their makers' own readers write them: `latency_estimator.py` and `latency_lookup_table.py`
PROXYLESS_KEYS = (
    "Conv-input:224x224x3-output:112x112x32",
    "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0",
    "expanded_conv-input:56x56x24-output:56x56x24-expand:6-kernel:7-stride:1-idskip:1",
    "Conv_1-input:7x7x320-output:7x7x1280",
    "Logits-input:7x7x1280-output:1000",
)
OFA_KEYS = (
    "Conv-input:160x160x3-output:80x80x24",
    "expanded_conv-input:80x80x24-output:80x80x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0",
    "expanded_conv-input:40x40x32-output:20x20x48-expand:96-kernel:5-stride:2-idskip:0-se:1-hs:0",
    "expanded_conv-input:20x20x48-output:10x10x96-expand:192-kernel:7-stride:2-idskip:0-se:0-hs:1",
    "Conv_1-input:5x5x192-output:5x5x1152",
    "AvgPool2D-input:5x5x1152-output:1x1x1152",
    "Conv_2-input:1x1x1152-output:1x1x1536",
    "Logits-input:1x1x1536-output:1000",
)


@pytest.mark.parametrize("text", PROXYLESS_KEYS + OFA_KEYS)
def test_keys_of_public_tables_are_read_back(text: str) -> None:
    assert str(BlockKey.parse(text)) == text


def test_a_bottleneck_of_proxylessnas_is_these_operators() -> None:
    unit = operators(BlockKey.parse(PROXYLESS_KEYS[2]), PROXYLESSNAS)
    assert [str(spec) for spec in unit] == [
        "conv_2d/float32/1x56x56x24/1x56x56x144/k1x1/s1x1/same/relu6",
        "depthwise_conv_2d/float32/1x56x56x144/1x56x56x144/k7x7/s1x1/same/relu6",
        "conv_2d/float32/1x56x56x144/1x56x56x24/k1x1/s1x1/same",
        "add/float32/1x56x56x24+1x56x56x24/1x56x56x24",
    ]


def test_a_bottleneck_of_once_for_all_has_its_own_squeeze_excite() -> None:
    unit = operators(BlockKey.parse(OFA_KEYS[2]), ONCE_FOR_ALL, "int8")
    assert [str(spec) for spec in unit] == [
        "conv_2d/int8/1x40x40x32/1x40x40x96/k1x1/s1x1/same/relu",
        "depthwise_conv_2d/int8/1x40x40x96/1x20x20x96/k5x5/s2x2/same/relu",
        "mean/int8/1x20x20x96/1x1x1x96",
        "conv_2d/int8/1x1x1x96/1x1x1x24/k1x1/s1x1/same/relu",
        "conv_2d/int8/1x1x1x24/1x1x1x96/k1x1/s1x1/same",
        "add/int8/1x1x1x96/1x1x1x96/relu6",
        "mul/int8/1x1x1x96/1x1x1x96",
        "mul/int8/1x20x20x96+1x1x1x96/1x20x20x96",
        "conv_2d/int8/1x20x20x96/1x20x20x48/k1x1/s1x1/same",
    ]


def test_hard_swish_is_an_operator_of_its_own() -> None:
    kinds = [spec.kind for spec in operators(BlockKey.parse(OFA_KEYS[3]), ONCE_FOR_ALL)]
    assert kinds == ["conv_2d", "hard_swish", "depthwise_conv_2d", "hard_swish", "conv_2d"]


@pytest.mark.parametrize(
    "block",
    [
        Block(kind, repeats=1, kernel=kernel, stride=stride, channels=filters, expansion=e, se_ratio=se)
        for kind, e in (("ir", 3), ("ir", 6), ("ir", 1), ("ds", 1))
        for kernel, stride, filters, se in product((3, 5), (1, 2), (24, 40), (0.0, 0.25))
    ],
    ids=str,
)
def test_blocks_of_this_project_have_keys_that_stand_for_them(block: Block) -> None:
    nodes = lower_block(block, (1, 28, 28, 24), "float32").nodes
    unit = tuple(node.spec for node in nodes)
    key = key_of(unit, MNASNET)
    assert key is not None
    assert key.skip == (block.stride == 1 and block.channels == 24)
    assert operators(BlockKey.parse(str(key)), MNASNET) == unit


def test_stem_head_and_classifier_have_keys() -> None:
    stem = Block("cv", repeats=1, kernel=3, stride=2, channels=32, skip="none")
    head = Block("cv", repeats=1, kernel=1, stride=1, channels=1280, skip="none")
    parts = (
        (lower_block(stem, (1, 224, 224, 3), "float32"), "Conv-input:224x224x3-output:112x112x32"),
        (lower_block(head, (1, 7, 7, 320), "float32"), "Conv_1-input:7x7x320-output:7x7x1280"),
        (lower_classifier((1, 7, 7, 1280), 1000, "float32"), "Logits-input:7x7x1280-output:1000"),
    )
    for segment, expected in parts:
        unit = tuple(node.spec for node in segment.nodes)
        key = key_of(unit, PROXYLESSNAS)
        assert str(key) == expected
        assert key is not None
        assert operators(key, PROXYLESSNAS) == unit


@pytest.mark.parametrize(
    "block",
    [
        Block("cv", repeats=1, kernel=5, stride=1, channels=24),
        Block("cv", repeats=1, kernel=3, stride=1, channels=24),
        Block("sc", repeats=1, kernel=3, stride=1, channels=24, skip="none"),
        Block("ds", repeats=1, kernel=3, stride=2, channels=24, skip="pool"),
        Block("ir", repeats=2, kernel=3, stride=1, channels=24, expansion=3),
        Block("ir", repeats=1, kernel=3, stride=1, channels=24, expansion=3, se_ratio=0.5),
        Block("ir", repeats=1, kernel=3, stride=1, channels=24, expansion=3, activation="relu"),
    ],
    ids=str,
)
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_what_no_key_says_has_none(block: Block, dialect: Dialect) -> None:
    unit = tuple(node.spec for node in lower_block(block, (1, 28, 28, 24), "float32").nodes)
    if dialect is ONCE_FOR_ALL and block.activation == "relu":
        assert key_of(unit, dialect) is not None
    else:
        assert key_of(unit, dialect) is None


@pytest.mark.parametrize("text", OFA_KEYS)
def test_every_public_key_is_told_from_its_operators(text: str) -> None:
    assert str(key_of(operators(BlockKey.parse(text), ONCE_FOR_ALL), ONCE_FOR_ALL)) == text


@given(
    size=st.integers(1, 64),
    filters=st.sampled_from((8, 16, 24)),
    expand=st.integers(1, 6),
    kernel=st.sampled_from((3, 5, 7)),
    stride=st.integers(1, 2),
    skip=st.booleans(),
    se=st.booleans(),
    hs=st.booleans(),
    dialect=st.sampled_from(tuple(DIALECTS.values())),
)
def test_a_key_is_told_from_its_operators(
    *,
    size: int,
    filters: int,
    expand: int,
    kernel: int,
    stride: int,
    skip: bool,
    se: bool,
    hs: bool,
    dialect: Dialect,
) -> None:
    skip = skip and stride == 1
    ratio = dialect.expand_is_ratio
    out = -(-size // stride)
    key = BlockKey(
        "expanded_conv",
        (size, size, filters),
        (out, out, filters),
        expand if ratio else expand * filters,
        kernel,
        stride,
        skip,
        None if ratio else se and out > 1,
        None if ratio else hs,
    )
    assert BlockKey.parse(str(key)) == key
    assert key_of(operators(key, dialect), dialect) == key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the form is"),
        ("Conv", "the form is"),
        ("Conv-input:224x224-output:112x112x32", "the form is"),
        ("Conv-input:0x224x3-output:112x112x32", "the form is"),
        ("expanded_conv-input:7x7x3-output:7x7x3", "the form is"),
        ("Conv-input:7x7x3-output:7x7x3-expand:3-kernel:5-stride:2-idskip:0", "the form is"),
        ("Conv-input:7x7x3-output:1000", "all others HxWxC"),
        ("Logits-input:7x7x3-output:7x7x3", "number of classes"),
        ("moon-input:7x7x3-output:7x7x3", "the form is"),
    ],
)
def test_what_is_no_key_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        BlockKey.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "expanded_conv-input:8x8x16-output:8x8x16-expand:3-kernel:3-stride:2-idskip:0",
        "expanded_conv-input:8x8x16-output:8x8x24-expand:3-kernel:3-stride:1-idskip:1",
        "AvgPool2D-input:5x5x1152-output:1x1x1000",
        "Conv-input:9x9x3-output:4x4x8",
    ],
)
def test_a_key_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(BadTable, match=r"by its own strides|another shape"):
        operators(BlockKey.parse(text), PROXYLESSNAS)
