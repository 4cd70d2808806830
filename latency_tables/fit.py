"""From all that a table measured to its predictor: figures, calibration, error bars. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.calibration import UNCALIBRATED, Calibration, calibrate
from latency_tables.context import Sizes
from latency_tables.corrections import correct
from latency_tables.errors import BadTable
from latency_tables.figures import Figure
from latency_tables.predict import Predictor
from latency_tables.records import Given, Network
from latency_tables.statistics import Estimate, Observation, Profile, network_ms, profile
from latency_tables.units import Units, kind_of


@dataclass(frozen=True, slots=True)
class Measured:
    """What a table holds.

    Attributes:
        networks: all of the table, measured or not.
        samples_ms: by network, the samples of each pass, oldest first.
        anchors_ms: the same of the anchors, of those passes only that the calibration counts: all of them, or
            those since the table was last anchored.
        observations: every operator time.
        given: figures that were not measured for this table.
        imported: the calibration and the sizes of the table that they are from; None where nobody says.
    """

    networks: Sequence[Network]
    samples_ms: Mapping[str, Sequence[Sequence[float]]]
    anchors_ms: Mapping[str, Sequence[Sequence[float]]]
    observations: Sequence[Observation]
    given: Sequence[Given] = ()
    imported: tuple[Calibration, Sizes] | None = None


@dataclass(frozen=True, slots=True)
class _Figures:
    """Figures, and what anchors would be predicted as had they not been measured.

    Attributes:
        left_out_ms: by network, `Prediction.sum_ms` without its own latency and its operators' times in it.
    """

    units: dict[str, Figure]
    sizes: Sizes
    left_out_ms: dict[str, float]


def fit(measured: Measured, table: str) -> Predictor:
    """The predictor of a table.

    A table without anchor networks, an imported one, has the calibration of the table that it is from; where
    nobody says which, its predictor has none: sums as they are.

    Args:
        table: its address, for messages.

    Raises:
        BadTable: no operator or no anchor network has been measured.
    """
    figures = _figures(measured)
    raw = Predictor(figures.units, UNCALIBRATED, table, figures.sizes)
    anchors = [one for one in measured.networks if one.role == "anchor"]
    if figures.units and not anchors:
        return (
            raw
            if measured.imported is None
            else Predictor(figures.units, measured.imported[0], table, measured.imported[1])
        )
    units = Units(figures.units)
    there = [
        one for one in anchors if measured.anchors_ms.get(one.name) and not units.split(one.graph.specs)[1]
    ]
    if not there:
        raise BadTable(
            f"the latency table {table} is not built yet ({len(figures.units)} operators, "
            f"{len(there)} anchor networks): go on with the `mnas table build` that began it"
        )
    sums = [raw.predict(one.graph.specs).sum_ms for one in there]
    calibration = calibrate(
        sums,
        [network_ms(measured.anchors_ms[one.name]) for one in there],
        [figures.left_out_ms.get(one.name, own) for one, own in zip(there, sums, strict=True)],
        [raw.sum_variance_ms2(one.graph.specs) for one in there],
    )
    return Predictor(figures.units, calibration, table, figures.sizes)


def figures_of(measured: Measured) -> dict[str, Figure]:
    """What a table has for each unit: measured in context, else alone, else given. Needs no anchors."""
    return _figures(measured).units


def _figures(measured: Measured) -> _Figures:
    anchors = [one.name for one in measured.networks if one.role == "anchor"]
    found = profile(measured.observations, anchors)
    figures, left_out = _in_context(measured, found)
    for one in measured.given:
        if one.unit not in figures:
            figures[one.unit] = Figure(
                one.unit,
                one.latency_ms,
                one.std_ms,
                None,
                one.method,
                one.count or 0,
                0,
                0,
                None,
                None,
                one.exponent,
            )
    return _Figures(figures, found.sizes, left_out)


def _in_context(measured: Measured, found: Profile) -> tuple[dict[str, Figure], dict[str, float]]:
    names = list(found.units)
    places = {name: place for place, name in enumerate(names)}
    units = Units(names)
    whole = []
    rows = []
    for network in measured.networks:
        parts, missing = units.split(network.graph.specs)
        if parts and not missing and measured.samples_ms.get(network.name):
            whole.append(network.name)
            rows.append(np.bincount([places[unit] for unit, _ in parts], minlength=len(names)))
    counts = np.array(rows, float).reshape(len(rows), len(names))
    typical = np.array([one.typical_ms for one in found.units.values()])
    growths = np.array([one.exponent * one.typical_ms for one in found.units.values()])
    sums = counts @ typical
    context = found.sizes.in_context(sums, counts @ growths) / np.maximum(sums, np.finfo(float).tiny)
    latencies = np.array([network_ms(measured.samples_ms[name]) for name in whole])
    corrected = correct(typical, [kind_of(name) for name in names], counts, latencies / context)
    figures = {
        name: _figure(name, one, float(latency))
        for (name, one), latency in zip(found.units.items(), corrected.latencies_ms, strict=True)
    }
    left_out: dict[str, float] = {}
    for name, row, sum_ms, factor in zip(whole, counts, corrected.left_out_ms, context, strict=True):
        changes = [
            row[place] * (found.left_out[unit, name] - typical[place])
            for place, unit in enumerate(names)
            if row[place] and (unit, name) in found.left_out
        ]
        left_out[name] = float((sum_ms + sum(changes)) * factor)
    return figures, left_out


def _figure(unit: str, one: Estimate, latency_ms: float) -> Figure:
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
        exponent=one.exponent,
    )
