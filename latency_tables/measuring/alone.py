"""Operators measured as models of their own, where they cannot be profiled in networks. Measures nothing.

Alone, an operator's weights and inputs lie in the cache, so that it takes less long than in a network; how
much less depends on its kind. The ratio is learned from operators that have both
(`latency_tables.fitting.fallback`): so with each operator that is measured alone for want of better, some of
its kind are that were seen in networks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256

from latency_tables import tflite
from latency_tables.errors import TablesError
from latency_tables.figures import Figure
from latency_tables.ops import OpSpec
from latency_tables.records import Network
from latency_tables.units import is_block, kind_of

#: operators of a kind that are measured alone though they were seen in networks
PAIRS = 8


def alone(spec: OpSpec) -> Network:
    """The network of one operator. Its name is the same in every table.

    Raises:
        TablesError: the writer cannot write it; says why.
    """
    graph = tflite.single(spec)
    tflite.write(graph)
    return Network(f"alone-{spec.kind}-{sha256(str(spec).encode()).hexdigest()[:16]}", graph, "alone")


def fallbacks(missing: Sequence[str], figures: Mapping[str, Figure]) -> tuple[list[Network], dict[str, str]]:
    """The networks to measure for operators without a figure, those of the same kinds that have one included.

    Args:
        missing: text forms of operators.
        figures: the table's, by unit.

    Returns:
        The networks; and why an operator cannot be had this way either, by its text form.
    """
    found: list[Network] = []
    reasons: dict[str, str] = {}
    for text in missing:
        try:
            found.append(alone(OpSpec.parse(text)))
        except TablesError as error:
            reasons[text] = str(error)
    kinds = {kind_of(text) for text in missing if text not in reasons}
    return found + pairs(kinds, figures), reasons


def pairs(kinds: set[str], figures: Mapping[str, Figure]) -> list[Network]:
    """Up to `PAIRS` operators of each kind that were seen in networks, from the fastest to the slowest."""
    seen: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for unit, one in figures.items():
        if one.method == "in context" and not is_block(unit) and kind_of(unit) in kinds:
            seen[kind_of(unit)].append((one.latency_ms, unit))
    found = []
    for kind in sorted(seen):
        ranked = [unit for _, unit in sorted(seen[kind])]
        count = min(PAIRS, len(ranked))
        places = {round(step * (len(ranked) - 1) / max(count - 1, 1)) for step in range(count)}
        for place in sorted(places):
            try:
                found.append(alone(OpSpec.parse(ranked[place])))
            except TablesError:
                continue  # it needs no figure of its own
    return found
