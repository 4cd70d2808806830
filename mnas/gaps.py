"""How far a table's predictions are off on the networks of one search: the records and what they say.

Knows the file of a run that has them. Measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, Self

from mnas.errors import BadInput, BadRun
from mnas.jsonl import append_jsonl, read_records
from mnas.records import ABOVE_0, COUNT, NOTHING, NUMBER, TEXT, Kind, check, require_fields

if TYPE_CHECKING:
    from mnas.run import RunDirectory

#: why a network was measured: its prediction straddles a cap; it is on the front; it is one of the table's
#: anchors, which tells how fast the device is at the moment
Why = Literal["cap", "front", "anchor"]
WHY: tuple[Why, ...] = ("cap", "front", "anchor")
#: how far apart the logarithms of factors are expected to lie: a device is faster on one day than on another
#: by a tenth, and the front of a search was seen a tenth slower than predicted
EXPECTED = 0.1
#: standard deviation of a measured network around its prediction, where the table does not tell
UNKNOWN = 0.05
#: of an anchor measured again around its own latency in the table
ANCHOR = 0.02
#: half of a 90 % interval, in standard deviations
HALF = 1.645
#: networks from which their own spread tells more than their intervals
ENOUGH = 4

_KINDS = {
    "at": TEXT,
    "cost": TEXT,
    "why": Kind(f"one of {', '.join(WHY)}", lambda value: value in WHY),
    "network": TEXT,
    "trial": COUNT | NOTHING,
    "trained": COUNT,
    "visit": COUNT,
    "predicted_ms": ABOVE_0,
    "low_ms": NUMBER | NOTHING,
    "high_ms": NUMBER | NOTHING,
    "measured_ms": ABOVE_0,
    "passes": COUNT,
    "factor": ABOVE_0,
    "device": TEXT,
    "governor": TEXT | NOTHING,
    "other_load": NUMBER | NOTHING,
}


@dataclass(frozen=True, slots=True)
class Gap:
    """One network as it was predicted and as it was measured during a search.

    Attributes:
        at: when it was measured, ISO 8601, UTC.
        cost: of which cost of the search, such as `latency_ms`.
        network: an architecture's text; the name of an anchor.
        trial: of the candidate; None where it has no result yet, and for anchors.
        trained: candidates that the search had trained by then.
        visit: number of the visit to the device, from 1; what was measured in shuffled passes shares one.
        predicted_ms: by the table, without any factor; of an anchor its latency as the table has it.
        low_ms: lower end of the 90 % interval; None if unknown, and for anchors.
        high_ms: upper end.
        measured_ms: the median over passes of each one's lower quartile, which is what tables predict.
        passes: behind it.
        factor: of the device, with this network.
        device: a digest of what the device said of itself.
        governor: of the frequency of its cores; None if unknown.
        other_load: share of the measuring cores' time that other processes took, at most; None if unknown.
    """

    at: str
    cost: str
    why: Why
    network: str
    trial: int | None
    trained: int
    visit: int
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_ms: float
    passes: int
    factor: float = 1.0
    device: str = ""
    governor: str | None = None
    other_load: float | None = None

    def __post_init__(self) -> None:
        if self.why not in WHY:
            raise BadInput(f"why is {self.why!r}; allowed: {', '.join(WHY)}")
        for name in ("predicted_ms", "measured_ms", "factor"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} is {value}; it must be a number above 0")

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured_ms / self.predicted_ms

    @property
    def deviation(self) -> float:
        """Standard deviation of the logarithm of `ratio`, by what is known before."""
        if self.why == "anchor":
            return ANCHOR
        if not self.low_ms or not self.high_ms or self.high_ms <= self.low_ms:
            return UNKNOWN
        return math.log(self.high_ms / self.low_ms) / (2 * HALF)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `asdict` of a gap became in JSON.

        Raises:
            BadRun: fields are missing, unknown or unusable.
        """
        check(record, _KINDS)
        require_fields(record, cls)
        try:
            return cls(**record)
        except BadInput as error:
            raise BadRun(f"no predicted and measured network of a search: {error}") from error


@dataclass(frozen=True, slots=True)
class Fit:
    """What the gaps of one cost say.

    Attributes:
        factor: by which a prediction is multiplied to be the device's as it is now: `speed x beyond`.
        speed: how many times as long as for the table its anchors took when last measured; None where no
            anchors were measured.
        beyond: how many times as long the search's networks take beyond that: what the search has exploited
            of the table's errors.
        error: relative standard error of `beyond`, before it is drawn towards 1.
        networks: of the search behind it.
        anchors: behind `speed`.
    """

    factor: float = 1.0
    speed: float | None = None
    beyond: float = 1.0
    error: float | None = None
    networks: int = 0
    anchors: int = 0


