"""The block grammar: networks as frozen values with a text form. Knows no inner shapes and no framework."""

from __future__ import annotations

import math
import re
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, Self, get_args

from mnas.errors import BadArchitecture

Kind = Literal["cv", "sc", "ds", "ir"]
Skip = Literal["identity", "pool", "none"]
Activation = Literal["relu6", "relu"]

KINDS: tuple[Kind, ...] = get_args(Kind)
#: what follows a token's letters, per letters; the order is the canonical one
_INTEGERS = {"r": "repeats", "k": "kernel", "s": "stride", "e": "expansion", "c": "channels"}
_FLAGS: dict[str, tuple[str, str]] = {
    "noskip": ("skip", "none"),
    "pool": ("skip", "pool"),
    "re": ("activation", "relu"),
}
_ALLOWED = "r, k, s, e (ir only) and c with a whole number, se with a ratio, noskip or pool, re"
_FORM = "in_HEIGHTxWIDTHxCHANNELS, blocks such as ds_r1_k3_s1_c16, fc_CLASSES, joined by commas"
_LIMITS = {"repeats": 64, "kernel": 31, "stride": 8, "expansion": 64, "channels": 65536}
_LARGEST_IMAGE = 8192
_LARGEST_CLASSES = 1_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A stage: `repeats` layers of one kind, the first of which has the stride.

    Text form: `ir_r3_k5_s2_e3_c40_se0.25`, then `_noskip` or `_pool`, then `_re`; `str()` prints it and
    `parse` reads it back. Fields after the kind are given by name.

    Attributes:
        kind: `cv` convolution-BN-activation; `sc` MobileNetV1's depthwise-BN-activation and
            pointwise-BN-activation; `ds` depthwise-BN-activation and linear pointwise-BN; `ir` MobileNetV2's
            inverted bottleneck, which has no expansion convolution when `expansion` is 1.
        repeats: layers.
        kernel: height and width of the window, odd.
        stride: of the first layer.
        channels: output filters.
        expansion: filters of the expansion over the layer's input filters, `ir` only; 1 otherwise.
        se_ratio: squeeze width over the *layer's input* filters (MnasNet's rule); 0 means no squeeze-excite.
            It follows the depthwise convolution (in `cv`, the convolution).
        skip: `identity` adds the layer's input where stride is 1 and filters agree; `pool` adds its 3x3
            average pooling of the layer's stride where filters agree; `none` adds nothing.
        activation: `relu6` or `relu`.
    """

    kind: Kind
    _: KW_ONLY
    repeats: int
    kernel: int
    stride: int
    channels: int
    expansion: int = 1
    se_ratio: float = 0.0
    skip: Skip = "identity"
    activation: Activation = "relu6"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadArchitecture(f"block kind {self.kind!r}; allowed: {', '.join(KINDS)}")
        for name, largest in _LIMITS.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise BadArchitecture(f"{name} {value} of a {self.kind} block; allowed: 1 to {largest}")
        if self.kernel % 2 == 0:
            raise BadArchitecture(f"kernel {self.kernel} of a {self.kind} block; allowed: odd sizes")
        if self.expansion != 1 and self.kind != "ir":
            raise BadArchitecture(f"expansion {self.expansion} of a {self.kind} block; only ir blocks expand")
        if not 0 <= self.se_ratio <= 1 or round(self.se_ratio, 4) != self.se_ratio:
            raise BadArchitecture(
                f"se ratio {self.se_ratio} of a {self.kind} block; allowed: 0 to 1 with up to 4 decimals"
            )
        if self.skip not in get_args(Skip):
            raise BadArchitecture(f"skip {self.skip!r}; allowed: {', '.join(get_args(Skip))}")
        if self.activation not in get_args(Activation):
            raise BadArchitecture(
                f"activation {self.activation!r}; allowed: {', '.join(get_args(Activation))}"
            )

    def __str__(self) -> str:
        parts = [self.kind, f"r{self.repeats}", f"k{self.kernel}", f"s{self.stride}"]
        if self.kind == "ir":
            parts.append(f"e{self.expansion}")
        parts.append(f"c{self.channels}")
        if self.se_ratio:
            parts.append(f"se{self.se_ratio:.4f}".rstrip("0").rstrip("."))
        if self.skip != "identity":
            parts.append("noskip" if self.skip == "none" else "pool")
        if self.activation == "relu":
            parts.append("re")
        return "_".join(parts)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form back; tokens after the kind may come in any order.

        Raises:
            BadArchitecture: the text is no block; the message quotes the offending token.
        """
        kind, *tokens = text.split("_")
        if kind not in KINDS:
            raise BadArchitecture(f"{kind!r} in block {text!r}; it must start with one of {', '.join(KINDS)}")
        fields: dict[str, object] = {}
        for token in tokens:
            name, value = _read_token(token, text)
            if name in fields:
                raise BadArchitecture(f"{token!r} in block {text!r} sets {name} a second time")
            fields[name] = value
        required = [*("rkse" if kind == "ir" else "rks"), "c"]
        missing = [f"{key} ({_INTEGERS[key]})" for key in required if _INTEGERS[key] not in fields]
        if missing:
            raise BadArchitecture(f"block {text!r} lacks {', '.join(missing)}; for example ds_r1_k3_s1_c16")
        if kind != "ir" and "expansion" in fields:
            raise BadArchitecture(f"'e{fields['expansion']}' in block {text!r}; only ir blocks expand")
        try:
            return cls(kind, **fields)  # type: ignore[arg-type]  # checked field by field above
        except BadArchitecture as error:
            raise BadArchitecture(f"block {text!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Architecture:
    """A classifier: an image, blocks, the global mean, and one dense layer of logits.

    Text form: `in_224x224x3,cv_r1_k3_s2_c32,...,cv_r1_k1_s1_c1280,fc_1000`; `str()` prints it and `parse`
    reads it back.

    Attributes:
        height: of the input image, in pixels.
        width: likewise.
        channels: of the input image.
        blocks: at least one.
        classes: length of the logits.
    """

    height: int
    width: int
    channels: int
    blocks: tuple[Block, ...]
    classes: int

    def __post_init__(self) -> None:
        for name, largest in (
            ("height", _LARGEST_IMAGE),
            ("width", _LARGEST_IMAGE),
            ("channels", 4096),
            ("classes", _LARGEST_CLASSES),
        ):
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise BadArchitecture(f"{name} {value} of a network; allowed: 1 to {largest}")
        if not self.blocks:
            raise BadArchitecture(f"a network without blocks; the form is {_FORM}")

    def __str__(self) -> str:
        image = f"in_{self.height}x{self.width}x{self.channels}"
        return ",".join([image, *map(str, self.blocks), f"fc_{self.classes}"])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form back; white space around tokens is ignored.

        Raises:
            BadArchitecture: the text is no architecture; the message quotes the offending token.
        """
        first, *middle = (token.strip() for token in text.strip().split(","))
        image = re.fullmatch(r"in_([0-9]{1,6})x([0-9]{1,6})x([0-9]{1,6})", first)
        if image is None:
            raise BadArchitecture(f"{first!r} must be an image such as in_224x224x3; the form is {_FORM}")
        last = middle.pop() if middle else ""
        dense = re.fullmatch(r"fc_([0-9]{1,9})", last)
        if dense is None:
            raise BadArchitecture(f"{last!r} at the end, where fc_CLASSES must stand; the form is {_FORM}")
        height, width, channels = map(int, image.groups())
        blocks = tuple(Block.parse(token) for token in middle)
        return cls(height, width, channels, blocks, int(dense.group(1)))

    def at(
        self, height: int, width: int, *, channels: int | None = None, classes: int | None = None
    ) -> Architecture:
        """The same blocks on another image or for another number of classes."""
        return replace(
            self,
            height=height,
            width=width,
            channels=self.channels if channels is None else channels,
            classes=self.classes if classes is None else classes,
        )

    def scaled(self, width_multiplier: float) -> Architecture:
        """Every block's filters times `width_multiplier`, rounded by `rounded_channels`; 1 changes nothing.

        Raises:
            BadArchitecture: the multiplier is not above 0 and at most 16.
        """
        if not 0 < width_multiplier <= 16:
            raise BadArchitecture(f"width multiplier {width_multiplier}; allowed: above 0, at most 16")
        if width_multiplier == 1:
            return self
        blocks = (
            replace(block, channels=rounded_channels(block.channels * width_multiplier))
            for block in self.blocks
        )
        return replace(self, blocks=tuple(blocks))


def rounded_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, at least `divisor`, never below 0.9 times `channels`.

    The rule of the MobileNet and MnasNet reference code.

    Raises:
        BadArchitecture: `channels` is no finite number.
    """
    if not math.isfinite(channels):
        raise BadArchitecture(f"{channels} filters; a layer has a finite number of them")
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _read_token(token: str, block: str) -> tuple[str, object]:
    if token in _FLAGS:
        return _FLAGS[token]
    if ratio := re.fullmatch(r"se([0-9]{1,2}(?:\.[0-9]{1,8})?)", token):
        return "se_ratio", float(ratio.group(1))
    if number := re.fullmatch(r"([rksec])([0-9]{1,9})", token):
        return _INTEGERS[number.group(1)], int(number.group(2))
    raise BadArchitecture(f"{token!r} in block {block!r}; allowed: {_ALLOWED}")
