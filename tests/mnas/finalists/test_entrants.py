from __future__ import annotations

from pathlib import Path

import pytest

from mnas import recipes, spaces
from mnas.errors import BadInput
from mnas.finalists.entrants import baseline, entrants
from mnas.latency import Latency
from mnas.lower import lower
from tests.mnas import finished


def test_a_baseline_has_the_spaces_strides_head_and_image() -> None:
    like = finished.architecture(3)
    own = baseline("mobilenetv2-0.35", like)
    published = recipes.recipe("mobilenetv2-0.35")
    assert [block.stride for block in own.blocks] == [2, 1, 2, 2, 1, 1, 1, 1, 1]
    assert (own.height, own.width, own.channels, own.classes) == (32, 32, 1, 10)
    assert own.blocks[-1].channels == like.blocks[-1].channels == 320
    for mine, theirs in zip(own.blocks[:-1], published.blocks[:-1], strict=True):
        assert (mine.kind, mine.expansion, mine.kernel, mine.repeats, mine.channels) == (
            theirs.kind,
            theirs.expansion,
            theirs.kernel,
            theirs.repeats,
            theirs.channels,
        )


def test_stages_work_at_the_spaces_resolutions() -> None:
    def outputs(name_like: str) -> list[int]:
        graph = lower(baseline(name_like, finished.architecture(0))).graph
        return sorted({node.spec.output[1] for node in graph if len(node.spec.output) == 4})

    assert outputs("mobilenetv2-0.5") == [8 // 2, 8, 16]


def test_in_the_large_space_mobilenetv2_stays_as_published() -> None:
    space = spaces.create("mnasnet")
    like = space.decode((0,) * len(space.choices))
    assert baseline("mobilenetv2", like) == recipes.recipe("mobilenetv2")


def test_a_baseline_that_does_not_fit_is_refused() -> None:
    like = finished.architecture(0)
    with pytest.raises(BadInput, match="has 6 blocks, this space's networks have 9"):
        baseline("mobilenetv1", like)
    with pytest.raises(BadInput, match="mobilenetv7"):
        baseline("mobilenetv7", like)


def test_finalists_come_before_baselines(tmp_path: Path) -> None:
    run = finished.searched(tmp_path / "run", finished.POINTS)
    found = entrants(run, 3, ["mobilenetv2-0.5"])
    assert [one.role for one in found] == ["finalist"] * 3 + ["baseline"]
    assert [one.name for one in found] == ["trial-0", "trial-3", "trial-6", "mobilenetv2-0.5"]
    assert found[1].search_accuracy == 0.88
    assert found[1].search_latency == Latency(0.90)
    assert str(found[1].architecture) == str(finished.architecture(3))


def test_a_run_without_candidates_has_no_entrants(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run mnas search first"):
        entrants(finished.searched(tmp_path / "run", ()), 3, ())
