"""Holds predictions against the device during a search: near a cap, and the front every so often.

Knows when to measure which network, and what follows for targets and caps. Changes no recorded latency.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from devices.errors import DevicesError
from devices.measurement import Failure
from devices.plan import Plan
from devices.records import to_plain
from latency_tables.measuring.bursts import Job
from mnas.architecture import Architecture
from mnas.config import MEASURE_EVERY
from mnas.gaps import Fit, Gap, Why, by_cost, fit, in_words, keep, measured_of, read_gaps
from mnas.lower import lower
from mnas.visiting import PLAN, Measured, OtherDevice, Place, visit

if TYPE_CHECKING:
    from mnas.latency import Latency
    from mnas.run import Result

#: networks of the front that one look measures, those nearest to the target first
AT_ONCE = 12
#: a device that was not to be had is not asked for again near a cap before that; each look at the front asks
AGAIN_S = 300.0


class Standing(Protocol):
    """How far a search has come, as far as it counts here (`mnas.status.Status`)."""

    @property
    def trained(self) -> Sequence[Result]:
        """The trained candidates."""

    @property
    def front(self) -> Sequence[Result]:
        """Those that no other beats."""


class Predicts(Protocol):
    """What says predictions of one latency (`mnas.latency.LatencySource`)."""

    def predict(self, architecture: Architecture) -> Latency:
        """Latency with its interval, uncorrected."""


@dataclass(frozen=True, slots=True)
class Measurable:
    """A latency of the search that can be measured.

    Attributes:
        target_ms: of the search, in the device's milliseconds; None for none.
        dtype: element type of the networks.
    """

    predicts: Predicts
    place: Place
    target_ms: float | None = None
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A network to measure."""

    architecture: Architecture
    predicted: Latency
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known of a network before a visit measures it; of an anchor its latency by the table."""

    why: Why
    network: str
    predicted_ms: float
    low_ms: float | None = None
    high_ms: float | None = None
    trial: int | None = None

    def gap(self, cost: str, trained: int, visit: int, found: Measured) -> Gap:
        """With what the visit found."""
        contexts = [one.context for one in found.passes]
        loads = [one.other_load for one in contexts if one.other_load is not None]
        return Gap(
            at=contexts[0].started_at,
            cost=cost,
            why=self.why,
            network=self.network,
            trial=self.trial,
            trained=trained,
            visit=visit,
            predicted_ms=self.predicted_ms,
            low_ms=self.low_ms,
            high_ms=self.high_ms,
            measured_ms=found.latency_ms,
            passes=len(found.passes),
            device=_digest(contexts[0].facts),
            governor=contexts[0].governor,
            other_load=max(loads, default=None),
        )


@dataclass(slots=True)
class Correction:
    """Measured over predicted, by cost, and when to measure.

    Attributes:
        measurables: by the name of the cost.
        file: where each measured network is kept as it comes, and read back from; None keeps them here only.
        measure_every: trained candidates between two looks at the front; 0: never.
        plan: how networks are measured.
        paused: entered while this machine measures; returns once no evaluation computes.
        tell: told, in words, what came of measuring, and what hindered it.
        gaps: all that was measured so far, in the order it came.

    Raises:
        BadRun: the file holds something else.
    """

    measurables: Mapping[str, Measurable]
    file: Path | None = None
    measure_every: int = MEASURE_EVERY
    plan: Plan = PLAN
    paused: Callable[[], AbstractContextManager[object]] = nullcontext
    tell: Callable[[str], None] = lambda _: None
    gaps: list[Gap] = field(init=False)
    _fits: dict[str, Fit] = field(init=False)
    _looked_at: int = field(init=False)
    _trained: int = field(init=False, default=0)
    #: costs of whose table anchors were measured by this process
    _anchored: set[str] = field(init=False, default_factory=set)
    #: networks, by cost, that the device cannot measure
    _refused: set[tuple[str, str]] = field(init=False, default_factory=set)
    #: costs whose device is another one than the table's
    _others: set[str] = field(init=False, default_factory=set)
    #: by cost the time before which its device is not asked for near a cap, and what was said of it
    _away: dict[str, tuple[float, str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.gaps = [] if self.file is None else read_gaps(self.file)
        self._fits = {cost: fit(rows) for cost, rows in by_cost(self.gaps).items()}
        self._looked_at = self._step(max((one.trained for one in self.gaps if one.why == "front"), default=0))

    def factor(self, cost: str) -> float:
        """By what a prediction of this cost is to be multiplied: 1 where nothing is known."""
        return self.fit(cost).factor

    def fit(self, cost: str) -> Fit:
        """What is known of a cost's predictions."""
        return self._fits.get(cost, Fit())

    def decide(self, cost: str, architecture: Any, latency: Latency, cap: float) -> float | None:
        """The measured latency in milliseconds where the prediction leaves open on which side of a cap it is.

        Args:
            latency: predicted, uncorrected.
            cap: in the device's milliseconds.

        Returns:
            What was measured before, wherever the cap lies. Else None where the 90 % interval, times the
            factor, lies on one side of the cap or is not known, or where the device cannot measure it: then
            the prediction decides.
        """
        text = str(architecture)
        if (known := self.measured().get(cost, {}).get(text)) is not None:
            return known
        if latency.low_ms is None or latency.high_ms is None or cost not in self.measurables:
            return None
        factor = self.factor(cost)
        if not latency.low_ms * factor <= cap < latency.high_ms * factor:
            return None
        if time.monotonic() < self._away.get(cost, (-math.inf, ""))[0]:
            return None
        self._visit(cost, "cap", [_Candidate(architecture, latency)])
        if (found := self.measured().get(cost, {}).get(text)) is not None:
            self.tell(
                f"{self.measurables[cost].place.name}: near the cap of {cap:g} ms a candidate predicted "
                f"to take {latency.latency_ms:.4g} ms takes {found:.4g} ms"
            )
        return found

    def after(self, status: Standing) -> None:
        """Look at the front if it is time: to be called after each trained candidate.

        Its members that were not measured yet are, together with some of the table's anchors.
        """
        self._trained = len(status.trained)
        if not self.measure_every or self._trained < self._looked_at + self.measure_every:
            return
        self._looked_at = self._step(self._trained)
        for cost in self.measurables:
            if found := self._unmeasured(cost, status.front):
                self._visit(cost, "front", found)

    def _step(self, trained: int) -> int:
        return trained - trained % self.measure_every if self.measure_every else 0

    def _unmeasured(self, cost: str, front: Sequence[Result]) -> list[_Candidate]:
        """Members of the front to measure, those nearest to the target first."""
        measurable, done, factor = self.measurables[cost], self.measured().get(cost, {}), self.factor(cost)
        parsed = [
            (Architecture.parse(one.architecture), one) for one in front if one.architecture not in done
        ]
        found = [
            _Candidate(architecture, measurable.predicts.predict(architecture), one.number)
            for architecture, one in parsed
        ]
        if measurable.target_ms is not None:
            aim = math.log(measurable.target_ms / factor)
            found.sort(key=lambda one: abs(math.log(one.predicted.latency_ms) - aim))
        return found[:AT_ONCE]

    def measured(self) -> dict[str, dict[str, float]]:
        """By cost, the milliseconds of networks by their text, near a cap or on the front."""
        return measured_of(self.gaps)

    def _visit(self, cost: str, why: Why, candidates: Sequence[_Candidate]) -> None:
        """Measure networks; whatever hinders it is said, and leaves the search to predictions."""
        measurable = self.measurables[cost]
        names = {
            f"network-{place}": one
            for place, one in enumerate(candidates)
            if (cost, str(one.architecture)) not in self._refused
        }
        if cost in self._others or not names:
            return
        # near a cap one network is waited for: with anchors it takes as long as five, so only the first time
        with_anchors = why == "front" or cost not in self._anchored
        place = measurable.place if with_anchors else replace(measurable.place, anchors=())
        asked = {one.name: _Asked("anchor", one.name, one.latency_ms) for one in place.anchors}
        jobs = []
        for name, one in names.items():
            text, known = str(one.architecture), one.predicted
            asked[name] = _Asked(why, text, known.latency_ms, known.low_ms, known.high_ms, one.trial)
            jobs.append(Job(name, lower(one.architecture, measurable.dtype).graph))
        number = max((one.visit for one in self.gaps), default=0) + 1

        def measured(found: Measured) -> None:
            gap = asked[found.job.name].gap(cost, self._trained, number, found)
            if gap.why == "anchor":
                self._anchored.add(cost)
            self._keep(gap)

        def failed(failure: Failure) -> None:
            self.tell(f"{place.name}: {failure.message}")
            if failure.model in names:
                self._refused.add((cost, asked[failure.model].network))

        try:
            visit(place, jobs, measured, failed, plan=self.plan, paused=self.paused)
        except OtherDevice as error:
            self._others.add(cost)
            self.tell(
                f"{place.name} is not as it was when its latency table was measured: {error}. So predictions "
                "are not compared with it, and the search goes on by them alone"
            )
        except DevicesError as error:
            said = self._away.get(cost, (0.0, ""))[1]
            self._away[cost] = (time.monotonic() + AGAIN_S, error.code)
            if said != error.code:
                self.tell(f"{place.name} cannot measure now, so the search goes on by predictions: {error}")
        else:
            if self._away.pop(cost, None) is not None:
                self.tell(f"{place.name} measures again")
        if with_anchors and any(one.visit == number for one in self.gaps):
            self.tell(f"{cost} on {place.name}: {in_words(self.fit(cost))}")

    def _keep(self, gap: Gap) -> None:
        found = fit([*(one for one in self.gaps if one.cost == gap.cost), gap])
        gap = replace(gap, factor=found.factor)
        if self.file is not None:
            keep(self.file, gap)
        self.gaps.append(gap)
        self._fits[gap.cost] = found


def _digest(facts: Any) -> str:
    """Tells one device in one state from others, in 12 characters."""
    return hashlib.sha256(json.dumps(to_plain(facts), sort_keys=True).encode()).hexdigest()[:12]
