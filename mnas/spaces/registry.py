"""The spaces by name. A new space is one module and one line here."""

from __future__ import annotations

from collections.abc import Callable

from mnas.errors import BadInput
from mnas.spaces.base import StagedSpace
from mnas.spaces.mnasnet import mnasnet, mnasnet_small_images

_SPACES: dict[str, Callable[[int | None, float | None, int, int], StagedSpace]] = {
    "mnasnet": mnasnet,
    "mnasnet-small-images": mnasnet_small_images,
}


def names() -> tuple[str, ...]:
    """The names that `create` knows."""
    return tuple(_SPACES)


def create(
    name: str,
    resolution: int | None = None,
    width: float | None = None,
    channels: int = 3,
    classes: int = 1000,
) -> StagedSpace:
    """The space of that name; resolution in pixels and width multiplier default to the space's own.

    Raises:
        BadInput: an unknown name, or figures that the space does not allow.
    """
    if name not in _SPACES:
        raise BadInput(f"space {name!r}; allowed: {', '.join(_SPACES)}")
    space = _SPACES[name](resolution, width, channels, classes)
    space.decode((0,) * len(space.choices))  # refuses an impossible image or number of classes here and now
    return space
