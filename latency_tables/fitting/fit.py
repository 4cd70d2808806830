"""From all that a table measured to its predictor: figures, calibration, error bars. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from latency_tables.errors import BadTable
from latency_tables.figures import Figure, alone_figure, given_figure, in_context, standard_errors_ms
from latency_tables.fitting.calibration import UNCALIBRATED, AnchorSum, Calibration, calibrate, together
from latency_tables.fitting.context import SAME_SIZE, Sizes
from latency_tables.fitting.corrections import PROFILE_ERROR, Prior, correct
from latency_tables.fitting.fallback import Alone, from_alone
from latency_tables.fitting.grouped import Floats
from latency_tables.fitting.intervals import pass_error
from latency_tables.fitting.statistics import Estimate, Observation, Profile, network_ms, pass_ms, profile
from latency_tables.predict import Predictor
from latency_tables.records import Given, Network
from latency_tables.units import JOINT, Units, is_block, kind_of, print_unit

#: networks from which it shows whether figures depend on their size
LEAST_NETWORKS = 8


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


def fit(measured: Measured, table: str) -> Predictor:
    """The predictor of a table.

    A table without anchor networks, an imported one, has the calibration of the table that it is from; where
    nobody says which, its predictor has none: sums as they are.

    Args:
        table: its address, for messages.

    Raises:
        BadTable: no operator or no anchor network has been measured.
    """
    known = _Known.of(measured)
    fitted = _choose(known)
    if (anchors := known.anchors(measured)) is not None:
        sums = fitted.sums(anchors.places)
        calibration = calibrate(
            together(
                list(sums.values()),
                [float(np.median(one)) for one in anchors.passes_ms],
                pass_error(anchors.passes_ms),
                float(np.mean([len(one) for one in anchors.passes_ms])),
            )
        )
        return Predictor(fitted.figures, calibration, table, fitted.sizes, sums)
    if fitted.figures and not any(one.role == "anchor" for one in measured.networks):
        calibration, sizes = measured.imported or (UNCALIBRATED, fitted.sizes)
        return Predictor(fitted.figures, calibration, table, sizes)
    raise BadTable(
        f"the latency table {table} is not built yet ({len(fitted.figures)} operators, "
        f"0 anchor networks): go on with the `mnas table build` that began it"
    )


def figures_of(measured: Measured) -> dict[str, Figure]:
    """What a table has for each unit: measured in context, else alone, else given. Needs no anchors."""
    return _choose(_Known.of(measured)).figures


def _in_networks(units: Mapping[str, Estimate], networks: Sequence[Network]) -> dict[str, Estimate]:
    """The operators, and those blocks of which the operators follow each other in some network.

    Operators that the profile did not tell apart are a block, too, which no network is predicted by.
    """
    if not any(map(is_block, units)):
        return dict(units)
    texts = [f"{JOINT}{print_unit(one.graph.specs)}{JOINT}" for one in networks]
    return {
        unit: one
        for unit, one in units.items()
        if not is_block(unit) or any(f"{JOINT}{unit}{JOINT}" in text for text in texts)
    }


@dataclass(frozen=True, slots=True)
class _Anchors:
    """Anchors that can be predicted: places among the whole networks, and one figure for each pass."""

    places: list[int]
    passes_ms: list[Floats]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of units and networks before they are brought together.

    Attributes:
        besides: figures that were given of units that were measured, too.
        names: of units that have a figure, in order.
        whole: networks all of whose units are among them.
        counts: shape (whole, names).
        latencies_ms: of `whole`; NaN where only passes that count for the calibration alone are there.
    """

    profile: Profile
    alone_ms: Mapping[str, Floats]
    alone: Alone
    given: Mapping[str, Given]
    besides: Mapping[str, Given]
    imported: tuple[Calibration, Sizes] | None
    names: list[str]
    whole: list[Network]
    counts: Floats
    latencies_ms: Floats

    @classmethod
    def of(cls, measured: Measured) -> Self:
        anchors = [one.name for one in measured.networks if one.role == "anchor"]
        found = profile(measured.observations, anchors)
        found = replace(found, units=_in_networks(found.units, measured.networks))
        alone_ms = {
            print_unit(one.graph.specs): pass_ms(measured.samples_ms[one.name])
            for one in measured.networks
            if one.role == "alone" and measured.samples_ms.get(one.name)
        }
        given = {
            one.unit: one
            for one in measured.given
            if one.unit not in found.units and one.unit not in alone_ms
        }
        names = sorted({*found.units, *alone_ms, *given})
        units, places = Units(names), {name: place for place, name in enumerate(names)}
        whole, rows, latencies = [], [], []
        for network in measured.networks:
            there = measured.samples_ms.get(network.name)
            if network.role == "alone" or not (there or measured.anchors_ms.get(network.name)):
                continue
            parts, missing = units.split(network.graph.specs)
            if parts and not missing:
                whole.append(network)
                rows.append(np.bincount([places[unit] for unit, _ in parts], minlength=len(names)))
                latencies.append(network_ms(there) if there else float("nan"))
        counts = np.array(rows, float).reshape(len(rows), len(names))
        alone = from_alone(
            {unit: float(np.median(passes)) for unit, passes in alone_ms.items()},
            {unit: one.typical_ms for unit, one in found.units.items()},
            [
                ({names[place]: int(row[place]) for place in np.flatnonzero(row)}, latency_ms)
                for row, latency_ms in zip(counts, latencies, strict=True)
                if alone_ms and np.isfinite(latency_ms)
            ],
        )
        return cls(
            found,
            alone_ms,
            alone,
            given,
            {one.unit: one for one in measured.given if one.unit in found.units},
            measured.imported,
            names,
            whole,
            counts,
            np.array(latencies),
        )

    def without(self, unit: str, network: str) -> float:
        """A profiled unit's time by all but an anchor: by other networks, else as given, else by it alone."""
        if (unit, network) in self.profile.left_out:
            return self.profile.left_out[unit, network]
        if unit in self.besides:
            return self.besides[unit].latency_ms
        return self.profile.units[unit].typical_ms

    @property
    def sizes(self) -> Sizes:
        return self.profile.sizes if self.profile.units or self.imported is None else self.imported[1]

    def anchors(self, measured: Measured) -> _Anchors | None:
        """None where none that can be predicted was measured."""
        places = [
            place
            for place, one in enumerate(self.whole)
            if one.role == "anchor" and measured.anchors_ms.get(one.name)
        ]
        passes = [pass_ms(measured.anchors_ms[self.whole[place].name]) for place in places]
        return _Anchors(places, passes) if places else None


