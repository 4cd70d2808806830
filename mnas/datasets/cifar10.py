"""CIFAR-10 (Krizhevsky): 60 000 colour images of 32x32 pixels in 10 classes; finds or downloads its files.

Its official form for Python, which Keras' cache holds too, is a pickle. It is read by an unpickler that makes
NumPy arrays and plain values and refuses everything else, so that a forged file cannot run code.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from mnas.datasets.base import Dataset, Images
from mnas.datasets.sources import data_dir, download, keras_cache, new_folder
from mnas.errors import BadDataset

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
#: of the archive, as Keras checks it
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
FOLDER = "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)


def cifar10() -> Dataset:
    """The dataset `cifar10`, its files looked for and, where there are none, downloaded now.

    Raises:
        BadDataset: the files are nowhere and cannot be downloaded; the message lists the ways to have them.
    """
    folder = _find() or _download()
    return Dataset("cifar10", LABELS, 3, lambda: _read(folder, TRAIN), lambda: _read(folder, TEST))


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__new__,
    ("numpy._core.multiarray", "_reconstruct"): np.ndarray.__new__,
}


class _ArraysOnly(pickle.Unpickler):
    """Makes NumPy arrays and plain values, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of CIFAR-10 does")
        return _ALLOWED[module, name]


def read_batch(path: Path) -> Images:
    """Read one pickled batch.

    Raises:
        BadDataset: truncated, corrupted, or asking for more than arrays; the message names the file.
    """
    remedy = f"remove {path} so that another copy is looked for or downloaded, or put a good one in its place"
    try:
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels = np.asarray(batch[b"data"])
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * 32 * 32):
            raise BadDataset(f"{path} holds {pixels.dtype} {pixels.shape} for {len(labels)} labels: {remedy}")
        return Images(np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels)
    except BadDataset:
        raise
    except Exception as error:  # a damaged pickle may raise whatever it likes
        raise BadDataset(f"cannot read {path} ({error}): {remedy}") from error


def _read(folder: Path, names: tuple[str, ...]) -> Images:
    parts = [read_batch(folder / name) for name in names]
    return Images(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def _find() -> Path | None:
    own, cache = data_dir(), keras_cache()
    places = [
        *((own / FOLDER, own / "cifar10" / FOLDER) if own else ()),
        cache / f"{FOLDER}-target" / FOLDER,  # Keras 3.15
        cache / FOLDER,  # Keras before
    ]
    return next(
        (place for place in places if all((place / name).is_file() for name in (*TRAIN, *TEST))), None
    )


def _download() -> Path:
    own, cache = data_dir(), keras_cache()
    target = own / FOLDER if own else cache / f"{FOLDER}-target" / FOLDER
    try:
        content = download(URL, URL.rpartition("/")[2])
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise BadDataset("the downloaded archive is not CIFAR-10's (its SHA-256 differs)")
        with new_folder(target) as folder, tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for name in (*TRAIN, *TEST):
                member = archive.extractfile(f"{FOLDER}/{name}")
                if member is None:
                    raise BadDataset(f"the downloaded archive has no file {FOLDER}/{name}")
                (folder / name).write_bytes(member.read())
    except (BadDataset, OSError, KeyError, tarfile.TarError) as error:
        raise BadDataset(
            f"CIFAR-10 is not on this machine, and {error}. Three ways to have it: "
            f"(1) set MNAS_DATA_DIR to a folder whose subfolder {FOLDER} holds {TRAIN[0]} to {TRAIN[-1]} and "
            f"{TEST[0]}; (2) put that folder into Keras' cache, {cache / f'{FOLDER}-target'}; "
            f"(3) let it be downloaded: with access to {URL}, or with MNAS_DATA_MIRROR set to a copy's URL"
        ) from error
    return target
