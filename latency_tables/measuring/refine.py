"""Passes beyond a plan's: over networks that hold imprecise operators, and of passes that a device doubts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil

from latency_tables.figures import Figure
from latency_tables.fitting.joining import is_suspect
from latency_tables.fitting.statistics import network_ms
from latency_tables.measuring.precision import MOST, Adaptive, choose, unsettled
from latency_tables.measuring.session import Session
from latency_tables.units import Units

#: the random orders of these passes begin with this one: those before are the plan's
_ORDERS = 1000
#: seconds that a visit takes beside its runs: loading, above all
_LOADING_S = 0.03


def measure_doubted_again(session: Session) -> None:
    """One more pass of each network some of whose passes the device doubts, and that has had no more yet."""
    doubts: dict[str, list[bool]] = defaultdict(list)
    for burst in session.table.bursts():
        doubts[burst.network].append(is_suspect(burst))
    again = [
        name
        for name, found in doubts.items()
        if any(found) and len(found) <= session.plan.passes and session.networks[name].role != "model"
    ]
    if again and not session.is_over():
        session.expect(0, len(again), "more passes")
        _measure(session, again, _ORDERS)


def measure_more(session: Session, adaptive: Adaptive) -> tuple[str, ...]:
    """Pass after pass over few networks that hold what is not settled; the units that are not in the end."""
    costs = _costs_s(session)
    failed: set[str] = set()
    order = _ORDERS
    while True:
        figures = session.table.figures()
        wants = unsettled(figures, adaptive.precision_percent, spread=True)
        networks = {
            name: units
            for name, units in _told_by(session, figures).items()
            if name in costs and name not in failed and session.next_index(name) < adaptive.max_passes
        }
        chosen = choose(networks, wants, costs)
        if session.is_over() or not chosen:
            if chosen:
                session.cut_short = True
            return tuple(unsettled(figures, adaptive.precision_percent))
        passes = {unit: figures[unit].passes * (min(ratio, MOST) ** 2 - 1) for unit, ratio in wants.items()}
        session.expect(
            0,
            sum(_to_come(session, networks[name], passes, name, adaptive) for name in chosen),
            "more passes",
        )
        order += 1
        failed |= _measure(session, chosen, order)


def _measure(session: Session, names: Sequence[str], order: int) -> set[str]:
    failed: set[str] = set()
    for alone in (False, True):
        visits = {
            name: session.next_index(name)
            for name in names
            if (session.networks[name].role == "alone") == alone
        }
        failed |= session.measure(visits, order, "more passes", profile=not alone)
    return failed


def _told_by(session: Session, figures: Mapping[str, Figure]) -> dict[str, set[str]]:
    """By network, the units of which another pass over it tells more."""
    units = Units(figures)
    found = {}
    for name, network in session.networks.items():
        method = "alone" if network.role == "alone" else "in context"
        profiled = session.profiler is None and name not in session.refused
        if network.role == "alone" or (network.role != "model" and profiled):
            inside = {unit for unit, _ in units.split(network.graph.specs)[0]}
            found[name] = {unit for unit in inside if figures[unit].method == method}
    return found


def _costs_s(session: Session) -> dict[str, float]:
    """About how long a pass over each network takes that has been measured."""
    plan = session.plan
    samples: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for burst in session.table.bursts():
        samples[burst.network].append(burst.samples_ms)
    runs = plan.warmup_runs + plan.min_runs
    return {
        name: _LOADING_S + 2 * max(plan.min_time_s, runs * network_ms(passes) / 1000)
        for name, passes in samples.items()
        if any(passes)
    }


def _to_come(
    session: Session, units: set[str], passes: Mapping[str, float], name: str, adaptive: Adaptive
) -> int:
    """How many more passes a network will have, if its units' spread stays as it is."""
    wanted = max(ceil(passes[unit]) for unit in units if unit in passes)
    return max(1, min(wanted, adaptive.max_passes - session.next_index(name)))
