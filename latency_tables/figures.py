"""What a table says of one unit: its figure, how sure it is, and where it is from. Corrects nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from latency_tables.fitting.grouped import Floats
from latency_tables.fitting.statistics import Estimate
from latency_tables.records import Given, Method
from latency_tables.units import kind_of


@dataclass(frozen=True, slots=True)
class Figure:
    """One unit's latency in a network, before the table's calibration.

    Attributes:
        unit: text form of an operator or a block (`latency_tables.units`).
        std_error_ms: standard error of `latency_ms`; None if unknown, for example after one pass only.
        profiled_ms: what the profiler said, before what it leaves out was added; None where it said nothing.
        observations: times it was seen, or measurements behind a given figure; None where nobody says.
        networks: in how many networks.
        passes: in how many passes over them.
        between_pass_percent: standard deviation between passes, in percent of `latency_ms`; None if unknown.
        between_network_percent: likewise between networks.
        exponent: by which power of the network's size it grows (`latency_tables.fitting.context`);
            `latency_ms` is what it takes in one of typical size.
    """

    unit: str
    latency_ms: float
    std_error_ms: float | None
    profiled_ms: float | None
    method: Method
    observations: int | None
    networks: int
    passes: int
    between_pass_percent: float | None
    between_network_percent: float | None
    exponent: float = 0.0


def in_context(unit: str, one: Estimate, latency_ms: float, exponent: float) -> Figure:
    """The figure of a unit that the profile has."""

    def percent(part_ms: float | None) -> float | None:
        return None if part_ms is None else 100 * part_ms / latency_ms

    return Figure(
        unit=unit,
        latency_ms=latency_ms,
        std_error_ms=one.standard_error_ms,
        profiled_ms=one.profiled_ms,
        method="in context",
        observations=one.observations,
        networks=one.networks,
        passes=one.passes,
        between_pass_percent=percent(one.between_pass_ms),
        between_network_percent=percent(one.between_network_ms),
        exponent=exponent,
    )


def alone_figure(
    unit: str, passes_ms: Floats, ratio_error: float, latency_ms: float, exponent: float
) -> Figure:
    """The figure of a unit that was measured alone.

    Args:
        passes_ms: its latency in each pass.
        ratio_error: relative standard error of the ratio between the times in networks and alone.
    """
    spread = float(np.std(np.log(passes_ms), ddof=1)) if len(passes_ms) > 1 else None
    own = ratio_error**2 + (spread or 0.0) ** 2 / len(passes_ms)
    return Figure(
        unit=unit,
        latency_ms=latency_ms,
        std_error_ms=latency_ms * own**0.5,
        profiled_ms=None,
        method="alone",
        observations=len(passes_ms),
        networks=1,
        passes=len(passes_ms),
        between_pass_percent=None if spread is None else 100 * spread,
        between_network_percent=None,
        exponent=exponent,
    )


def given_figure(one: Given) -> Figure:
    """The figure of a unit that was not measured."""
    return Figure(
        one.unit, one.latency_ms, one.std_ms, None, one.method, one.count, 0, 0, None, None, one.exponent
    )


def standard_errors_ms(figures: Mapping[str, Figure]) -> dict[str, float]:
    """By unit, the standard error that intervals count.

    One that is unknown, of a single pass or given without, is as large as is usual in its kind: the median
    relative error of the units of the kind that have one, else of all units. Where no unit has one, all are
    0: then the anchors' errors have them in the lack of fit, from which nothing is taken out.
    """
    known: dict[str, list[float]] = {}
    for unit, one in figures.items():
        if one.std_error_ms is not None and one.latency_ms > 0:
            known.setdefault(kind_of(unit), []).append(one.std_error_ms / one.latency_ms)
    usual = {kind: median(errors) for kind, errors in known.items()}
    anywhere = median([error for errors in known.values() for error in errors] or [0.0])
    return {
        unit: usual.get(kind_of(unit), anywhere) * one.latency_ms
        if one.std_error_ms is None
        else one.std_error_ms
        for unit, one in figures.items()
    }