@dataclass(frozen=True, slots=True)
class _Fitted:
    """Figures, and what networks would be predicted as had they not been measured.

    Attributes:
        left_out_ms: by whole network, `Prediction.sum_ms` without its own latency.
    """

    known: _Known
    figures: dict[str, Figure]
    sizes: Sizes
    left_out_ms: Floats

    def errors(self) -> Floats:
        """Logarithms of latencies over left-out sums, around what is common; none where none is measured.

        One that is off by more than half, as a model of one short operator may be, counts as off by half.
        """
        there = np.isfinite(self.known.latencies_ms)
        latencies = self.known.latencies_ms[there]
        logs = np.log(latencies / np.maximum(self.left_out_ms[there], 1e-6 * latencies))
        return np.clip(logs - np.median(logs), -np.log(2), np.log(2)) if len(logs) else logs

    def sums(self, places: list[int]) -> dict[str, AnchorSum]:
        """By name, of the whole networks of these places."""
        figures = list(self.figures.values())
        counts = self.known.counts[places]
        networks = [self.known.whole[one] for one in places]
        ms = np.array([one.latency_ms for one in figures])
        sums, growths = counts @ ms, counts @ (ms * np.array([one.exponent for one in figures]))
        factors = self.sizes.factors(sums, growths)
        found = self.known.profile
        changes = [
            sum(
                count * (self.known.without(unit, network.name) - found.units[unit].typical_ms)
                for unit, count in zip(self.known.names, row.tolist(), strict=True)
                if count and unit in found.units
            )
            for network, row in zip(networks, counts, strict=True)
        ]
        left_out = self.left_out_ms[places] + np.array(changes) * factors
        variances = counts**2 @ np.array(list(standard_errors_ms(self.figures).values())) ** 2
        rows = np.c_[sums * factors, left_out, variances].tolist()
        return {one.name: AnchorSum(*row) for one, row in zip(networks, rows, strict=True)}


