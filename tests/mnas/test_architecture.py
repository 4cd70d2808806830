"""The block grammar: round trips, and errors that quote what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.architecture import Architecture, Block, rounded_channels
from mnas.errors import BadArchitecture

ratios = st.integers(0, 10_000).map(lambda number: round(number / 10_000, 4))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    kind = draw(st.sampled_from(["cv", "sc", "ds", "ir"]))
    return Block(
        kind,
        repeats=draw(st.integers(1, 64)),
        kernel=draw(st.sampled_from([1, 3, 5, 7, 31])),
        stride=draw(st.integers(1, 8)),
        channels=draw(st.integers(1, 65536)),
        expansion=draw(st.integers(1, 64)) if kind == "ir" else 1,
        se_ratio=draw(st.one_of(st.just(0.0), st.just(0.25), ratios)),
        skip=draw(st.sampled_from(["identity", "pool", "none"])),
        activation=draw(st.sampled_from(["relu6", "relu"])),
    )


architectures = st.builds(
    Architecture,
    height=st.integers(1, 8192),
    width=st.integers(1, 8192),
    channels=st.integers(1, 4096),
    blocks=st.lists(blocks(), min_size=1, max_size=6).map(tuple),
    classes=st.integers(1, 1_000_000),
)


@given(blocks())
def test_block_reads_back_what_it_prints(block: Block) -> None:
    assert Block.parse(str(block)) == block


@given(architectures)
def test_architecture_reads_back_what_it_prints(architecture: Architecture) -> None:
    assert Architecture.parse(str(architecture)) == architecture


@given(blocks(), st.randoms(use_true_random=False))
def test_order_of_tokens_does_not_matter_and_printing_is_canonical(block: Block, random) -> None:
    kind, *tokens = str(block).split("_")
    random.shuffle(tokens)
    assert str(Block.parse("_".join([kind, *tokens]))) == str(block)


def test_a_block_with_every_common_token() -> None:
    block = Block.parse("ir_r3_k5_s2_e3_c40_se0.25")
    assert block == Block("ir", repeats=3, kernel=5, stride=2, expansion=3, channels=40, se_ratio=0.25)
    assert str(block) == "ir_r3_k5_s2_e3_c40_se0.25"


@pytest.mark.parametrize(
    ("text", "quoted", "advice"),
    [
        ("xx_r1_k3_s1_c16", "'xx'", "cv, sc, ds, ir"),
        ("", "''", "cv, sc, ds, ir"),
        ("ir_r1_k3_s1_e6_c16_q4", "'q4'", "noskip or pool"),
        ("ir_r1_k3_s1_e6_cx", "'cx'", "whole number"),
        ("ir_r1_k3_s1_e-6_c16", "'e-6'", "whole number"),
        ("ir_r1_k3_s1_e6_c١٦", "'c١٦'", "whole number"),
        ("ir_r1_k3_s1_e6_c16_se", "'se'", "se with a ratio"),
        ("ir_r1_k3_s1_e6_c16_senan", "'senan'", "se with a ratio"),
        ("ir_r1_k3_s1_e6_c16_", "''", "noskip or pool"),
        ("ir_r1_k3_s1_e6_c16_c24", "'c24'", "second time"),
        ("ir_r1_k3_s1_e6_c16_noskip_pool", "'pool'", "second time"),
        ("ir_r1_k3_s1_c16", "'ir_r1_k3_s1_c16'", "lacks e (expansion)"),
        ("cv_c16", "'cv_c16'", "lacks r (repeats), k (kernel), s (stride)"),
        ("cv_r1_k3_s1_e6_c16", "'e6'", "only ir"),
        ("cv_r1_k3_s1_e1_c16", "'e1'", "only ir"),
        ("cv_r0_k3_s1_c16", "'cv_r0_k3_s1_c16'", "1 to 64"),
        ("cv_r1_k4_s1_c16", "kernel 4", "odd"),
        ("cv_r1_k3_s1_c0", "channels 0", "1 to"),
        ("cv_r1_k3_s1_c16_se1.5", "1.5", "0 to 1"),
        ("cv_r1_k3_s1_c16_se0.00001", "1e-05", "4 decimals"),
        ("cv_r1_k3_s1_c999999999", "channels 999999999", "1 to"),
        ("cv_r1_k3_s1_c9999999999", "'c9999999999'", "whole number"),
    ],
)
def test_bad_blocks_are_refused_with_the_token(text: str, quoted: str, advice: str) -> None:
    with pytest.raises(BadArchitecture) as caught:
        Block.parse(text)
    assert quoted in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "''"),
        ("cv_r1_k3_s2_c32,fc_10", "'cv_r1_k3_s2_c32'"),
        ("in_32x32,cv_r1_k3_s2_c32,fc_10", "'in_32x32'"),
        ("in_32x32x3,cv_r1_k3_s2_c32", "'cv_r1_k3_s2_c32'"),
        ("in_32x32x3", "''"),
        ("in_32x32x3,fc_10", "without blocks"),
        ("in_32x32x3,cv_r1_k3_s2_c32,,fc_10", "''"),
        ("in_32x32x3,cv_r1_k3_s2_w32,fc_10", "'w32'"),
        ("in_0x32x3,cv_r1_k3_s2_c32,fc_10", "height 0"),
        ("in_32x32x3,cv_r1_k3_s2_c32,fc_0", "classes 0"),
        ("in_99999x32x3,cv_r1_k3_s2_c32,fc_10", "height 99999"),
    ],
)
def test_bad_architectures_are_refused_with_the_token(text: str, quoted: str) -> None:
    with pytest.raises(BadArchitecture) as caught:
        Architecture.parse(text)
    assert quoted in str(caught.value)


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    for parse in (Block.parse, Architecture.parse):
        with pytest.raises(BadArchitecture):
            parse(text)


def test_white_space_around_tokens_is_ignored() -> None:
    text = " in_32x32x3, cv_r1_k3_s2_c32 ,fc_10\n"
    assert str(Architecture.parse(text)) == "in_32x32x3,cv_r1_k3_s2_c32,fc_10"


def test_at_changes_the_image_and_scaled_the_filters() -> None:
    architecture = Architecture.parse("in_224x224x3,cv_r1_k3_s2_c32,ir_r2_k3_s1_e6_c24_se0.25,fc_1000")
    assert str(architecture.at(32, 48)) == "in_32x48x3,cv_r1_k3_s2_c32,ir_r2_k3_s1_e6_c24_se0.25,fc_1000"
    small = architecture.at(28, 28, channels=1, classes=10).scaled(0.5)
    assert str(small) == "in_28x28x1,cv_r1_k3_s2_c16,ir_r2_k3_s1_e6_c16_se0.25,fc_10"
    assert architecture.scaled(1.0) == architecture
    for multiplier in (0, -1, 17, float("nan")):
        with pytest.raises(BadArchitecture, match="width multiplier"):
            architecture.scaled(multiplier)


@pytest.mark.parametrize("channels", [float("inf"), float("nan")])
def test_filters_without_end_are_refused(channels: float) -> None:
    with pytest.raises(BadArchitecture, match=f"{channels} filters"):
        rounded_channels(channels)


@given(st.floats(0.01, 5000))
def test_rounded_channels_follows_the_published_rule(channels: float) -> None:
    rounded = rounded_channels(channels)
    assert rounded % 8 == 0
    assert rounded >= max(8, 0.9 * channels)
    assert rounded <= max(8, channels + 8)
