"""What a run has shown so far, as one value: search, finalists, baselines. Draws and writes nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from devices.measurement import Context
from devices.warnings import Warning, warnings
from latency_tables.errors import BadTable
from latency_tables.fitting.statistics import network_ms
from mnas.architecture import Architecture
from mnas.finalists.choose import choose
from mnas.finalists.ledger import Final, Ledger, Records, Trouble
from mnas.gaps import Gap, gaps_of
from mnas.latency import elsewhere
from mnas.lower import lower
from mnas.pareto import best_under, knee
from mnas.reports.comparison import Bar, Comparison, RankCorrelation, Rated, compare, rank_correlation
from mnas.results import STATES, Result
from mnas.run import RunDirectory
from mnas.status import Status, status_of
from mnas.wanted import LATENCY


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained candidate of the search.

    Attributes:
        corrected_ms: its prediction times the factor that measuring during the search came to; None where
            nothing was measured.
        measured_ms: as the search measured it; None if it did not.
        on_front: over all of the search's objectives.
        best: the most accurate at or below every target, `Status.best`.
    """

    result: Result
    on_front: bool
    knee: bool
    best: bool
    corrected_ms: float | None = None
    measured_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A finalist or baseline in one element type, with what follows from its figures.

    Attributes:
        accuracy: mean and range over seeds, test split; None until tested.
        latency_ms: median and quartiles; None until measured.
        comparable_ms: the measured latency by the statistic that tables predict: the median over passes of
            each pass's lower quartile.
        predicted_error: predicted over `comparable_ms`, less 1; None where either is missing.
        corrected_ms: predicted times the factor that measuring during the search came to; None where nothing
            was measured, or in another element type than the search's.
        knee: of the measured finalists in the search's element type.
        missed: targets other than the first device's that it does not keep to, or is not known to: by its own
            parameters and file size, of other costs as the search has them, in its element type.
        best: the most accurate measured network at or below every target: what `mnas pick` gives for it.
        warnings: reasons to doubt its latency.
    """

    final: Final
    parameters: int
    macs: int
    accuracy: Bar | None
    latency_ms: Bar | None
    comparable_ms: float | None
    predicted_error: float | None
    warnings: tuple[Warning, ...]
    corrected_ms: float | None = None
    missed: tuple[str, ...] = ()
    knee: bool = False
    best: bool = False

    @property
    def rated(self) -> Rated | None:
        """The network as comparisons take it; None until it is tested and measured."""
        if self.accuracy is None or self.latency_ms is None:
            return None
        return Rated(self.final.name, self.accuracy, self.latency_ms, len(self.final.accuracies))


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything a report says.

    Attributes:
        proposals: how many results the search has per state, repetitions of an architecture apart.
        comparisons: per measured finalist, with the element type.
        missing: what is not done yet, and the command that does it.
        notes: what limits the figures.
        gaps: what the search measured, beside what was predicted.
    """

    run: RunDirectory
    proposals: dict[str, int]
    candidates: tuple[Candidate, ...]
    networks: tuple[Network, ...]
    comparisons: tuple[tuple[str, Comparison], ...]
    correlation: RankCorrelation
    records: Records
    troubles: tuple[Trouble, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    gaps: tuple[Gap, ...] = ()


def summarise(run: RunDirectory) -> Summary:
    """Read a run directory and work out what it shows.

    Raises:
        BadRun: its files cannot be read.
    """
    records = Ledger(run.finalists).read()
    gaps = gaps_of(run)
    status = status_of(run)
    factor = status.factors.get(LATENCY, 1.0) if any(gap.cost == LATENCY for gap in gaps) else None
    candidates = _candidates(status, factor)
    networks = _marked([_network(final, run.config.dtype, factor, status) for final in records.finals()], run)
    missing = _missing(run, candidates, networks)
    measured = [(one, rated) for one in networks if (rated := one.rated)]
    comparisons = tuple(
        (
            one.final.dtype,
            compare(
                rated,
                [
                    other
                    for baseline, other in measured
                    if baseline.final.role == "baseline" and baseline.final.dtype == one.final.dtype
                ],
            ),
        )
        for one, rated in measured
        if one.final.role == "finalist"
    )
    session = records.session
    return Summary(
        run,
        _proposals(status.results),
        candidates,
        networks,
        comparisons,
        rank_correlation(_pairs(networks)),
        records,
        (*_open_troubles(records), *(session.troubles if session else ())),
        missing,
        (*_notes(networks, run), *_prediction_notes(networks, run)),
        tuple(gaps),
    )


def _proposals(results: Sequence[Result]) -> dict[str, int]:
    count = Counter("repeated" if result.repeats is not None else result.state for result in results)
    return {state: count[state] for state in (*STATES, "repeated")}


def _candidates(status: Status, factor: float | None) -> tuple[Candidate, ...]:
    if not status.trained:
        return ()
    choice, members = choose(status, 1), {result.number for result in status.front}
    return tuple(
        Candidate(
            result,
            result.number in members,
            result is choice.knee,
            result is choice.best,
            None if factor is None else factor * result.point[1],
            status.measured_of(result).get(LATENCY),
        )
        for result in status.trained
    )


def _missed(final: Final, parameters: int, status: Status) -> tuple[str, ...]:
    """Targets after the first that a network does not keep to, or is not known to."""
    searched = next((one for one in status.trained if one.number == final.trial), None)
    known = {} if searched is None else status.corrected(searched)
    known |= {"parameters": parameters, "file_bytes": final.model.model_bytes}
    return tuple(
        goal.cost
        for goal in status.goals[1:]
        if goal.target is not None and not known.get(goal.cost, inf) <= goal.target
    )


def _network(final: Final, dtype: str, factor: float | None, status: Status) -> Network:
    """A finalist or baseline; `factor` is of predictions in the search's element type, `dtype`."""
    lowered = lower(Architecture.parse(final.architecture))
    mean = final.accuracy
    accuracy = None if mean is None else Bar(min(final.accuracies), mean, max(final.accuracies))
    measured, predicted = final.measurement, final.model.predicted_ms
    corrected = factor * predicted if factor and predicted and final.dtype == dtype else None
    missed = _missed(final, lowered.parameters, status)
    if measured is None:
        return Network(
            final, lowered.parameters, lowered.macs, accuracy, None, None, None, (), corrected, missed
        )
    comparable = network_ms([one.distribution_ms for one in measured.passes])
    return Network(
        final,
        lowered.parameters,
        lowered.macs,
        accuracy,
        Bar(measured.quantile_ms(0.25), measured.median_ms, measured.quantile_ms(0.75)),
        comparable,
        None if predicted is None else predicted / comparable - 1,
        warnings(measured),
        corrected,
        missed,
    )


def _marked(networks: Sequence[Network], run: RunDirectory) -> tuple[Network, ...]:
    """The networks, with the knee and the best under the targets marked."""
    best = _position(
        [one for one in networks if not one.missed],
        lambda accuracy, latency: best_under(accuracy, latency, run.config.target_ms),
    )
    searched = [
        one for one in networks if one.final.role == "finalist" and one.final.dtype == run.config.dtype
    ]
    bend = _position(searched, knee)
    return tuple(replace(one, best=one is best, knee=one is bend) for one in networks)


def _position(
    networks: Sequence[Network], find: Callable[[list[float], list[float]], int | None]
) -> Network | None:
    """The network that `find` points at among those tested and measured, by accuracies and latencies."""
    rated = [(one, figures) for one in networks if (figures := one.rated)]
    if not rated:
        return None
    position = find(
        [figures.accuracy.middle for _, figures in rated], [figures.latency_ms.middle for _, figures in rated]
    )
    return None if position is None else rated[position][0]


def _pairs(networks: Sequence[Network]) -> list[tuple[float, float]]:
    """Search accuracy and final accuracy of the finalists, float32."""
    return [
        (one.final.search_accuracy, one.accuracy.middle)
        for one in networks
        if one.final.dtype == "float32" and one.final.search_accuracy is not None and one.accuracy is not None
    ]


def _missing(
    run: RunDirectory, candidates: Sequence[Candidate], networks: Sequence[Network]
) -> tuple[str, ...]:
    if not candidates:
        return (f"no candidate is trained yet: run the same mnas search again with {run.path}",)
    again = f"run mnas finalize {run.path}"
    missing = []
    if len(candidates) < run.config.trials:
        missing.append(
            f"{len(candidates)} of {run.config.trials} candidates are trained: repeat the mnas search"
        )
    if not networks:
        return (*missing, f"no finalists yet: {again}")
    unmeasured = sum(one.latency_ms is None for one in networks)
    untested = sum(len(one.final.accuracies) < len(one.final.seeds) for one in networks)
    if unmeasured:
        missing.append(f"{unmeasured} of {len(networks)} models are not measured yet: {again}")
    if untested:
        missing.append(f"{untested} of {len(networks)} models are not tested with every seed yet: {again}")
    return tuple(missing)


def _open_troubles(records: Records) -> tuple[Trouble, ...]:
    """Troubles that no later success has made good."""
    done = {f"{one.name}, seed {one.seed}" for one in records.trained}
    done |= {
        model.file for one in records.trained for model in one.models if model.sha256 in records.accuracies
    }
    return tuple({one.name: one for one in records.troubles if one.name not in done}.values())


def _notes(networks: Sequence[Network], run: RunDirectory) -> tuple[str, ...]:
    notes = [*_cost_notes(run), *_target_notes(networks, run)]
    doubted: dict[str, list[str]] = {}
    for one in networks:
        for warning in one.warnings:
            doubted.setdefault(warning.code, []).append(
                f"{one.final.name} {one.final.dtype}: {warning.message}"
            )
    models = sum(one.latency_ms is not None for one in networks)
    for code, found in doubted.items():
        notes.append(f"{code}, {len(found)} of {models} models, such as {found[0]}")
    if networks and not any(one.final.role == "baseline" for one in networks):
        notes.append("no baselines to compare with: mnas finalize --baselines adds them")
    seeds = {len(one.final.seeds) for one in networks}
    if 1 in seeds:
        notes.append("some networks have one seed: their accuracy has no bar, so no difference is claimed")
    measured = {one.final.measurement.context.facts.address for one in networks if one.final.measurement}
    searched = run.config.device
    if run.config.latency == "device" and (other := sorted(measured - {searched})):
        notes.append(f"measured on {', '.join(other)}, predicted for {searched}: the two do not compare")
    return tuple(notes)


def _cost_notes(run: RunDirectory) -> list[str]:
    """What a report leaves out of a search for several costs."""
    config = run.config
    if not config.also:
        return []
    first = config.names.get(LATENCY, config.device)
    costs = dict.fromkeys(config.names.get(name, name) for name in config.also)
    return [
        f"latencies and pictures are of {first} alone; the front, the finalists and the best go by "
        f"{', '.join(costs)}, too, as the search has them: mnas runs show {shlex.quote(str(run.path))}"
    ]


def _target_notes(networks: Sequence[Network], run: RunDirectory) -> list[str]:
    """Which networks are not under every target, whatever they take on the first device."""
    names = run.config.names
    missed = {
        f"{one.final.name} {one.final.dtype}": ", ".join(names.get(cost, cost) for cost in one.missed)
        for one in networks
        if one.missed
    }
    return [f"not known to keep to the target of {costs}: {name}" for name, costs in missed.items()]


def _prediction_notes(networks: Sequence[Network], run: RunDirectory) -> tuple[str, ...]:
    """What keeps predicted and measured latencies apart."""
    notes = []
    config, target_ms = run.config, run.config.target_ms
    for one in networks:
        if one.latency_ms and one.comparable_ms and one.comparable_ms <= target_ms < one.latency_ms.middle:
            notes.append(
                f"{one.final.name} {one.final.dtype} takes {one.comparable_ms:.3g} ms by the lower quartile, "
                f"which the search goes by, and {one.latency_ms.middle:.3g} ms by the median, which the best "
                f"under {target_ms:g} ms goes by"
            )
    measured = next((one.final.measurement for one in networks if one.final.measurement), None)
    if config.latency != "table" or measured is None:
        return tuple(notes)
    if found := _table_elsewhere(run, measured.context):
        notes.append(f"the latency table is from elsewhere, so its predictions do not compare: {found}")
    predicted = {one.final.dtype for one in networks if one.final.model.predicted_ms is not None}
    for dtype in sorted({one.final.dtype for one in networks} - predicted - {config.dtype}):
        notes.append(
            f"the table is {config.dtype}; {dtype} latencies are measured only"
            + (": mnas finalize --int8-table FILE adds predictions" if dtype == "int8" else "")
        )
    return tuple(notes)


def _table_elsewhere(run: RunDirectory, context: Context) -> str:
    from latency_tables.store import LatencyTable

    try:
        with LatencyTable.open(run.table) as table:
            return elsewhere(table.origin, context.facts, context.settings)
    except BadTable as error:
        return str(error)
