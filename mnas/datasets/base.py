"""What images and a dataset are, as values. Knows no particular dataset, no file and no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas.errors import BadDataset


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Labelled images.

    Attributes:
        pixels: uint8 [n, height, width, channels], 0..255.
        labels: int64 [n], each the index of its class.

    Raises:
        BadDataset: shapes or element types differ from these, or there is no image.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise BadDataset(
                f"pixels are {self.pixels.dtype} {self.pixels.shape}; "
                "they must be uint8 [n, height, width, channels]"
            )
        if self.labels.ndim != 1 or self.labels.dtype != np.int64:
            raise BadDataset(f"labels are {self.labels.dtype} {self.labels.shape}; they must be int64 [n]")
        if len(self.pixels) != len(self.labels):
            raise BadDataset(
                f"{len(self.pixels)} images have {len(self.labels)} labels; there must be one for each"
            )
        if self.pixels.size == 0:
            raise BadDataset(f"pixels have shape {self.pixels.shape}: there is no image in them")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Images:
        """The images at `indices`, in that order."""
        return Images(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named dataset whose two splits are read when they are asked for, never before.

    Attributes:
        name: how results name it.
        labels: names of the classes; a label's value is the index in here.
        channels: 1 (grey) or 3 (red, green, blue).
        read_train: reads the training images.
        read_test: reads the test images.

    Raises:
        BadDataset: fewer than two classes, or channels other than 1 and 3.
    """

    name: str
    labels: tuple[str, ...]
    channels: int
    read_train: Callable[[], Images]
    read_test: Callable[[], Images]

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise BadDataset(f"dataset {self.name} has classes {self.labels}; at least two are needed")
        if self.channels not in (1, 3):
            raise BadDataset(
                f"dataset {self.name} has {self.channels} channels; allowed: 1 (grey) and 3 (RGB)"
            )

    def train(self) -> Images:
        """Read the training images; raises BadDataset where they cannot be had or contradict the dataset."""
        return self._checked("training", self.read_train())

    def test(self) -> Images:
        """Read the test images: once, at the very end, for what is reported. Raises as `train` does."""
        return self._checked("test", self.read_test())

    def _checked(self, which: str, images: object) -> Images:
        if not isinstance(images, Images):
            raise BadDataset(
                f"{which} images of {self.name} are a {type(images).__name__}; mnas.data.Images is needed"
            )
        if images.pixels.shape[3] != self.channels:
            raise BadDataset(
                f"{which} images of {self.name} have {images.pixels.shape[3]} channels; "
                f"the dataset says {self.channels}"
            )
        low, high = int(images.labels.min()), int(images.labels.max())
        if low < 0 or high >= len(self.labels):
            raise BadDataset(
                f"{which} labels of {self.name} lie in {low}..{high}; with {len(self.labels)} classes "
                f"they must lie in 0..{len(self.labels) - 1}"
            )
        return images
