"""From sums of operators to a network's latency: what the anchors say. Knows no operator and no store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latency_tables.errors import BadTable


def fit_scale(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> float:
    """The factor from a sum of operators to a network's latency: the median ratio over the anchors.

    Raises:
        BadTable: there are no anchors.
    """
    if not len(sums_ms) or len(sums_ms) != len(measured_ms):
        raise BadTable(
            f"a scale needs anchors: {len(sums_ms)} sums and {len(measured_ms)} measured latencies were given"
        )
    return float(np.median(np.asarray(measured_ms) / np.asarray(sums_ms)))
