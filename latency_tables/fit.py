"""From all that a table measured to its predictor: figures, calibration, error bars. Reads no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latency_tables.calibration import UNCALIBRATED, calibrate
from latency_tables.errors import BadTable
from latency_tables.figures import Figure
from latency_tables.omissions import omissions
from latency_tables.predict import Predictor
from latency_tables.records import Given, Network
from latency_tables.statistics import Estimate, Observation, estimates, network_ms
from latency_tables.units import Units


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
    """

    networks: Sequence[Network]
    samples_ms: Mapping[str, Sequence[Sequence[float]]]
    anchors_ms: Mapping[str, Sequence[Sequence[float]]]
    observations: Sequence[Observation]
    given: Sequence[Given] = ()


def fit(measured: Measured, table: str) -> Predictor:
    """The predictor of a table.

    A table without anchor networks, an imported one, has a predictor without calibration: sums as they are.

    Args:
        table: its address, for messages.

    Raises:
        BadTable: no operator or no anchor network has been measured.
    """
    figures = figures_of(measured)
    anchors = [one for one in measured.networks if one.role == "anchor"]
    if figures and not anchors:
        return Predictor(figures, UNCALIBRATED, table)
    raw = Predictor(figures, UNCALIBRATED, table)
    units = Units(figures)
    there = [
        one for one in anchors if measured.anchors_ms.get(one.name) and not units.split(one.graph.specs)[1]
    ]
    if not figures or not there:
        raise BadTable(
            f"the latency table {table} is not built yet ({len(figures)} operators, "
            f"{len(there)} anchor networks): go on with the `mnas table build` that began it"
        )
    sums = [raw.predict(one.graph.specs).sum_ms for one in there]
    variances = [_variance_ms2(raw, one) for one in there]
    calibration = calibrate(
        sums, [network_ms(measured.anchors_ms[one.name]) for one in there], None, variances
    )
    return Predictor(figures, calibration, table)


def _variance_ms2(predictor: Predictor, network: Network) -> float:
    counts = Counter(predictor.units_of(network.graph.specs))
    return sum(count**2 * predictor.variance_ms2(unit) for unit, count in counts.items())


def figures_of(measured: Measured) -> dict[str, Figure]:
    """What a table has for each unit: measured in context, else alone, else given. Needs no anchors."""
    found = estimates(measured.observations)
    profiled_ms = {unit: one.profiled_ms for unit, one in found.items()}
    units = Units(found)
    whole = []
    for network in measured.networks:
        parts, missing = units.split(network.graph.specs)
        if measured.samples_ms.get(network.name) and not missing:
            whole.append(([unit for unit, _ in parts], network_ms(measured.samples_ms[network.name])))
    left_out = omissions(profiled_ms, [parts for parts, _ in whole], [ms for _, ms in whole]) if whole else {}
    figures = {
        unit: _in_context(unit, one, one.profiled_ms + left_out.get(unit, 0.0)) for unit, one in found.items()
    }
    for one in measured.given:
        if one.unit not in figures:
            count = one.count or 0
            figures[one.unit] = Figure(
                one.unit, one.latency_ms, one.std_ms, None, one.method, count, 0, 0, None, None
            )
    return figures


def _in_context(unit: str, one: Estimate, latency_ms: float) -> Figure:
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
    )