def fit(gaps: Iterable[Gap]) -> Fit:
    """The factor of one cost's gaps, in the order they came.

    Two things make a network take longer than predicted. The device may be slower than when its table was
    anchored: that is told by the anchors, each against its own latency in the table, and the last visit that
    measured some says how it is now. And a search picks networks whose latency is predicted too low: that is
    the median of what its own networks take beyond the device's speed at their visit, of all visits. Both are
    medians of logarithms, drawn towards 0 by what so few networks can know:
    `EXPECTED^2 / (EXPECTED^2 + error^2)`.
    """
    rows = list(gaps)
    speeds = _speeds(rows)
    speed = speeds[max(speeds)] if speeds else None
    own = [one for one in rows if one.why != "anchor"]
    logs = [math.log(one.ratio) - _nearest(speeds, one.visit) for one in own]
    beyond, error = _drawn(logs, [one.deviation for one in own])
    return Fit(
        factor=math.exp((speed or 0.0) + beyond),
        speed=None if speed is None else math.exp(speed),
        beyond=math.exp(beyond),
        error=error,
        networks=len({one.network for one in own}),
        anchors=sum(one.why == "anchor" and one.visit == max(speeds) for one in rows),
    )


def _speeds(rows: Sequence[Gap]) -> dict[int, float]:
    """By visit that measured anchors, the logarithm of how many times as long as in the table they took."""
    visits = sorted({one.visit for one in rows if one.why == "anchor"})
    found = {}
    for visit in visits:
        anchors = [one for one in rows if one.why == "anchor" and one.visit == visit]
        logs = [math.log(one.ratio) for one in anchors]
        found[visit] = _drawn(logs, [one.deviation for one in anchors])[0]
    return found


def _nearest(speeds: Mapping[int, float], visit: int) -> float:
    """The speed at a visit: that of its anchors, else of the last before it that has some, else the next."""
    before = [one for one in speeds if one <= visit]
    if before:
        return speeds[max(before)]
    return speeds[min(speeds)] if speeds else 0.0


def _drawn(logs: Sequence[float], deviations: Sequence[float]) -> tuple[float, float | None]:
    """The median, drawn towards 0 by its standard error, and that error; None without values."""
    if not logs:
        return 0.0, None
    middle, spread = median(logs), median(deviations)
    if len(logs) >= ENOUGH:
        spread = max(spread, 1.4826 * median(abs(log - middle) for log in logs))
    # a median's variance is pi / 2 times a mean's; of one or two values it is their mean
    variance = spread**2 / len(logs) * (math.pi / 2 if len(logs) > 2 else 1.0)
    return middle * EXPECTED**2 / (EXPECTED**2 + variance), math.sqrt(variance)


def read_gaps(file: Path) -> list[Gap]:
    """The gaps of a file in the order they came, none if there is no file.

    Raises:
        BadRun: a line is something else.
    """
    return read_records(file, Gap.from_record)


def gaps_of(run: RunDirectory) -> list[Gap]:
    """What a run's search has measured, in the order it came.

    Raises:
        BadRun: its file holds something else.
    """
    return read_gaps(run.gaps)


def factors_of(gaps: Iterable[Gap]) -> dict[str, float]:
    """The factors by cost."""
    return {cost: fit(rows).factor for cost, rows in by_cost(gaps).items()}


def measured_of(gaps: Iterable[Gap]) -> dict[str, dict[str, float]]:
    """By cost, the measured milliseconds of the search's own networks by their text, the last of each."""
    found: dict[str, dict[str, float]] = {}
    for one in gaps:
        if one.why != "anchor":
            found.setdefault(one.cost, {})[one.network] = one.measured_ms
    return found


def keep(file: Path, gap: Gap) -> None:
    """Add a gap to a file; it is on the disk when this returns."""
    append_jsonl(file, asdict(gap))


def by_cost(gaps: Iterable[Gap]) -> dict[str, list[Gap]]:
    """Gaps by their cost, in the order they came."""
    found: dict[str, list[Gap]] = {}
    for one in gaps:
        found.setdefault(one.cost, []).append(one)
    return found


def in_words(found: Fit) -> str:
    """What the gaps of a cost say, in half a sentence."""
    if not found.networks and not found.anchors:
        return "nothing is measured yet"
    whole = f"networks take {percent(found.factor)} than predicted, {found.networks} measured"
    if found.speed is None:
        return whole
    return (
        f"{whole}; the device {percent(found.speed)} than for its table, by {found.anchors} anchors, and "
        f"the search's networks {percent(found.beyond)} beyond that"
    )


def percent(factor: float) -> str:
    """How much longer, or shorter."""
    return f"{abs(100 * (factor - 1)):.1f} % {'longer' if factor >= 1 else 'shorter'}"
