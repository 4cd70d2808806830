import itertools
from collections.abc import Sequence

import pytest

from mnas import spaces
from mnas.architecture import Architecture
from mnas.least import fastest
from mnas.lower import lower_block, lower_classifier
from mnas.spaces import StagedSpace
from tests.mnas.test_latency import cost, price
from tests.mnas.toy import MacsLatency, ToySpace


def least_exactly(space: StagedSpace, seed: str) -> float:
    """Stage after stage, the least cost of reaching each shape: exact where a stage sees only its input."""

    def total(nodes: Sequence[object]) -> float:
        return sum(price(node.spec, seed) for node in nodes)  # type: ignore[attr-defined]

    stem, head = space.frame.blocks
    start = lower_block(stem, (1, space.resolution, space.resolution, space.frame.channels), "float32")
    reached = {start.output: total(start.nodes)}
    for stage, positions in enumerate(space.stages):
        after: dict[tuple[int, ...], float] = {}
        menus = [range(len(space.choices[at].options)) for at in positions]
        for shape, so_far in reached.items():
            for indices in itertools.product(*menus):
                segment = lower_block(space.block(stage, indices, shape[-1]), shape, "float32")
                spent = so_far + total(segment.nodes)
                after[segment.output] = min(spent, after.get(segment.output, spent))
        reached = after
    ends = []
    for shape, so_far in reached.items():
        last = lower_block(head, shape, "float32")
        classifier = lower_classifier(last.output, space.frame.classes, "float32")
        ends.append(so_far + total(last.nodes) + total(classifier.nodes))
    return min(ends)


@pytest.mark.parametrize("seed", ["a", "b"])
def test_the_fastest_of_a_real_space_is_found(seed: str) -> None:
    space = spaces.create("mnasnet-small-images", classes=10)
    indices, least = fastest(space, lambda architecture: cost(architecture, seed))
    assert least == pytest.approx(cost(space.decode(indices), seed))
    assert least == pytest.approx(least_exactly(space, seed), rel=0.01)


def test_the_fastest_of_a_toy_space_is_found() -> None:
    space = ToySpace(2)
    sizes = [range(len(choice.options)) for choice in space.choices]
    for seed in "abc":
        least = min(cost(space.decode(indices), seed) for indices in itertools.product(*sizes))
        assert fastest(space, lambda architecture, s=seed: cost(architecture, s))[1] == pytest.approx(least)


def test_looking_stops_when_it_is_fast_enough() -> None:
    asked = []

    def count(architecture: Architecture) -> float:
        asked.append(architecture)
        return MacsLatency().predict_ms(architecture)

    fastest(ToySpace(), count, enough=1000)
    assert len(asked) == 1
