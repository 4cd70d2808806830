"""From all that a table measured to its predictor: figures, calibration, error bars. Reads no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from latency_tables.calibration import CLEARLY, UNCALIBRATED, Anchors, Calibration, calibrate
from latency_tables.context import SAME_SIZE, Sizes
from latency_tables.corrections import PROFILE_ERROR, Floats, Prior, correct
from latency_tables.errors import BadTable
from latency_tables.fallback import Alone, from_alone
from latency_tables.figures import Figure
from latency_tables.intervals import pass_error
from latency_tables.predict import Predictor
from latency_tables.records import Given, Network
from latency_tables.statistics import Estimate, Observation, Profile, network_ms, pass_ms, profile
from latency_tables.units import Units, kind_of, print_unit


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
class _Fitted:
    """Figures, and what networks would be predicted as had they not been measured.

    Attributes:
        left_out_ms: by network, `Prediction.sum_ms` without its own latency and its operators' times in it.
    """

    figures: dict[str, Figure]
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
    found = _fit(measured)
    if isinstance(found, tuple):
        fitted, calibration = found
        return Predictor(fitted.figures, calibration, table, fitted.sizes)
    if found.figures and not any(one.role == "anchor" for one in measured.networks):
        calibration, sizes = measured.imported or (UNCALIBRATED, found.sizes)
        return Predictor(found.figures, calibration, table, sizes)
    raise BadTable(
        f"the latency table {table} is not built yet ({len(found.figures)} operators, "
        f"0 anchor networks): go on with the `mnas table build` that began it"
    )


def figures_of(measured: Measured) -> dict[str, Figure]:
    """What a table has for each unit: measured in context, else alone, else given. Needs no anchors."""
    found = _fit(measured)
    return (found[0] if isinstance(found, tuple) else found).figures


def _fit(measured: Measured) -> tuple[_Fitted, Calibration] | _Fitted:
    """Figures, with the calibration where anchors were measured.

    Figures depend on the size of the network where the left-out error on the anchors clearly says so.
    """
    anchors = [one for one in measured.networks if one.role == "anchor"]
    found = profile(measured.observations, [one.name for one in anchors])
    fitted = _figures(measured, found)
    calibration = _calibrate(measured, anchors, fitted)
    if calibration is None:
        return fitted
    if any(one.exponent for one in found.units.values()):
        fixed = _figures(measured, replace(found, sizes=SAME_SIZE))
        other = _calibrate(measured, anchors, fixed)
        if other is not None and not _clearly_better(calibration, other):
            return fixed, other
    return fitted, calibration


def _clearly_better(one: Calibration, other: Calibration) -> bool:
    mine, theirs = one.left_out_percent, other.left_out_percent
    return mine is not None and theirs is not None and mine < CLEARLY * theirs


def _calibrate(measured: Measured, anchors: Sequence[Network], fitted: _Fitted) -> Calibration | None:
    """The calibration; None where no anchor can be predicted or none was measured."""
    raw = Predictor(fitted.figures, UNCALIBRATED, "", fitted.sizes)
    units = Units(fitted.figures)
    there = [
        one for one in anchors if measured.anchors_ms.get(one.name) and not units.split(one.graph.specs)[1]
    ]
    if not there:
        return None
    sums = [raw.predict(one.graph.specs).sum_ms for one in there]
    passes = [pass_ms(measured.anchors_ms[one.name]) for one in there]
    return calibrate(
        Anchors(
            sums,
            [float(np.median(one)) for one in passes],
            [fitted.left_out_ms.get(one.name, own) for one, own in zip(there, sums, strict=True)],
            [raw.sum_variance_ms2(one.graph.specs) for one in there],
            pass_error(passes),
            float(np.mean([len(one) for one in passes])),
        )
    )


def _figures(measured: Measured, found: Profile) -> _Fitted:
    known = {unit: one.typical_ms for unit, one in found.units.items()}
    lonely_ms = _alone(measured)
    given = {one.unit: one for one in measured.given if one.unit not in known and one.unit not in lonely_ms}
    networks = _whole(measured, [*known, *(lonely_ms.keys() - known), *given])
    alone = from_alone(
        {unit: network_ms(passes) for unit, passes in lonely_ms.items()},
        known,
        [(counts, ms) for _, counts, ms in networks],
    )
    names = sorted({*known, *lonely_ms, *given})
    exponents = _exponents(names, found, given)
    errors = np.array(
        [PROFILE_ERROR if name in known else alone.errors.get(name, 0.0) for name in names], float
    )
    before_ms = {unit: one.latency_ms for unit, one in given.items()} | alone.times_ms | known
    prior = Prior(
        np.array([before_ms[name] for name in names]),
        [kind_of(name) for name in names],
        np.array([name in known for name in names], bool),
        errors,
        errors,
    )
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(networks), len(names)))
    for row, (_, of_network, _) in zip(counts, networks, strict=True):
        row[[places[unit] for unit in of_network]] = list(of_network.values())
    sizes = found.sizes if found.units or measured.imported is None else measured.imported[1]
    sums = counts @ prior.latencies_ms
    context = sizes.in_context(sums, counts @ (prior.latencies_ms * exponents)) / sums
    corrected = correct(prior, counts, np.array([ms for _, _, ms in networks]) / context)
    figures: dict[str, Figure] = {}
    for name, exponent, ms in zip(names, exponents.tolist(), corrected.latencies_ms.tolist(), strict=True):
        if name in known:
            figures[name] = _in_context(name, found.units[name], ms, exponent)
        elif name in lonely_ms:
            figures[name] = _lonely(name, lonely_ms[name], alone, ms, exponent)
        else:
            figures[name] = _given(given[name])
    left_out = {
        name: float((sum_ms + _change(found, name, of_network)) * factor)
        for (name, of_network, _), sum_ms, factor in zip(
            networks, corrected.left_out_ms, context, strict=True
        )
    }
    return _Fitted(figures, sizes, left_out)


def _alone(measured: Measured) -> dict[str, Sequence[Sequence[float]]]:
    """By unit, the samples of each pass of it alone."""
    return {
        print_unit(one.graph.specs): measured.samples_ms[one.name]
        for one in measured.networks
        if one.role == "alone" and measured.samples_ms.get(one.name)
    }


def _whole(measured: Measured, known: Sequence[str]) -> list[tuple[str, Counter[str], float]]:
    """Networks that were measured and whose units are all known: name, counts of units, latency."""
    units = Units(known)
    found = []
    for network in measured.networks:
        parts, missing = units.split(network.graph.specs)
        if network.role != "alone" and parts and not missing and measured.samples_ms.get(network.name):
            counts = Counter(unit for unit, _ in parts)
            found.append((network.name, counts, network_ms(measured.samples_ms[network.name])))
    return found


def _exponents(names: Sequence[str], found: Profile, given: Mapping[str, Given]) -> Floats:
    """By unit; of one that was not seen in networks its kind's. 0 where sizes do not count."""
    kinds = {kind_of(unit): one.exponent for unit, one in found.units.items()}
    if found.units and found.sizes.typical_ms is None:
        return np.zeros(len(names))
    return np.array(
        [given[name].exponent if name in given else kinds.get(kind_of(name), 0.0) for name in names], float
    )


