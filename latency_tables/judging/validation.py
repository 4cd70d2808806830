"""What a validation found: errors, intervals, noise, trends, who is to blame. Measures and opens nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from devices.measurement import Failure
from latency_tables.errors import BadTable
from latency_tables.fitting.calibration import fit_scale
from latency_tables.fitting.intervals import pass_error
from latency_tables.judging import residuals, scores
from latency_tables.judging.residuals import Blame, Trend
from latency_tables.judging.scores import Intervals, Noise, Scores
from latency_tables.ops import Graph
from latency_tables.predict import Prediction, Predictor
from latency_tables.units import kind_of


@dataclass(frozen=True, slots=True)
class Subject:
    """A network that was measured as two instances.

    Attributes:
        passes_ms: of each instance, the lower quartile of each pass (`statistics.pass_ms`).
    """

    name: str
    graph: Graph
    passes_ms: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def measured_ms(self) -> float:
        """The median over both instances' passes: `network_ms` of all its samples."""
        return median(self.passes_ms[0] + self.passes_ms[1])

    @property
    def instances_ms(self) -> tuple[float, float]:
        """The same of each instance."""
        return median(self.passes_ms[0]), median(self.passes_ms[1])


@dataclass(frozen=True, slots=True)
class Rival:
    """Another way to predict, up to one factor that the anchors bring.

    Attributes:
        raw: what it says of a network, in any unit; None where it cannot tell.
    """

    name: str
    raw: Callable[[Graph], float | None]


@dataclass(frozen=True, slots=True)
class Method:
    """How well one way to predict did.

    Attributes:
        scores: None where it could predict none of the networks; over those only that it could.
        predicted_ms: of each held-out network, in their order; None where it could not tell.
        why_not: why it predicts nothing, in words.
    """

    name: str
    scores: Scores | None
    predicted_ms: tuple[float | None, ...] = ()
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One network, predicted and measured.

    Attributes:
        predicted_ms: by the table, calibrated by this run's anchors; as it is where there are none.
        low_ms: the interval around that; None where the table has none.
        high_ms: likewise.
        as_predicted_ms: by the table as it is.
        measured_ms: both instances together.
        operators: in the network: its depth.
        macs: multiply-accumulates: its size.
    """

    name: str
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    as_predicted_ms: float
    measured_ms: float
    instances_ms: tuple[float, float]
    operators: int
    macs: int

    @property
    def error_percent(self) -> float:
        """Of the prediction, with its sign."""
        return 100 * (self.predicted_ms / self.measured_ms - 1)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How and when it was measured.

    Attributes:
        started_at: of the first and the last pass; ISO 8601, UTC.
        crossed: in what the device differs from the table's, with leave.
        drift: why the table is stale by what was measured here; None where it is not.
        older: passes, kept by an earlier call, that are older than the table's last anchoring: the table as
            it is has in its error what has changed until then.
    """

    passes: int
    started_at: str
    ended_at: str
    crossed: tuple[str, ...] = ()
    drift: str | None = None
    failures: tuple[Failure, ...] = ()
    older: int = 0


