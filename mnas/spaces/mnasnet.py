"""MnasNet's factorised hierarchical search space (Tan et al. 2019, 3.2 and 4.1), and one for small images.

The skeleton is MobileNetV2's: a stem, seven stages, a head. Each stage takes six decisions of its own, which
all its layers share. Options that would decode to the same network are merged: filters are rounded to
multiples of 8 first, and layers never go below one. What remains is a skip where no layer of the stage can
have one (a single layer that changes the shape): it decodes to the same network as no skip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from mnas.architecture import Architecture, Block, Kind, Skip, rounded_channels
from mnas.errors import BadInput
from mnas.spaces.base import Choice, Option, check_indices

#: of a stage, in order: the names of its choices
DECISIONS = ("operation", "kernel", "se", "skip", "filters", "layers")
OPERATIONS: dict[str, tuple[Kind, int]] = {
    "cv": ("cv", 1),
    "ds": ("ds", 1),
    "ir_e3": ("ir", 3),
    "ir_e6": ("ir", 6),
}
KERNELS = (3, 5)
SE_RATIOS = (0.0, 0.25)
SKIPS: tuple[Skip, ...] = ("pool", "identity", "none")
FILTER_MULTIPLIERS = (0.75, 1.0, 1.25)
LAYER_CHANGES = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the skeleton: filters at width 1, layers, and the stride of the first layer."""

    filters: int
    layers: int
    stride: int


#: MobileNetV2's seven stages
STAGES = (
    Stage(16, 1, 1),
    Stage(24, 2, 2),
    Stage(32, 3, 2),
    Stage(64, 4, 2),
    Stage(96, 3, 1),
    Stage(160, 3, 2),
    Stage(320, 1, 1),
)


@dataclass(frozen=True, slots=True)
class MnasNetSpace:
    """The space at one resolution and width; see the module's first lines.

    Attributes:
        name: the registry's name.
        resolution: height and width of the image, in pixels.
        width: multiplies the filters of stem and stages.
        channels: of the image.
        classes: length of the logits.
        strides: of the stages' first layers.
        head: filters of the last convolution at width 1; never fewer.
        choices: six per stage, named `stage1_operation` and so on.
    """

    name: str
    resolution: int
    width: float
    channels: int
    classes: int
    strides: tuple[int, ...]
    head: int
    choices: tuple[Choice, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not 0.05 <= self.width <= 4:
            raise BadInput(f"width {self.width} of the space {self.name}; allowed: 0.05 to 4")
        choices = (
            choice for number, stage in enumerate(STAGES, 1) for choice in _choices(number, stage, self.width)
        )
        object.__setattr__(self, "choices", tuple(choices))

    @property
    def stages(self) -> tuple[range, ...]:
        """Per stage, the positions of its six choices."""
        return tuple(
            range(first, first + len(DECISIONS)) for first in range(0, len(self.choices), len(DECISIONS))
        )

    @property
    def frame(self) -> Architecture:
        """The network without its stages: stem and head."""
        stem = Block(
            "cv", repeats=1, kernel=3, stride=2, channels=rounded_channels(32 * self.width), skip="none"
        )
        filters = rounded_channels(self.head * max(1.0, self.width))
        head = Block("cv", repeats=1, kernel=1, stride=1, channels=filters, skip="none")
        return Architecture(self.resolution, self.resolution, self.channels, (stem, head), self.classes)

    def block(self, stage: int, indices: Sequence[int], filters: int) -> Block:
        """The block of a stage (from 0), from one index per choice of the stage and its input's filters."""
        choices = self.choices[self.stages[stage].start : self.stages[stage].stop]
        check_indices(choices, indices)
        operation, kernel, se, skip, channels, layers = (
            choice.options[index] for choice, index in zip(choices, indices, strict=True)
        )
        kind, expansion = OPERATIONS[cast(str, operation)]
        stride = self.strides[stage]
        possible = layers != 1 or (filters == channels and (stride == 1 or skip == "pool"))
        return Block(
            kind,
            repeats=cast(int, layers),
            kernel=cast(int, kernel),
            stride=stride,
            channels=cast(int, channels),
            expansion=expansion,
            se_ratio=cast(float, se),
            skip=cast(Skip, skip) if possible else "none",
        )

    def decode(self, indices: Sequence[int]) -> Architecture:
        """The architecture of one option index per choice.

        Raises:
            BadInput: a wrong number of indices, or one that is no option.
        """
        check_indices(self.choices, indices)
        frame = self.frame
        stem, head = frame.blocks
        blocks = [stem]
        for number, positions in enumerate(self.stages):
            own = indices[positions.start : positions.stop]
            blocks.append(self.block(number, own, blocks[-1].channels))
        return replace(frame, blocks=(*blocks, head))


def mnasnet(resolution: int | None, width: float | None, channels: int, classes: int) -> MnasNetSpace:
    """The paper's space: 224 pixels and width 1 by default, total stride 32.

    Raises:
        BadInput: less than 32 pixels: stages would be left with a single pixel, their strides without effect.
    """
    resolution = 224 if resolution is None else resolution
    width = 1.0 if width is None else width
    if resolution < 32:
        raise BadInput(
            f"resolution {resolution} of the space mnasnet; allowed: 32 pixels or more, its total stride. "
            "For images of 28 to 64 pixels take the space mnasnet-small-images"
        )
    return MnasNetSpace(
        "mnasnet",
        resolution=resolution,
        width=width,
        channels=channels,
        classes=classes,
        strides=tuple(stage.stride for stage in STAGES),
        head=1280,
    )


def mnasnet_small_images(
    resolution: int | None, width: float | None, channels: int, classes: int
) -> MnasNetSpace:
    """The same decisions for images of 28 to 64 pixels: 32 pixels and width 0.5 by default, total stride 8.

    Stem and stages 2 and 3 halve the image, so that 28 pixels still leave 4 x 4; the head has a quarter of
    the filters. A training step of 128 images of 32 pixels takes about 0.1 s of CPU time.

    Raises:
        BadInput: another resolution.
    """
    resolution = 32 if resolution is None else resolution
    width = 0.5 if width is None else width
    if not 28 <= resolution <= 64:
        raise BadInput(
            f"resolution {resolution} of the space mnasnet-small-images; allowed: 28 to 64 pixels. "
            "Enlarge smaller images first; for larger ones take the space mnasnet"
        )
    return MnasNetSpace(
        "mnasnet-small-images",
        resolution=resolution,
        width=width,
        channels=channels,
        classes=classes,
        strides=(1, 2, 2, 1, 1, 1, 1),
        head=320,
    )


def _choices(number: int, stage: Stage, width: float) -> tuple[Choice, ...]:
    filters = {rounded_channels(stage.filters * multiplier * width) for multiplier in FILTER_MULTIPLIERS}
    layers = {max(1, stage.layers + change) for change in LAYER_CHANGES}
    options: tuple[tuple[Option, ...], ...] = (
        tuple(OPERATIONS),
        KERNELS,
        SE_RATIOS,
        SKIPS,
        tuple(sorted(filters)),
        tuple(sorted(layers)),
    )
    return tuple(Choice(f"stage{number}_{name}", menu) for name, menu in zip(DECISIONS, options, strict=True))