def _change(found: Profile, network: str, counts: Mapping[str, int]) -> float:
    """What a network's sum changes by when the times of its operators in itself are left out."""
    return sum(
        count * (found.left_out[unit, network] - found.units[unit].typical_ms)
        for unit, count in counts.items()
        if (unit, network) in found.left_out
    )


def _in_context(unit: str, one: Estimate, latency_ms: float, exponent: float) -> Figure:
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


def _lonely(
    unit: str, samples_ms: Sequence[Sequence[float]], alone: Alone, latency_ms: float, exponent: float
) -> Figure:
    passes = pass_ms(samples_ms)
    spread = float(np.std(np.log(passes), ddof=1)) if len(passes) > 1 else None
    own = alone.errors[unit] ** 2 + (spread or 0.0) ** 2 / len(passes)
    return Figure(
        unit=unit,
        latency_ms=latency_ms,
        std_error_ms=latency_ms * own**0.5,
        profiled_ms=None,
        method="alone",
        observations=len(passes),
        networks=1,
        passes=len(passes),
        between_pass_percent=None if spread is None else 100 * spread,
        between_network_percent=None,
        exponent=exponent,
    )


def _given(one: Given) -> Figure:
    count = one.count or 0
    return Figure(
        one.unit, one.latency_ms, one.std_ms, None, one.method, count, 0, 0, None, None, one.exponent
    )