@dataclass(frozen=True, slots=True)
class Validation:
    """How far a table may be trusted.

    Attributes:
        reanchored: scores once calibrated by this run's anchors: what the table knows of networks; None where
            no anchor was measured.
        as_predicted: scores of the table as it is, with whatever made the device faster or slower since.
        intervals: of `reanchored`, or of `as_predicted` where that is None; None for a table without them.
        speed_percent: by how much the device is slower than when the table was anchored, by the anchors.
        methods: the table both ways, then the others that were measured along.
        depth: error against the number of operators.
        size: error against millions of multiply-accumulates.
        latency: error against predicted milliseconds.
        kinds: whose figures seem off, by kind of operator; the greatest effect first.
        operators: likewise by operator or block, beyond what is common to its kind.
        anchors: networks that brought the calibration of this run.
    """

    reanchored: Scores | None
    as_predicted: Scores
    intervals: Intervals | None
    noise: Noise
    speed_percent: float | None
    methods: tuple[Method, ...]
    depth: Trend | None
    size: Trend | None
    latency: Trend | None
    kinds: tuple[Blame, ...]
    operators: tuple[Blame, ...]
    details: tuple[HeldOut, ...]
    anchors: int
    circumstances: Circumstances

    @property
    def scores(self) -> Scores:
        """The headline: re-anchored, or as predicted where no anchor was measured."""
        return self.reanchored or self.as_predicted

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What could not be measured."""
        return self.circumstances.failures


REANCHORED, AS_PREDICTED = "table, re-anchored", "table, as it is"


def judge(
    predictor: Predictor,
    subjects: Sequence[Subject],
    anchors: Sequence[Subject],
    circumstances: Circumstances,
    rivals: Sequence[Rival] = (),
) -> Validation:
    """The figures of a validation.

    Args:
        anchors: networks measured in the same run, none of them held out: they bring one factor to each
            rival, and its calibration to the table.

    Raises:
        BadTable: there are no subjects.
        MissingOperators: the table cannot predict one of them.
    """
    if not subjects:
        first = f": {circumstances.failures[0].message}" if circumstances.failures else ""
        raise BadTable(f"no held-out network was measured, {len(circumstances.failures)} failed{first}")
    then = [predictor.predict(one.graph.specs) for one in subjects]
    now, anchored = then, predictor
    if anchors:
        anchored = _reanchored(predictor, anchors)
        now = [anchored.predict(one.graph.specs) for one in subjects]
    measured = [one.measured_ms for one in subjects]
    as_predicted = scores.score([one.latency_ms for one in then], measured)
    reanchored = scores.score([one.latency_ms for one in now], measured) if anchors else None
    noise = scores.noise(*zip(*(one.instances_ms for one in subjects), strict=True))
    details = tuple(map(_held_out, subjects, now, then))
    errors = [one.error_percent for one in details]
    parts = [_parts(anchored, one.graph) for one in subjects]
    kinds, operators = residuals.blame(parts, errors, kind_of)
    return Validation(
        reanchored=reanchored,
        as_predicted=as_predicted,
        intervals=_intervals(details, noise),
        noise=noise,
        speed_percent=speed_percent(predictor, anchors),
        methods=(
            *([Method(REANCHORED, reanchored, tuple(one.latency_ms for one in now))] if reanchored else []),
            Method(AS_PREDICTED, as_predicted, tuple(one.latency_ms for one in then)),
            *(_rival(one, subjects, anchors) for one in rivals),
        ),
        depth=residuals.trend([one.operators for one in details], errors),
        size=residuals.trend([one.macs / 1e6 for one in details], errors),
        latency=residuals.trend([one.predicted_ms for one in details], errors),
        kinds=tuple(kinds),
        operators=tuple(operators),
        details=details,
        anchors=len(anchors),
        circumstances=circumstances,
    )


def _reanchored(predictor: Predictor, anchors: Sequence[Subject]) -> Predictor:
    instances = [passes for one in anchors for passes in one.passes_ms]
    return predictor.reanchored(
        {one.name: one.graph.specs for one in anchors},
        {one.name: one.measured_ms for one in anchors},
        # of passes of one instance: by how much instances differ is no noise of a pass, but lack of fit
        pass_error([np.array(passes) for passes in instances]) or None,
        passes=mean(len(passes) for passes in instances) * 2,
    )


def _held_out(subject: Subject, now: Prediction, then: Prediction) -> HeldOut:
    return HeldOut(
        name=subject.name,
        predicted_ms=now.latency_ms,
        low_ms=now.low_ms,
        high_ms=now.high_ms,
        as_predicted_ms=then.latency_ms,
        measured_ms=subject.measured_ms,
        instances_ms=subject.instances_ms,
        operators=len(subject.graph.nodes),
        macs=sum(spec.macs for spec in subject.graph.specs),
    )


def _intervals(details: Sequence[HeldOut], noise: Noise) -> Intervals | None:
    known = [
        (one.low_ms, one.high_ms, one.measured_ms)
        for one in details
        if one.low_ms is not None and one.high_ms is not None
    ]
    if not known:
        return None
    low, high, measured = zip(*known, strict=True)
    return scores.intervals(low, high, measured, noise.perfect_width_percent)


def speed_percent(predictor: Predictor, anchors: Sequence[Subject]) -> float | None:
    """By how much a device is slower than when its table was anchored; None where nobody knows."""
    if not anchors or not predictor.calibration.anchors:
        return None
    after = _reanchored(predictor, anchors)
    ratios = [
        after.predict(one.graph.specs).latency_ms / predictor.predict(one.graph.specs).latency_ms
        for one in anchors
    ]
    return 100 * (mean(ratios) - 1)


def _rival(rival: Rival, subjects: Sequence[Subject], anchors: Sequence[Subject]) -> Method:
    known = [
        (raw, one.measured_ms) for one in anchors if (raw := rival.raw(one.graph)) is not None and raw > 0
    ]
    if not known:
        return Method(rival.name, None, (None,) * len(subjects), "no anchor to bring its factor")
    factor = fit_scale([raw for raw, _ in known], [ms for _, ms in known])
    raws = [rival.raw(one.graph) for one in subjects]
    predicted = tuple(None if raw is None else factor * raw for raw in raws)
    pairs = [(ms, one.measured_ms) for ms, one in zip(predicted, subjects, strict=True) if ms is not None]
    if not pairs:
        return Method(rival.name, None, predicted, "every network has parts that could not be measured")
    return Method(rival.name, scores.score(*zip(*pairs, strict=True)), predicted)


def _parts(predictor: Predictor, graph: Graph) -> dict[str, float]:
    """What each unit of a network adds to its sum, in milliseconds."""
    counts = Counter(predictor.units_of(graph.specs))
    return {unit: count * predictor.unit_ms(unit) for unit, count in counts.items()}
