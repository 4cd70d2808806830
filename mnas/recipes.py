"""Known networks as text in the block grammar, at any width. Knows no shapes and no training."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from mnas.architecture import Architecture, rounded_channels
from mnas.errors import BadInput

#: MobileNetV1, Howard et al. (2017), table 1
_MOBILENET_V1 = (
    "cv_r1_k3_s2_c32",
    "sc_r1_k3_s1_c64_noskip",
    "sc_r2_k3_s2_c128_noskip",
    "sc_r2_k3_s2_c256_noskip",
    "sc_r6_k3_s2_c512_noskip",
    "sc_r2_k3_s2_c1024_noskip",
)
#: MobileNetV2, Sandler et al. (2018), table 2
_MOBILENET_V2 = (
    "cv_r1_k3_s2_c32",
    "ir_r1_k3_s1_e1_c16",
    "ir_r2_k3_s2_e6_c24",
    "ir_r3_k3_s2_e6_c32",
    "ir_r4_k3_s2_e6_c64",
    "ir_r3_k3_s1_e6_c96",
    "ir_r3_k3_s2_e6_c160",
    "ir_r1_k3_s1_e6_c320",
    "cv_r1_k1_s1_c1280_noskip",
)
#: MnasNet, Tan et al. (2019), figure 7 and the authors' code, which has ReLU
_MNASNET_A1 = (
    "cv_r1_k3_s2_c32_re",
    "ds_r1_k3_s1_c16_noskip_re",
    "ir_r2_k3_s2_e6_c24_re",
    "ir_r3_k5_s2_e3_c40_se0.25_re",
    "ir_r4_k3_s2_e6_c80_re",
    "ir_r2_k3_s1_e6_c112_se0.25_re",
    "ir_r3_k5_s2_e6_c160_se0.25_re",
    "ir_r1_k3_s1_e6_c320_re",
    "cv_r1_k1_s1_c1280_noskip_re",
)
_MNASNET_B1 = (
    "cv_r1_k3_s2_c32_re",
    "ds_r1_k3_s1_c16_noskip_re",
    "ir_r3_k3_s2_e3_c24_re",
    "ir_r3_k5_s2_e3_c40_re",
    "ir_r3_k5_s2_e6_c80_re",
    "ir_r2_k3_s1_e6_c96_re",
    "ir_r4_k5_s2_e6_c192_re",
    "ir_r1_k3_s1_e6_c320_noskip_re",
    "cv_r1_k1_s1_c1280_noskip_re",
)
_MNASNET_SMALL = (
    "cv_r1_k3_s2_c8_re",
    "ds_r1_k3_s1_c8_re",
    "ir_r1_k3_s2_e3_c16_re",
    "ir_r2_k3_s2_e6_c16_re",
    "ir_r4_k5_s2_e6_c32_se0.25_re",
    "ir_r3_k3_s1_e6_c32_se0.25_re",
    "ir_r3_k5_s2_e6_c88_se0.25_re",
    "ir_r1_k3_s1_e6_c144_re",
    "cv_r1_k1_s1_c1280_noskip_re",
)


@dataclass(frozen=True, slots=True)
class _Family:
    """Networks that differ in width only: blocks at width 1, filters of the head, widths with figures."""

    blocks: tuple[str, ...]
    head: Callable[[float], int] | None
    widths: tuple[float, ...]


def _head_of_mobilenet_v2(width: float) -> int:
    return rounded_channels(1280 * max(1.0, width))


def _head_of_mnasnet(_: float) -> int:
    return 1280


_FAMILIES = {
    "mobilenetv1": _Family(_MOBILENET_V1, None, (0.25, 0.5, 0.75)),
    "mobilenetv2": _Family(_MOBILENET_V2, _head_of_mobilenet_v2, (0.5, 0.75, 1.4)),
    "mnasnet-a1": _Family(_MNASNET_A1, _head_of_mnasnet, (0.5, 1.4)),
    "mnasnet-b1": _Family(_MNASNET_B1, _head_of_mnasnet, ()),
    "mnasnet-small": _Family(_MNASNET_SMALL, _head_of_mnasnet, ()),
}


def names() -> tuple[str, ...]:
    """The known networks at width 1; each also goes with a width, such as `mobilenetv2-0.5`."""
    return tuple(_FAMILIES)


def published() -> tuple[str, ...]:
    """The known networks at width 1 and at the other widths with published figures."""
    return tuple(
        name
        for family, known in _FAMILIES.items()
        for name in (family, *(f"{family}-{width:g}" for width in known.widths))
    )


def recipe(name: str) -> Architecture:
    """A known network for 224 x 224 colour images and 1000 classes; `Architecture.at` changes both.

    Every filter count follows the width in the name, rounded to multiples of 8, except heads: MobileNetV2's
    is never narrower than 1280, MnasNet's is always 1280.

    Raises:
        BadInput: no network of this name is known, or its width is not usable.
    """
    found = re.fullmatch(r"(.+?)(?:-([0-9]+(?:\.[0-9]+)?))?", name)
    if found is None or found.group(1) not in _FAMILIES:
        raise BadInput(
            f"network {name!r}; known are {', '.join(names())}, and each at any width, as in mobilenetv2-0.5"
        )
    family, width = _FAMILIES[found.group(1)], float(found.group(2) or 1)
    if not 0.05 <= width <= 8:
        raise BadInput(f"width {found.group(2)} of network {name!r}; allowed: 0.05 to 8")
    scaled = Architecture.parse(",".join(["in_224x224x3", *family.blocks, "fc_1000"])).scaled(width)
    if family.head is None:
        return scaled
    head = replace(scaled.blocks[-1], channels=family.head(width))
    return replace(scaled, blocks=(*scaled.blocks[:-1], head))
