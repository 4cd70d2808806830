from __future__ import annotations

import random
import re

import pytest

from latency_tables.judging.baselines import part
from mnas import spaces
from mnas.errors import BadInput
from mnas.lower import lower
from mnas.spaces.layers import Layers

SMALL = spaces.create("mnasnet-small-images", resolution=28, width=0.1, classes=10)


@pytest.fixture(scope="module")
def layers() -> Layers:
    return Layers(SMALL)


def test_layers_are_what_lowering_calls_them(layers: Layers) -> None:
    rng = random.Random(0)
    for _ in range(20):
        lowered = lower(SMALL.decode(spaces.sample(SMALL, rng)))
        found = layers(lowered.graph)
        assert [index for nodes in found for index in nodes] == list(range(len(lowered.graph.nodes)))
        layer = [re.match(r"stage\d+_layer\d+", name) for name in lowered.names]
        cut = [{one[0] for one in layer[nodes.start : nodes.stop]} for nodes in found[:-1]]
        assert [len(names) for names in cut] == [1] * len(cut)
        assert len(set.union(*cut)) == len(cut)
        assert lowered.names[found[-1].start : found[-1].stop] == ("mean", "logits")


def test_a_layer_has_one_input_and_one_output(layers: Layers) -> None:
    rng = random.Random(1)
    for _ in range(10):
        graph = lower(SMALL.decode(spaces.sample(SMALL, rng))).graph
        for nodes in layers(graph):
            cut = part(graph, nodes)
            assert (len(cut.inputs), cut.outputs) == (1, (len(nodes) - 1,))


def test_every_layer_of_a_network_is_one_of_the_space(layers: Layers) -> None:
    every = layers.every()
    assert len(set(every)) == len(every)
    rng = random.Random(2)
    seen = set()
    for _ in range(200):
        graph = lower(SMALL.decode(spaces.sample(SMALL, rng))).graph
        seen |= {graph.specs[nodes.start : nodes.stop] for nodes in layers(graph)}
    assert seen <= set(every)
    assert len(seen) > 0.5 * len(every)


def test_networks_of_other_spaces_have_no_layers(layers: Layers) -> None:
    other = spaces.create("mnasnet-small-images", resolution=32, width=0.1, classes=10)
    graph = lower(other.decode((0,) * len(other.choices))).graph
    with pytest.raises(BadInput, match="is none of the space mnasnet-small-images"):
        layers(graph)


def test_a_space_without_stages_has_no_layers() -> None:
    class Flat:
        name, resolution, choices = "flat", 28, ()

        def decode(self, indices: object) -> None:
            raise AssertionError

    with pytest.raises(BadInput, match="no StagedSpace"):
        Layers(Flat())  # type: ignore[arg-type]  # what is wrong with it is the test
