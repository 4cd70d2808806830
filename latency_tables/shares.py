"""What share of the time of a space's networks each unit takes. Measures nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from latency_tables.figures import Figure
from latency_tables.records import Network
from latency_tables.units import Units


def shares_of_time(figures: Mapping[str, Figure], networks: Sequence[Network]) -> dict[str, float]:
    """Each unit's share (0 to 1) of the time of random networks of the space: the anchors, or else all.

    Units that are in none of them have 0; operators without a figure count for nothing.
    """
    units = Units(figures)
    chosen = [one for one in networks if one.role == "anchor"] or list(networks)
    times: dict[str, float] = defaultdict(float)
    for network in chosen:
        for unit, _ in units.split(network.graph.specs)[0]:
            times[unit] += figures[unit].latency_ms
    total = sum(times.values())
    return {unit: times.get(unit, 0.0) / total if total else 0.0 for unit in figures}
