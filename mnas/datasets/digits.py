"""scikit-learn's embedded handwritten digits: 1 797 grey images of 8x8 pixels in 10 classes; works offline.

The dataset has no split of its own. Here 360 images are the test split, 36 of each class, evenly spread
over the class in scikit-learn's order; the other 1 437 are for training.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mnas.datasets.base import Dataset, Images

TEST_PER_CLASS = 36


def digits() -> Dataset:
    """The dataset `digits`; pixels are the original 0..16 stretched to 0..255."""
    return Dataset("digits", tuple("0123456789"), 1, lambda: _parts()[0], lambda: _parts()[1])


@cache
def _parts() -> tuple[Images, Images]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    images = Images(pixels, bunch.target.astype(np.int64))
    test = np.zeros(len(images), dtype=bool)
    for label in range(10):
        of_class = np.flatnonzero(images.labels == label)
        test[of_class[np.arange(TEST_PER_CLASS) * len(of_class) // TEST_PER_CLASS]] = True
    return images.take(np.flatnonzero(~test)), images.take(np.flatnonzero(test))