def _choose(known: _Known) -> _Fitted:
    """Figures that depend on the size of the network, and that whole networks correct, where those say so.

    Each network is predicted without its own latency; the mean absolute error must be less with sizes. Their
    exponents are from the profile, not from these latencies, so that less is enough. Corrections are the
    mean of what is known before and what networks say, so that with few networks they are small; they are
    left out where the error is more with them, and by more than its own standard error.
    """
    found = _with_sizes(known)
    plain = _figures(known, found.sizes, corrected=False)
    losses = np.abs(found.errors()) - np.abs(plain.errors())
    if len(losses) < LEAST_NETWORKS:
        return found
    return plain if np.mean(losses) > np.std(losses) / len(losses) ** 0.5 else found


def _with_sizes(known: _Known) -> _Fitted:
    """With sizes or without, either way corrected."""
    with_sizes = _figures(known, known.sizes)
    if not any(one.exponent for one in with_sizes.figures.values()) or not known.profile.units:
        return with_sizes
    without = _figures(known, SAME_SIZE)
    gains = np.abs(without.errors()) - np.abs(with_sizes.errors())
    return with_sizes if len(gains) >= LEAST_NETWORKS and np.mean(gains) > 0 else without


def _figures(known: _Known, sizes: Sizes, *, corrected: bool = True) -> _Fitted:
    names, alone, found = known.names, known.alone, known.profile.units
    exponents = _exponents(known) if sizes.typical_ms is not None else np.zeros(len(names))
    before_ms = {unit: one.latency_ms for unit, one in known.given.items()} | alone.times_ms
    before_ms |= {unit: one.typical_ms for unit, one in found.items()}
    errors = np.array(
        [PROFILE_ERROR if name in found else alone.errors.get(name, 0.0) for name in names], float
    )
    prior = Prior(
        np.array([before_ms[name] for name in names]),
        [kind_of(name) for name in names],
        np.array([name in found for name in names], bool),
        errors,
        errors,
    )
    sums = known.counts @ prior.latencies_ms
    growths = known.counts @ (prior.latencies_ms * exponents)
    context = sizes.factors(sums, growths)
    there = np.isfinite(known.latencies_ms) & corrected
    found_ms = correct(prior, known.counts[there], known.latencies_ms[there] / context[there])
    left_out = known.counts @ found_ms.latencies_ms
    left_out[there] = found_ms.left_out_ms
    figures = {}
    for name, exponent, ms in zip(names, exponents.tolist(), found_ms.latencies_ms.tolist(), strict=True):
        if name in found:
            figures[name] = in_context(name, found[name], ms, exponent)
        elif name in known.alone_ms:
            figures[name] = alone_figure(name, known.alone_ms[name], alone.errors[name], ms, exponent)
        else:
            figures[name] = given_figure(known.given[name])
    return _Fitted(known, figures, sizes, left_out * context)


def _exponents(known: _Known) -> Floats:
    """By unit; of one that was measured alone its kind's."""
    kinds = {kind_of(unit): one.exponent for unit, one in known.profile.units.items()}
    return np.array(
        [
            known.given[name].exponent if name in known.given else kinds.get(kind_of(name), 0.0)
            for name in known.names
        ],
        float,
    )
