"""Spaces: the paper's decisions, decoding, sampling, and every operator without walking all networks."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas import spaces
from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.lower import lower, lower_block
from mnas.recipes import recipe
from mnas.spaces import Choice, StagedSpace
from mnas.spaces.mnasnet import DECISIONS, STAGES

FULL = spaces.create("mnasnet")
SMALL = spaces.create("mnasnet-small-images", channels=1, classes=10)


def indices(space: spaces.Space) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, len(choice.options) - 1) for choice in space.choices))


def middle(space: spaces.Space, **decisions: object) -> tuple[int, ...]:
    """Option indices with the same decision in every stage that offers it, the first option elsewhere."""
    return tuple(
        choice.options.index(decisions[decision])
        if (decision := choice.name.split("_")[1]) in decisions and decisions[decision] in choice.options
        else 0
        for choice in space.choices
    )


def test_the_choices_are_the_paper_s() -> None:
    assert len(FULL.choices) == 7 * 6
    names = [choice.name for choice in FULL.choices]
    assert names == [f"stage{stage}_{decision}" for stage in range(1, 8) for decision in DECISIONS]
    third = {choice.name.split("_")[1]: choice.options for choice in FULL.choices[12:18]}
    assert third == {
        "operation": ("cv", "ds", "ir_e3", "ir_e6"),
        "kernel": (3, 5),
        "se": (0.0, 0.25),
        "skip": ("pool", "identity", "none"),
        "filters": (24, 32, 40),
        "layers": (2, 3, 4),
    }


def test_layers_never_go_below_one_and_equal_filters_are_merged() -> None:
    first = {choice.name: choice.options for choice in FULL.choices[:6]}
    assert first["stage1_layers"] == (1, 2)
    assert first["stage1_filters"] == (16, 24)
    with pytest.raises(BadInput, match="all different"):
        Choice("filters", (16, 16))


def test_the_skeleton_is_mobilenetv2_s() -> None:
    vector = middle(FULL, operation="ir_e6", skip="identity")
    blocks = FULL.decode(vector).blocks
    assert (str(blocks[0]), str(blocks[-1])) == ("cv_r1_k3_s2_c32_noskip", "cv_r1_k1_s1_c1280_noskip")
    assert [block.stride for block in blocks[1:-1]] == [stage.stride for stage in STAGES]
    for positions, stage in zip(FULL.stages, STAGES, strict=True):
        filters, layers = (
            FULL.choices[positions.start + 4].options,
            FULL.choices[positions.start + 5].options,
        )
        assert stage.filters in filters
        assert stage.layers in layers


@pytest.mark.parametrize("space", [FULL, SMALL], ids=lambda space: space.name)
def test_decoded_networks_read_back_and_follow_their_choices(space: spaces.Space) -> None:
    @given(indices(space))
    def check(vector: tuple[int, ...]) -> None:
        architecture = space.decode(vector)
        assert Architecture.parse(str(architecture)) == architecture
        assert architecture.height == architecture.width == space.resolution
        options = [choice.options[index] for choice, index in zip(space.choices, vector, strict=True)]
        for block, first in zip(architecture.blocks[1:-1], range(0, len(options), 6), strict=True):
            operation, kernel, se, skip, filters, layers = options[first : first + 6]
            assert operation == (f"ir_e{block.expansion}" if block.kind == "ir" else block.kind)
            assert (kernel, se, filters, layers) == (
                block.kernel,
                block.se_ratio,
                block.channels,
                block.repeats,
            )
            assert block.skip in (skip, "none")

    check()


def test_a_skip_that_no_layer_can_have_decodes_to_none() -> None:
    single = {"layers": 1, "filters": 24}
    for skip in ("pool", "identity", "none"):
        assert FULL.decode(middle(FULL, skip=skip, **single)).blocks[1].skip == "none"
    vector = list(middle(FULL, skip="pool"))
    assert FULL.decode(vector).blocks[3].skip == "pool"  # two layers: the second has one


@given(indices(FULL), st.integers(0, 41), st.integers(0, 4))
def test_texts_differ_exactly_where_networks_do(vector: tuple[int, ...], position: int, index: int) -> None:
    changed = list(vector)
    changed[position] = index % len(FULL.choices[position].options)
    one, other = FULL.decode(vector), FULL.decode(changed)
    assert (str(one) == str(other)) == (lower(one).graph == lower(other).graph)
    if one == other and changed != list(vector):
        assert FULL.choices[position].name.endswith("_skip")


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ((0,) * 41, "41 option indices; this space has 42"),
        ((0,) * 43, "43 option indices"),
        ((4,) + (0,) * 41, r"index 4 of choice stage1_operation; allowed: 0 to 3"),
        ((-1,) + (0,) * 41, r"index -1 of choice stage1_operation"),
    ],
)
def test_wrong_indices_are_refused(vector: Sequence[int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        FULL.decode(vector)


@pytest.mark.parametrize("resolution", [28, 32, 48, 64])
def test_small_images_keep_an_eighth_of_the_resolution(resolution: int) -> None:
    space = spaces.create("mnasnet-small-images", resolution, channels=1, classes=10)
    graph = lower(space.decode((0,) * len(space.choices))).graph
    assert graph.nodes[-2].spec.inputs[0][1:3] == (-(-resolution // 8),) * 2


@pytest.mark.parametrize("resolution", [0, 8, 27, 65, 224])
def test_small_images_refuses_other_resolutions(resolution: int) -> None:
    with pytest.raises(BadInput, match=f"resolution {resolution} .*28 to 64"):
        spaces.create("mnasnet-small-images", resolution)


@pytest.mark.parametrize("resolution", [-1, 0, 8, 31])
def test_the_papers_space_refuses_images_smaller_than_its_stride(resolution: int) -> None:
    with pytest.raises(BadInput, match=f"resolution {resolution} of the space mnasnet; allowed: 32 pixels"):
        spaces.create("mnasnet", resolution)
    assert spaces.create("mnasnet", 32).resolution == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnasnet", "width": 0.0}, r"width 0\.0"),
        ({"name": "mnasnet", "width": float("nan")}, "width nan"),
        ({"name": "mnasnet", "width": float("inf")}, "width inf"),
        ({"name": "mnasnet-small-images", "width": float("inf")}, "width inf"),
        ({"name": "mnasnet", "classes": 0}, "classes 0"),
        ({"name": "mnasnet", "channels": 0}, "channels 0"),
        ({"name": "nasnet"}, "'nasnet'; allowed: mnasnet, mnasnet-small-images"),
    ],
)
def test_impossible_spaces_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        spaces.create(**arguments)  # type: ignore[arg-type]  # on purpose


def test_names_and_defaults() -> None:
    assert spaces.names() == ("mnasnet", "mnasnet-small-images")
    assert [spaces.create(name).name for name in spaces.names()] == list(spaces.names())
    assert (FULL.resolution, SMALL.resolution) == (224, 32)
    wide = spaces.create("mnasnet", 160, width=1.4)
    assert (wide.resolution, wide.decode((0,) * 42).blocks[-1].channels) == (160, 1792)


def test_sampling_is_seeded_and_reaches_every_option() -> None:
    vectors = [spaces.sample(FULL, random.Random(seed)) for seed in range(200)]
    assert vectors == [spaces.sample(FULL, random.Random(seed)) for seed in range(200)]
    for choice, seen in zip(FULL.choices, zip(*vectors, strict=True), strict=True):
        assert set(seen) == set(range(len(choice.options)))


def test_size_counts_the_option_vectors() -> None:
    assert spaces.size(SMALL) > 1e17
    assert spaces.size(FULL) == (4 * 2 * 2 * 3) ** 7 * (2 * 2) * (2 * 3) * (3 * 3) ** 4 * (3 * 2)


def test_random_networks_have_no_operator_that_was_not_enumerated() -> None:
    rng = random.Random(0)
    for space, dtype in (
        (FULL, "float32"),
        (SMALL, "int8"),
        (spaces.create("mnasnet", 96, width=0.35), "float32"),
    ):
        known = set(spaces.operators(space, dtype).specs)
        for _ in range(50):
            assert set(lower(space.decode(spaces.sample(space, rng)), dtype).graph.specs) <= known


@pytest.mark.parametrize("space", [FULL, SMALL], ids=lambda space: space.name)
def test_random_networks_are_made_of_the_enumerated_blocks(space: StagedSpace) -> None:
    """Their operators are the stem's, one block's of each stage and a tail's, and no others."""
    every = spaces.operators(space, "float32")
    numbers = {spec: number for number, spec in enumerate(every.specs)}
    rng = random.Random(1)
    for _ in range(20):
        vector = spaces.sample(space, rng)
        shape, contained = every.start, set(every.stem)
        for number, positions in enumerate(space.stages):
            own = vector[positions.start : positions.stop]
            segment = lower_block(space.block(number, own, shape[-1]), shape, "float32")
            found = frozenset(numbers[node.spec] for node in segment.nodes)
            assert (found, segment.output) in {
                (block.operators, block.output) for block in every.blocks[number][shape]
            }
            shape, contained = segment.output, contained | found
        contained |= every.tails[shape]
        assert {numbers[spec] for spec in lower(space.decode(vector)).graph.specs} == contained


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_mobilenetv2_has_no_operator_beyond_the_papers_space(dtype: str) -> None:
    """So that a table of that space predicts it."""
    every = set(spaces.operators(FULL, dtype).specs)
    assert set(lower(recipe("mobilenetv2").at(224, 224), dtype).graph.specs) <= every
    assert not set(lower(recipe("mobilenetv2").at(192, 192), dtype).graph.specs) <= every


def test_the_full_space_has_about_a_thousand_operators_counted_within_seconds() -> None:
    started = time.process_time()
    found = spaces.operators(spaces.create("mnasnet", classes=999), "float32")
    assert time.process_time() - started < 5
    assert len(found.specs) == len(set(found.specs)) == 909


class Bare:
    """A space that does not tell its stages."""

    name = "bare"
    resolution = 32
    choices = (Choice("kernel", (3, 5)),)

    def decode(self, indices: Sequence[int]) -> Architecture:
        return Architecture.parse("in_32x32x3,cv_r1_k3_s2_c32,fc_10")


def test_operators_of_a_space_without_stages_are_refused_not_guessed() -> None:
    assert isinstance(FULL, StagedSpace)
    with pytest.raises(BadInput, match="bare is no StagedSpace"):
        spaces.operators(Bare(), "float32")
