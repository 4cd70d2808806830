"""Known networks against their published figures (design facts: torchvision's metadata and the papers)."""

from __future__ import annotations

import pytest

from mnas import recipes
from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.lower import lower

EXACT = [
    ("mobilenetv1", 224, 4_231_976, 568_740_352),
    ("mobilenetv2", 224, 3_504_872, 300_774_272),
    ("mnasnet-a1", 224, 3_887_038, 311_579_072),
    ("mnasnet-b1", 224, 4_383_312, 314_415_872),
    ("mnasnet-small", 224, 2_030_264, 68_339_184),
]
#: parameters exactly, multiply-accumulates in tenths of a million
ROUNDED = [
    ("mobilenetv1-0.75", 224, 2_585_560, 325.4),
    ("mobilenetv1-0.5", 224, 1_331_592, 149.5),
    ("mobilenetv1-0.25", 224, 470_072, 41.0),
    ("mobilenetv2-0.75", 224, 2_636_424, 209.1),
    ("mobilenetv2-0.5", 224, 1_968_680, 97.1),
    ("mobilenetv2-1.4", 224, 6_108_776, 582.2),
    ("mnasnet-a1-0.5", 224, 2_082_006, 103.2),
    ("mnasnet-a1-1.4", 224, 6_105_992, 586.3),
    ("mnasnet-a1", 192, 3_887_038, 229.3),
]


@pytest.mark.parametrize(("name", "resolution", "parameters", "macs"), EXACT)
def test_parameters_and_macs_are_exactly_the_published_ones(
    name: str, resolution: int, parameters: int, macs: int
) -> None:
    lowered = lower(recipes.recipe(name).at(resolution, resolution))
    assert (lowered.parameters, lowered.macs) == (parameters, macs)


@pytest.mark.parametrize(("name", "resolution", "parameters", "million_macs"), ROUNDED)
def test_other_widths_and_resolutions_have_their_published_figures(
    name: str, resolution: int, parameters: int, million_macs: float
) -> None:
    lowered = lower(recipes.recipe(name).at(resolution, resolution))
    assert (lowered.parameters, round(lowered.macs / 1e6, 1)) == (parameters, million_macs)


def test_every_published_name_is_a_recipe_whose_text_reads_back() -> None:
    assert set(recipes.names()) <= set(recipes.published())
    for name in recipes.published():
        architecture = recipes.recipe(name)
        assert Architecture.parse(str(architecture)) == architecture


def test_a_width_of_one_is_the_network_itself() -> None:
    for name in recipes.names():
        assert recipes.recipe(f"{name}-1.0") == recipes.recipe(name)


@pytest.mark.parametrize(
    "name", ["", "mobilenetv4", "mobilenetv2-", "mobilenetv2-x", "-0.5", "mobilenetv2--1", "0.5"]
)
def test_unknown_names_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        recipes.recipe(name)
    assert repr(name) in str(caught.value)
    assert "mnasnet-a1" in str(caught.value)


@pytest.mark.parametrize("name", ["mobilenetv2-0", "mobilenetv2-0.01", "mobilenetv1-99"])
def test_useless_widths_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"0\.05 to 8"):
        recipes.recipe(name)


def test_wide_mnasnet_gets_no_skip_around_its_head() -> None:
    kinds = [node.spec.kind for node in lower(recipes.recipe("mnasnet-a1-4")).graph]
    assert kinds[-3:] == ["conv_2d", "mean", "fully_connected"]
