"""A table of architectures that is made up, larger than what can be trained here. Searches nothing.

Accuracy is a logistic function of a score: a term for every option, one for every pair and every triple of
options of different choices (interactions of third order), and noise as a single training has it. Terms of
a choice lean towards its later options, which are the dearer ones: latency is the product of a factor per
option, so that choices do not add up. All numbers are drawn from a seed.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd

#: options of each choice: 6912 rows
SIZES = (4, 4, 4, 4, 3, 3, 3)
#: standard deviation of all terms of an order, in units of the score
ORDERS = (0.5, 0.25, 0.15)
#: of the accuracy
NOISE = 0.003


def table(seed: int = 0, sizes: tuple[int, ...] = SIZES) -> pd.DataFrame:
    """One row per combination: the choices `c0`, `c1`, ..., `accuracy` (0..1) and `latency_ms`."""
    rng = np.random.default_rng(seed)
    points = np.array(list(product(*map(range, sizes))))
    lean = [np.linspace(-1.0, 1.0, size) for size in sizes]
    score = np.zeros(len(points))
    for order, deviation in enumerate(ORDERS, start=1):
        terms = np.zeros(len(points))
        for places in combinations(range(len(sizes)), order):
            values = rng.normal(size=[sizes[at] for at in places])
            if order == 1:
                values += 1.5 * lean[places[0]]
            terms += values[tuple(points[:, at] for at in places)]
        score += deviation * terms / terms.std()
    accuracy = 0.70 + 0.25 / (1 + np.exp(-(score + 0.5) / 0.6)) + rng.normal(scale=NOISE, size=len(points))
    latency = np.full(len(points), 0.5)
    for at in range(len(sizes)):
        latency *= np.exp(0.25 * lean[at] + rng.normal(scale=0.1, size=sizes[at]))[points[:, at]]
    frame = pd.DataFrame({f"c{at}": points[:, at] for at in range(len(sizes))})
    return frame.assign(accuracy=accuracy.round(4), latency_ms=latency.round(4))
