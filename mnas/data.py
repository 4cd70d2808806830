"""Datasets by name, and what is done to images before training: splitting and resizing. Knows no network."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from mnas.datasets.base import Dataset, Images
from mnas.errors import BadDataset, BadInput

__all__ = [
    "PIXEL_OFFSET",
    "PIXEL_SCALE",
    "Dataset",
    "Images",
    "model_input",
    "names",
    "open_dataset",
    "resized",
    "split",
]

#: a network's input is `pixels * PIXEL_SCALE + PIXEL_OFFSET`, float32 in -1..1
PIXEL_SCALE = 1 / 127.5
PIXEL_OFFSET = -1.0

_NAMED = ("digits", "fashion_mnist", "cifar10")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def names() -> tuple[str, ...]:
    """What `open_dataset` accepts: names, and the two forms with a part to fill in."""
    return (*_NAMED, "folder:PATH", "package.module:function")


def open_dataset(spec: str) -> Dataset:
    """The dataset that `spec` names; its images are read later, by `train()` and `test()`.

    A dataset whose files are not on this machine is downloaded here (mnas.datasets.sources says where to).

    Raises:
        BadDataset: no such dataset, or its files are missing or unusable; the message says what to do.
    """
    if spec in _NAMED:
        named: Callable[[], Dataset] = getattr(import_module(f"mnas.datasets.{spec}"), spec)
        return named()
    if spec.startswith("folder:"):
        from mnas.datasets.folder import folder

        return folder(spec.removeprefix("folder:"))
    if _FUNCTION.fullmatch(spec):
        from mnas.datasets.function import from_function

        return from_function(spec)
    raise BadDataset(f"no dataset {spec!r}; allowed: {', '.join(names())}")


def split(
    images: Images, *, seed: int, validation_share: float | None = None, validation_count: int | None = None
) -> tuple[Images, Images]:
    """Cut a validation split from training images: (train, validation), both in the order of `images`.

    Stratified: each class gives its share of the validation images, rounded so that the sum is exact (largest
    remainder). The same images and seed give the same split.

    Raises:
        BadInput: not exactly one of share (between 0 and 1) and count, or no image would be left on one side.
    """
    if (validation_share is None) == (validation_count is None):
        raise BadInput("give either a validation share or a validation count")
    if validation_share is not None and not 0 < validation_share < 1:
        raise BadInput(f"validation share {validation_share}; it must lie between 0 and 1")
    count = round(len(images) * validation_share) if validation_share is not None else validation_count
    if count is None or not 0 < count < len(images):
        raise BadInput(f"{count} of {len(images)} images for validation; 1 to {len(images) - 1} are possible")
    generator = np.random.default_rng(seed)
    classes, sizes = np.unique(images.labels, return_counts=True)
    exact = sizes * (count / len(images))
    taken = np.floor(exact).astype(np.int64)
    taken[np.argsort(taken - exact, kind="stable")[: count - taken.sum()]] += 1
    chosen = np.zeros(len(images), dtype=bool)
    for label, number in zip(classes, taken, strict=True):
        chosen[generator.permutation(np.flatnonzero(images.labels == label))[:number]] = True
    return images.take(np.flatnonzero(~chosen)), images.take(np.flatnonzero(chosen))


def resized(images: Images, resolution: int) -> Images:
    """The images at `resolution` x `resolution` pixels: bilinear (Pillow's, antialiased when shrinking).

    Images that have this size already come back unchanged. Raises BadInput for a resolution below 1.
    """
    from PIL import Image

    if resolution < 1:
        raise BadInput(f"resolution {resolution}; it must be 1 or more")
    n, height, width, channels = images.pixels.shape
    if (height, width) == (resolution, resolution):
        return images
    pixels = np.empty((n, resolution, resolution, channels), dtype=np.uint8)
    for number in range(n):
        for channel in range(channels):
            plane = Image.fromarray(images.pixels[number, :, :, channel])
            plane = plane.resize((resolution, resolution), Image.Resampling.BILINEAR)
            pixels[number, :, :, channel] = np.asarray(plane, dtype=np.uint8)
    return Images(pixels, images.labels)


def model_input(images: Images) -> NDArray[np.float32]:
    """Pixels as a network takes them: float32 [n, height, width, channels] in -1..1."""
    return images.pixels * np.float32(PIXEL_SCALE) + np.float32(PIXEL_OFFSET)
