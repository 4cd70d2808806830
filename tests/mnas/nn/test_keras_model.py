"""Keras models are what lowering says: parameters, and operators read back from the converted file."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from latency_tables import tflite
from mnas import spaces
from mnas.architecture import Architecture
from mnas.lower import lower
from mnas.nn.backend import keras
from mnas.nn.export import convert
from mnas.nn.keras_model import build
from mnas.recipes import recipe

SMALL = spaces.create("mnasnet-small-images", 28, width=0.1, channels=1, classes=3)
EVERY_KIND = (
    "in_8x7x3,cv_r1_k3_s2_c8_se0.25_re,ir_r2_k5_s2_e3_c8_se0.25_pool,ds_r1_k3_s1_c16_pool,sc_r2_k3_s1_c16,"
    "cv_r2_k1_s2_c16_pool,ir_r2_k3_s1_e1_c16_se1,fc_3"
)


def member(space: spaces.Space, seed: int) -> Architecture:
    return space.decode(spaces.sample(space, random.Random(seed)))


@st.composite
def members(draw: st.DrawFn, name: str) -> Architecture:
    """Any network of the space, at its own width or a narrow one, of an image that all spaces allow."""
    space = spaces.create(
        name,
        draw(st.integers(32, 64)),
        width=draw(st.sampled_from([None, 0.2])),
        channels=draw(st.sampled_from([1, 3])),
        classes=draw(st.integers(1, 20)),
    )
    return space.decode([draw(st.integers(0, len(choice.options) - 1)) for choice in space.choices])


def converted(architecture: Architecture, dtype: str) -> bytes:
    keras.utils.set_random_seed(0)
    shape = (8, architecture.height, architecture.width, architecture.channels)
    return convert(build(architecture), dtype, np.random.default_rng(0).normal(size=shape).astype(np.float32))


def check_both_ways_agree(architecture: Architecture, dtype: str) -> None:
    """Operators, their order, and where their inputs come from."""
    expected, read = lower(architecture, dtype).graph, tflite.read(converted(architecture, dtype))
    assert [(str(node.spec), node.sources) for node in read] == [
        (str(node.spec), node.sources) for node in expected
    ], str(architecture)
    assert read == expected, str(architecture)


@pytest.mark.parametrize(("dtype", "examples"), [("float32", 4), ("int8", 2)])
@pytest.mark.parametrize("name", spaces.names())
def test_lowering_equals_what_is_read_back_from_the_converted_model(
    name: str, dtype: str, examples: int
) -> None:
    # the same few every time, and none made simpler after a failure: a conversion takes a second
    @settings(max_examples=examples, derandomize=True, database=None, phases=[Phase.generate])
    @given(members(name))
    def check(architecture: Architecture) -> None:
        check_both_ways_agree(architecture, dtype)

    check()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_so_it_does_of_blocks_that_no_space_has(dtype: str) -> None:
    check_both_ways_agree(Architecture.parse(EVERY_KIND), dtype)


@pytest.mark.parametrize("name", ["mobilenetv1-0.25", "mobilenetv2-0.5", "mnasnet-a1", "mnasnet-small"])
def test_trainable_parameters_are_the_counted_ones(name: str) -> None:
    architecture = recipe(name).at(64, 64)
    trainable = sum(math.prod(weight.shape) for weight in build(architecture).trainable_weights)
    assert trainable == lower(architecture).parameters


def test_names_of_layers_say_where_they_are() -> None:
    names = [layer.name for layer in build(member(SMALL, 4)).layers]
    assert names[:4] == [
        "image",
        "stage0_layer0_convolution",
        "stage0_layer0_convolution_bn",
        "stage0_layer0_convolution_relu6",
    ]
    assert names[-2:] == ["mean", "logits"]


def test_untrained_networks_keep_the_signal_and_start_undecided() -> None:
    keras.utils.set_random_seed(0)
    architecture = member(SMALL, 5)
    images = np.random.default_rng(0).normal(size=(16, 28, 28, 1)).astype(np.float32)
    logits = np.asarray(build(architecture)(images, training=True))
    assert logits.shape == (16, 3)
    assert np.isfinite(logits).all()
    assert 0 < np.abs(logits).max() < 1


def test_the_same_seed_builds_the_same_weights() -> None:
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        models.append(build(Architecture.parse(EVERY_KIND)))
    for one, other in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
