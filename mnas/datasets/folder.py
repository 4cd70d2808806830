"""A folder of images, one subfolder per class, as a dataset: PATH/train/CLASS/*.png or *.jpg, PATH/test/...

The classes are the names of the subfolders of `train`, in alphabetical order; `test` has the same ones. When
all training images have one size, it is the dataset's; when they differ, every image is stretched to 64x64
pixels, bilinearly. `folder:PATH?pixels=N` stretches every image to NxN instead. When all training images are
grey the dataset has one channel, otherwise three; transparency is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mnas.datasets.base import Dataset, Images
from mnas.errors import BadDataset

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
#: side of the square that images of different sizes are stretched to
MIXED_PIXELS = 64
_GREY = frozenset({"1", "L", "LA"})
_LAYOUT = "needed are PATH/train/CLASS/*.png or *.jpg and PATH/test/CLASS/*.png or *.jpg"

Size = tuple[int, int]  # width, height, as Pillow has it
Files = tuple[tuple[Path, int], ...]  # an image and its label


def folder(argument: str) -> Dataset:
    """The dataset `folder:ARGUMENT`, ARGUMENT being PATH or PATH?pixels=N.

    Raises:
        BadDataset: a folder is missing or empty, the classes of train and test differ, or a training image
            cannot be opened; the message names it. Damaged pixels are found when they are read.
    """
    text, mark, option = argument.partition("?")
    pixels = _pixels(option) if mark else None
    path = Path(text).expanduser()
    labels = _classes(path / "train")
    if (found := _classes(path / "test")) != labels:
        raise BadDataset(
            f"{path}: classes of train are {', '.join(labels)}, those of test {', '.join(found)}"
        )
    train, test = (_files(path / part, labels) for part in ("train", "test"))
    sizes, modes = zip(*(_header(file) for file, _ in train), strict=True)
    grey = _GREY.issuperset(modes)
    if pixels is not None:
        size = (pixels, pixels)
    else:
        size = sizes[0] if len(set(sizes)) == 1 else (MIXED_PIXELS, MIXED_PIXELS)
    return Dataset(
        path.resolve().name,
        labels,
        1 if grey else 3,
        lambda: _read(train, size, grey),
        lambda: _read(test, size, grey),
    )


def _pixels(option: str) -> int:
    name, _, value = option.partition("=")
    if name != "pixels" or not value.isdecimal() or int(value) == 0:
        raise BadDataset(f"option {option!r} of a folder; allowed: pixels=N with N 1 or more")
    return int(value)


def _classes(path: Path) -> tuple[str, ...]:
    if not path.is_dir():
        raise BadDataset(f"there is no folder {path}; {_LAYOUT}")
    labels = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(labels) < 2:
        raise BadDataset(f"{path} has {len(labels)} subfolders; at least two classes are needed; {_LAYOUT}")
    return labels


def _files(path: Path, labels: Sequence[str]) -> Files:
    files: list[tuple[Path, int]] = []
    for label, name in enumerate(labels):
        found = sorted(file for file in (path / name).iterdir() if file.suffix.lower() in SUFFIXES)
        if not found:
            raise BadDataset(
                f"class {path / name} has no image; put *.png or *.jpg there, or remove the folder"
            )
        files += [(file, label) for file in found]
    return tuple(files)


def _header(file: Path) -> tuple[Size, str]:
    try:
        with Image.open(file) as image:
            return image.size, image.mode
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error


def _read(files: Files, size: Size, grey: bool) -> Images:
    channels = 1 if grey else 3
    pixels = np.empty((len(files), size[1], size[0], channels), dtype=np.uint8)
    for number, (file, _) in enumerate(files):
        pixels[number] = _decoded(file, size, grey).reshape(size[1], size[0], channels)
    return Images(pixels, np.array([label for _, label in files], dtype=np.int64))


def _decoded(file: Path, size: Size, grey: bool) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise BadDataset(f"{file} has more than 8 bits per channel; convert it to 8 bits")
            picture = image.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def _unreadable(file: Path, error: Exception) -> BadDataset:
    return BadDataset(f"{file} cannot be read as an image ({error}); replace it or remove it")
