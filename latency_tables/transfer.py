"""One device's table from another's and a few measured networks, with its own held-out error.

What the samples' profile tells of a unit counts as it is. Every other unit is the other table's figure times
a ratio (`latency_tables.fitting.ratios`) that the samples' units, or where there is no profile their whole
latencies, bring. Sums become latencies by the samples, as by the anchors of any table. Measures nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import BadTable
from latency_tables.figures import Figure
from latency_tables.fitting.fit import Measured, figures_of, fit
from latency_tables.fitting.ratios import Ratios, Seen, Spreads
from latency_tables.fitting.statistics import network_ms, pass_ms
from latency_tables.records import Given, Network
from latency_tables.units import Units

Floats = NDArray[np.float64]

#: a table that is farther off than this is none: counting multiplications comes as close, at 9 to 14 %
MAX_ERROR_PERCENT = 10.0
#: samples that it takes: from fewer nobody could tell the error
LEAST_SAMPLES = 4
#: samples left out at a time are one up to so many samples; beyond, as many groups
FOLDS = 10
#: relative error of a figure whose own is not known, of a latency, and what the profiler's clock rounds off
UNKNOWN_ERROR, LATENCY_ERROR, CLOCK_MS = 0.05, 0.02, 0.0003
#: how far ratios differ where only whole latencies tell: too few to choose it by, what makes them most likely
#: is too supple for the networks between
WITHOUT_PROFILE = Spreads(kind=0.5, shape=0.15, rest=0.05, length=4.0, slope=0.3)
#: of the time of the samples' units, the share of those that the source has, from which on units tell
#: ratios: a device that runs blocks as one tells little of their operators
SHARED = 0.5
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Residual:
    """A sample as it is predicted from the others alone."""

    network: str
    predicted_ms: float
    measured_ms: float

    @property
    def error_percent(self) -> float:
        """Of the measured latency, with its sign."""
        return 100 * (self.predicted_ms - self.measured_ms) / self.measured_ms


@dataclass(frozen=True, slots=True)
class Transferred:
    """Figures for another device, and how far they may be trusted.

    Attributes:
        figures: of every unit of the other table; those that the samples measured go before them.
        spreads: how far ratios differ, as far as the samples tell.
        ratio: of the other device's latencies, median over units.
        measured: units that the samples have figures of.
        residuals: each sample predicted without its own measurements: neither its latency nor its operators'
            times count, nor do they for the spreads.
        mape_percent: mean absolute error over them.
        low_percent: lower end of its 90 % interval (percentile bootstrap over samples).
        high_percent: upper end.
    """

    figures: tuple[Given, ...]
    spreads: Spreads
    ratio: float
    measured: int
    residuals: tuple[Residual, ...]
    mape_percent: float
    low_percent: float
    high_percent: float


def transfer(source: Mapping[str, Figure], samples: Measured, address: str) -> Transferred:
    """Figures for the samples' device.

    Args:
        source: the other device's, by unit: of every operator of the samples.
        samples: what was measured: networks of the role `anchor`.
        address: of the new table, for messages.

    Raises:
        BadTable: fewer than `LEAST_SAMPLES` networks were measured, or the source lacks an operator of one.
    """
    networks = [one for one in samples.networks if samples.anchors_ms.get(one.name)]
    if len(networks) < LEAST_SAMPLES:
        raise BadTable(
            f"{len(networks)} networks were measured on the new device; it takes {LEAST_SAMPLES} or more to "
            "tell how far a table from them is off"
        )
    samples = replace(samples, networks=networks)
    ratios = Ratios({unit: one.latency_ms for unit, one in source.items()})
    figures, spreads = _figures(ratios, source, samples)
    residuals = []
    for fold in _folds(networks):
        rest = _without(samples, fold)
        given, _ = _figures(ratios, source, rest)
        predictor = fit(replace(rest, given=given), address)
        residuals += [
            Residual(
                one.name,
                predictor.predict(one.graph.specs).latency_ms,
                network_ms(samples.anchors_ms[one.name]),
            )
            for one in fold
        ]
    if spreads == WITHOUT_PROFILE:
        figures = _widened(figures, samples, residuals)
    errors = np.abs([one.error_percent for one in residuals])
    low, high = _bootstrap(errors)
    return Transferred(
        figures=figures,
        spreads=spreads,
        ratio=float(np.median([one.latency_ms / source[one.unit].latency_ms for one in figures])),
        measured=len(figures_of(samples)) if samples.observations else 0,
        residuals=tuple(sorted(residuals, key=lambda one: one.network)),
        mape_percent=float(np.mean(errors)),
        low_percent=low,
        high_percent=high,
    )


def _widened(figures: Sequence[Given], samples: Measured, residuals: Sequence[Residual]) -> tuple[Given, ...]:
    """Standard errors that explain how far left-out samples are off, where they were too small for that.

    Figures from whole latencies alone are fitted to them: the calibration does not see how far they are off.
    """
    latencies_ms = {one.unit: one.latency_ms for one in figures}
    variances = {one.unit: (one.std_ms or 0.0) ** 2 for one in figures}
    units = Units(latencies_ms)
    expected = []
    for network in samples.networks:
        counts = Counter(unit for unit, _ in units.split(network.graph.specs)[0])
        total = sum(count * latencies_ms[unit] for unit, count in counts.items())
        expected.append(sum(count**2 * variances[unit] for unit, count in counts.items()) / total**2)
    seen = np.mean([np.log(one.predicted_ms / one.measured_ms) ** 2 for one in residuals])
    factor = max(1.0, float(np.sqrt(seen / np.mean(expected))))
    return tuple(replace(one, std_ms=(one.std_ms or 0.0) * factor) for one in figures)


def _figures(
    ratios: Ratios, source: Mapping[str, Figure], samples: Measured
) -> tuple[tuple[Given, ...], Spreads]:
    """Every unit by its ratio; and the spreads, by these samples alone."""
    found = figures_of(replace(samples, given=())) if samples.observations else {}
    shared_ms = sum(one.latency_ms for unit, one in found.items() if unit in ratios.places)
    if found and shared_ms >= SHARED * sum(one.latency_ms for one in found.values()):
        seen = _observe_units(ratios, source, found)
        spreads = ratios.choose(seen)
        logs, variances = ratios.posterior(seen, spreads)
        # a unit's own observation counts as measured; beside it stands what the others say of it
        there = seen.weights.argmax(axis=1)
        logs[there], variances[there] = ratios.left_out(seen, spreads)
    else:
        spreads = WITHOUT_PROFILE
        logs, variances = ratios.of_sums(*_observe_networks(ratios, source, samples), spreads)
    factors = np.exp(logs)
    errors = factors * np.sqrt(variances)
    given = [
        Given(unit, ms * factor, ms * error, None, "transferred", source[unit].exponent)
        for unit, ms, factor, error in zip(
            ratios.units,
            [source[unit].latency_ms for unit in ratios.units],
            map(float, factors),
            map(float, errors),
            strict=True,
        )
    ]
    return tuple(given), spreads


def _observe_networks(
    ratios: Ratios, source: Mapping[str, Figure], samples: Measured
) -> tuple[Floats, Floats, Floats]:
    """What whole latencies tell: what each unit adds to each network on the other device, and latencies."""
    units = Units(source)
    parts = np.zeros((len(samples.networks), len(ratios.units)))
    for row, network in zip(parts, samples.networks, strict=True):
        found, missing = units.split(network.graph.specs)
        if missing:
            raise BadTable(f"the table to transfer from lacks {missing[0]}, of the network {network.name}")
        for unit, count in Counter(unit for unit, _ in found).items():
            row[ratios.places[unit]] = count * source[unit].latency_ms
    measured = np.array([network_ms(samples.anchors_ms[one.name]) for one in samples.networks])
    return parts, measured, _variances([samples.anchors_ms[one.name] for one in samples.networks])


def _variances(passes: Sequence[Sequence[Sequence[float]]]) -> Floats:
    """Of the logarithms of networks' latencies: what is usual, or a network's own where that is more."""
    found = np.full(len(passes), LATENCY_ERROR**2)
    own = np.array([np.var(np.log(pass_ms(one)), ddof=1) if len(one) > 1 else np.nan for one in passes])
    known = np.isfinite(own)
    if known.any():
        counts = np.array([len(one) for one in passes])
        freedom = np.median(counts[known]) - 1
        usual = (
            float(np.median(own[known])) / (1 - 2 / (9 * freedom)) ** 3
        )  # of chi squared: Wilson, Hilferty
        found += np.where(known, np.fmax(own, usual), usual) / counts
    return np.asarray(found)


def _observe_units(ratios: Ratios, source: Mapping[str, Figure], found: Mapping[str, Figure]) -> Seen:
    units = [unit for unit in found if unit in ratios.places]
    weights = np.zeros((len(units), len(ratios.units)))
    weights[np.arange(len(units)), [ratios.places[unit] for unit in units]] = 1.0
    logs = [np.log(found[unit].latency_ms / source[unit].latency_ms) for unit in units]
    variances = [
        _relative_error(found[unit]) ** 2
        + _relative_error(source[unit]) ** 2
        + (CLOCK_MS / found[unit].latency_ms) ** 2
        for unit in units
    ]
    return Seen(weights, np.array(logs), np.array(variances))


def _relative_error(figure: Figure) -> float:
    return UNKNOWN_ERROR if figure.std_error_ms is None else figure.std_error_ms / figure.latency_ms


def _folds(networks: Sequence[Network]) -> list[Sequence[Network]]:
    count = min(len(networks), FOLDS)
    return [networks[start::count] for start in range(count)]


def _without(samples: Measured, left_out: Sequence[Network]) -> Measured:
    """Samples without some networks: nothing of what was measured of these is left."""
    names = {one.name for one in left_out}
    return replace(
        samples,
        networks=[one for one in samples.networks if one.name not in names],
        samples_ms={name: ms for name, ms in samples.samples_ms.items() if name not in names},
        anchors_ms={name: ms for name, ms in samples.anchors_ms.items() if name not in names},
        observations=[one for one in samples.observations if one.network not in names],
    )


def _bootstrap(errors: Floats) -> tuple[float, float]:
    """A 90 % interval of the mean (Efron and Tibshirani 1993, 13.3)."""
    picks = np.random.default_rng(0).integers(len(errors), size=(_DRAWS, len(errors)))
    low, high = np.quantile(np.mean(errors[picks], axis=1), (0.05, 0.95))
    return float(low), float(high)
