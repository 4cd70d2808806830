"""Whether two measured latencies can be compared, and what the comparison says. Reads and measures nothing.

A difference between two latencies means something only when nothing but the thing in question differs. So the
contexts are compared first, field by field, and any difference that was not asked about is a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnas.errors import BadInput

#: what must agree: the name for people and for `--across`, and where a document of `mnas profile` has it
FIELDS = {
    "device": ("device", "address"),
    "unit": ("device", "identity"),
    "processor": ("device", "cpu_model"),
    "system": ("device", "operating_system"),
    "build": ("device", "os_build"),
    "runtime": ("device", "runtime"),
    "runtime-version": ("device", "runtime_version"),
    "program": ("device", "runtime_sha256"),
    "delegate": ("delegate",),
    "delegate-options": ("delegate_options",),
    "libraries": ("libraries",),
    "threads": ("threads",),
    "cores": ("cpus",),
    "governor": ("governor",),
    "conditions": ("conditions",),
}
#: degrees Celsius by which the devices' temperatures may differ before the measurements
TEMPERATURE_C = 10.0
#: warnings under which a latency says too little about the model
DISQUALIFYING = ("throttled", "slowing", "disturbed", "preempted", "suspect")
#: by how much a model's latency differs from itself between two sessions on the same device, as a share
SESSIONS = 0.05
#: share of intervals that hold the true ratio
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two measurements."""

    model: str
    device: str
    median_ms: float
    q25_ms: float
    q75_ms: float
    samples: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two comparable latencies.

    Attributes:
        ratio: median of B over median of A.
        low, high: 95 % interval of the ratio (Welch's, over the logarithms of the passes' medians: runs of
            one pass know little of the next), widened by what two sessions differ by; None where one of them
            has a single pass.
    """

    a: Side
    b: Side
    ratio: float
    low: float | None
    high: float | None

    @property
    def differ(self) -> bool | None:
        """Whether the interval excludes 1; None without one."""
        return None if self.low is None or self.high is None else not self.low <= 1 <= self.high


def compare(a: Mapping[str, Any], b: Mapping[str, Any], across: Collection[str] = ()) -> Comparison:
    """Compare two documents of `mnas profile --json`.

    Args:
        across: fields of `FIELDS`, or `temperature`, whose difference is the question.

    Raises:
        BadInput: they cannot be compared; the message lists every reason.
    """
    if reasons := obstacles(a, b, across):
        raise BadInput(
            f"{_name(a)} and {_name(b)} cannot be compared: {'; '.join(reasons)}. Measure both under the "
            "same conditions, or say with --across what is meant to differ"
        )
    low, high = _interval(a["pass_medians_ms"], b["pass_medians_ms"])
    return Comparison(_side(a), _side(b), b["median_ms"] / a["median_ms"], low, high)


def obstacles(a: Mapping[str, Any], b: Mapping[str, Any], across: Collection[str] = ()) -> list[str]:
    """Every reason why two documents cannot be compared; none: they can."""
    if unknown := sorted(set(across) - {*FIELDS, "temperature"}):
        raise BadInput(
            f"--across {', '.join(unknown)}: what may be meant to differ is one of "
            f"{', '.join(FIELDS)}, temperature"
        )
    found = []
    for name, path in FIELDS.items():
        one, other = _at(a, path), _at(b, path)
        if name not in across and one != other:
            found.append(f"the {name} differs ({_text(one)} and {_text(other)})")
    if "temperature" not in across:
        one, other = a.get("temperature_before_c"), b.get("temperature_before_c")
        if one is not None and other is not None and abs(one - other) > TEMPERATURE_C:
            found.append(f"one began at {one:g} °C and the other at {other:g} °C")
    for side in (a, b):
        codes = [each["code"] for each in side["warnings"] if each["code"] in DISQUALIFYING]
        if codes:
            found.append(f"{_name(side)} carries the warning {', '.join(codes)}")
    return found


def pairs(
    a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The measurements of two files that belong together: the only ones, or those of one model and device.

    Raises:
        BadInput: one of them has no counterpart, or several.
    """
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    index = [{(each["sha256"], each["device"]["address"]): each for each in side} for side in (a, b)]
    alone = sorted(_name(side[key]) for side in index for key in set(index[0]) ^ set(index[1]) if key in side)
    if alone or any(len(keys) < len(side) for keys, side in zip(index, (a, b), strict=True)):
        raise BadInput(
            "the two files do not hold the same models on the same devices"
            + (f"; without a counterpart: {', '.join(alone)}" if alone else "; one holds a model twice")
        )
    return [(each, index[1][key]) for key, each in index[0].items()]


def _interval(a: Sequence[float], b: Sequence[float]) -> tuple[float | None, float | None]:
    """Interval of the ratio of B to A (Welch 1947), widened by `SESSIONS`."""
    if min(len(a), len(b)) < 2:
        return None, None
    from scipy.stats import t

    logs = [np.log(np.asarray(side, dtype=np.float64)) for side in (a, b)]
    ratio = float(logs[1].mean() - logs[0].mean())
    parts = [float(side.var(ddof=1)) / len(side) for side in logs]
    margin = math.log1p(SESSIONS)
    if sum(parts) > 0:
        freedom = sum(parts) ** 2 / sum(
            part**2 / (len(side) - 1) for part, side in zip(parts, logs, strict=True)
        )
        margin += float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(sum(parts))
    return math.exp(ratio - margin), math.exp(ratio + margin)


def _side(document: Mapping[str, Any]) -> Side:
    return Side(
        document["model"],
        document["device"]["address"],
        document["median_ms"],
        document["q25_ms"],
        document["q75_ms"],
        document["samples"],
    )


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)


def _name(document: Mapping[str, Any]) -> str:
    return f"{document['model']} on {document['device']['address']}"
