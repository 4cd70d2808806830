"""Figures of many networks are those of each; a file's size is close to that of the file."""

import random

import numpy as np
import pytest

from latency_tables.tflite import write
from mnas import spaces
from mnas.lower import lower
from mnas.sizes import file_bytes, float32_bytes_of, parameters, parameters_of
from tests.mnas.toy import ToySpace

SPACES = {
    "small": spaces.create("mnasnet-small-images", resolution=28, width=0.25, channels=1, classes=10),
    "narrow": spaces.create("mnasnet-small-images", resolution=28, width=0.05, channels=1, classes=10),
}


def drawn(name: str, count: int) -> np.ndarray:
    rng = random.Random(name)
    return np.array([spaces.sample(SPACES[name], rng) for _ in range(count)])


@pytest.mark.parametrize("name", SPACES)
def test_many_are_what_each_is(name: str) -> None:
    space, points = SPACES[name], drawn(name, 50)
    networks = [space.decode(row) for row in points.tolist()]
    assert parameters_of(space)(points).tolist() == [parameters(one) for one in networks]
    np.testing.assert_allclose(float32_bytes_of(space)(points), [file_bytes(one) for one in networks])
    assert parameters_of(space)(points[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "dtype", "off"),
    [
        ("small", "float32", 0.003),
        ("small", "int8", 0.01),
        ("narrow", "float32", 0.02),
        ("narrow", "int8", 0.05),
    ],
)
def test_a_file_has_about_the_size(name: str, dtype: str, off: float) -> None:
    for row in drawn(name, 12).tolist():
        network = SPACES[name].decode(row)
        written = len(write(lower(network, dtype).graph))
        assert file_bytes(network, dtype) == pytest.approx(written, rel=off)


def test_parameters_are_those_that_lowering_counts() -> None:
    network = ToySpace().decode((0,) * 12)
    assert parameters(network) == lower(network).parameters
