"""Fashion-MNIST (Zalando): 70 000 grey images of 28x28 pixels in 10 classes; finds or downloads its files."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from math import prod
from pathlib import Path
from struct import unpack_from

import numpy as np
from numpy.typing import NDArray

from mnas.datasets.base import Dataset, Images
from mnas.datasets.sources import data_dir, download, keras_cache, new_folder
from mnas.errors import BadDataset

LABELS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

#: SHA-256 of the uncompressed files; a download that differs is refused
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def fashion_mnist() -> Dataset:
    """The dataset `fashion_mnist`, its files looked for and, where there are none, downloaded now.

    Raises:
        BadDataset: the files are nowhere and cannot be downloaded; the message lists the ways to have them.
    """
    folder = _find() or _download()
    return Dataset(
        "fashion_mnist",
        LABELS,
        1,
        lambda: _read(folder, "train"),
        lambda: _read(folder, "t10k"),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes in the IDX format (http://yann.lecun.com/exdb/mnist), gzipped or not.

    Raises:
        BadDataset: truncated, corrupted or in another format; the message names the file.
    """
    remedy = f"remove {path} so that another copy is looked for or downloaded, or put a good one in its place"
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise BadDataset(f"cannot read {path} ({error}): {remedy}") from error
    dimensions = content[3] if len(content) >= 4 else 0
    if content[:3] != b"\x00\x00\x08" or dimensions == 0 or len(content) < 4 + 4 * dimensions:
        raise BadDataset(
            f"{path} is no IDX file of bytes (it begins with {content[:4].hex() or 'nothing'}): {remedy}"
        )
    shape = unpack_from(f">{dimensions}I", content, 4)
    start = 4 + 4 * dimensions
    if len(content) - start != prod(shape):
        raise BadDataset(
            f"{path} holds {len(content) - start} values, its header says {prod(shape)}: {remedy}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _read(folder: Path, prefix: str) -> Images:
    images, labels = (_file(folder, name) for name in SHA256 if name.startswith(prefix))
    if images is None or labels is None:
        raise BadDataset(f"files of Fashion-MNIST vanished from {folder} since they were found there")
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or classes.shape != pixels.shape[:1]:
        raise BadDataset(
            f"{images} holds {pixels.shape} and {labels} {classes.shape} values; "
            "[n, height, width] and [n] are needed: remove both, or put good ones in their place"
        )
    return Images(pixels[..., np.newaxis], classes.astype(np.int64))


def _find() -> Path | None:
    own = data_dir()
    places = [*((own / "fashion-mnist", own) if own else ()), keras_cache() / "fashion-mnist", DEBIAN]
    return next((place for place in places if all(_file(place, name) for name in SHA256)), None)


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _download() -> Path:
    target = (data_dir() or keras_cache()) / "fashion-mnist"
    try:
        with new_folder(target) as folder:
            for name, expected in SHA256.items():
                content = download(f"{URL}{name}.gz", f"{name}.gz")
                if hashlib.sha256(_gunzip(content)).hexdigest() != expected:
                    raise BadDataset(
                        f"downloaded {name}.gz is not Fashion-MNIST's file (its SHA-256 differs)"
                    )
                (folder / f"{name}.gz").write_bytes(content)
    except (BadDataset, OSError) as error:
        raise BadDataset(
            f"Fashion-MNIST is not on this machine, and {error}. Four ways to have it: "
            "(1) set MNAS_DATA_DIR to a folder with the four *-ubyte.gz files in its fashion-mnist; "
            f"(2) put them into Keras' cache, {keras_cache() / 'fashion-mnist'}; "
            f"(3) on Debian or Ubuntu, apt-get install dataset-fashion-mnist ({DEBIAN}); "
            f"(4) let it be downloaded: with access to {URL}, or with MNAS_DATA_MIRROR set to a copy's URL"
        ) from error
    return target


def _gunzip(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b""
