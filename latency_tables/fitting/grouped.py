"""Statistics of values in groups, all groups at once. Knows nothing of what is grouped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: share of the values at either end that a trimmed mean leaves out; of three or more at least one
TRIMMED = 0.1

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def runs(*keys: Codes) -> tuple[Codes, Codes]:
    """Where runs of equal entries start, and how long they are; the keys all of one length, not 0."""
    changes = np.zeros(len(keys[0]) - 1, bool)
    for key in keys:
        changes |= key[1:] != key[:-1]
    starts = np.flatnonzero(np.r_[True, changes])
    return starts, np.diff(np.r_[starts, len(keys[0])])


def quantiles(groups: Codes, values: Floats, count: int, share: float) -> Floats:
    """The quantile of the values of each group 0 ... count - 1 (linear, as NumPy's); 0 for one without."""
    order = np.lexsort((values, groups))
    sizes = np.bincount(groups, minlength=count)
    place = np.maximum(sizes - 1, 0) * share
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(sizes - 1, 0))
    starts = np.cumsum(sizes) - sizes
    ordered = np.append(values[order], 0.0)
    low, high = ordered[starts + below], ordered[starts + above]
    return np.where(sizes > 0, low + (high - low) * (place - below), 0.0)


def medians(groups: Codes, values: Floats, count: int) -> Floats:
    """The median of the values of each group 0 ... count - 1; 0 for a group without any."""
    return quantiles(groups, values, count, 0.5)


def trimmed_means(groups: Codes, values: Floats, count: int) -> Floats:
    """The mean of each group 0 ... count - 1 without its ends (`TRIMMED`); 0 for a group without values."""
    order = np.lexsort((values, groups))
    sizes = np.bincount(groups, minlength=count)
    ordered = groups[order]
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[ordered]
    cut = trimmed(sizes)[ordered]
    inside = (rank >= cut) & (rank < sizes[ordered] - cut)
    sums = np.bincount(ordered[inside], values[order][inside], count)
    return np.asarray(sums / np.maximum(sizes - 2 * trimmed(sizes), 1))


def trimmed(sizes: Codes) -> Codes:
    """How many values a trimmed mean of so many leaves out at either end."""
    most = np.maximum((sizes - 1) // 2, 0)
    return np.asarray(np.minimum(np.ceil(TRIMMED * sizes).astype(np.int64), most))


def deviations(groups: Codes, values: Floats, count: int) -> Floats:
    """The standard deviation of the values of each group 0 ... count - 1; NaN for fewer than two."""
    sizes = np.bincount(groups, minlength=count)
    means = np.bincount(groups, values, count) / np.maximum(sizes, 1)
    squares = np.bincount(groups, (values - means[groups]) ** 2, count)
    return np.where(sizes > 1, np.sqrt(squares / np.maximum(sizes - 1, 1)), np.nan)


def weighted_medians(groups: Codes, values: Floats, weights: Floats) -> Floats:
    """By group, the least value that at least half of the group's weight does not exceed."""
    order = np.lexsort((values, groups))
    ordered, total = groups[order], np.bincount(groups, weights)
    before = np.cumsum(total) - total
    share = np.cumsum(weights[order]) - before[ordered]
    places = np.flatnonzero(share >= total[ordered] / 2 * (1 - 1e-9))
    found = np.zeros(len(total))
    there, first = np.unique(ordered[places], return_index=True)  # the first that is enough, of each group
    found[there] = values[order][places[first]]
    return found
