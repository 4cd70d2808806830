"""A validation as a JSON document. Fields are in docs/json.md; computes no figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from latency_tables.judging.residuals import Blame, Trend
from latency_tables.judging.scores import Intervals, Scores
from latency_tables.judging.validation import Validation

#: operators that are listed; kinds are all
OPERATORS = 20


def to_json(table: str, device: str, headline: str, found: Validation) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table validate`: figures that are unknown are null."""
    at = found.circumstances
    return {
        "table": table,
        "device": device,
        "headline": headline,
        **_scores(found.scores),
        "noise_floor_percent": found.noise.floor_percent,
        "reanchored": found.reanchored is not None,
        "anchors": found.anchors,
        "speed_percent": found.speed_percent,
        "interval": {
            **{name.name: None for name in fields(Intervals)},
            **({} if found.intervals is None else asdict(found.intervals)),
            "perfect_width_percent": found.noise.perfect_width_percent,
        },
        "methods": [
            {
                "method": one.name,
                **_scores(one.scores),
                "predicted_ms": list(one.predicted_ms),
                "why_not": one.why_not,
            }
            for one in found.methods
        ],
        "trends": {
            "depth": _trend(found.depth),
            "size": _trend(found.size),
            "latency": _trend(found.latency),
        },
        "kinds": _blamed(found.kinds, "kind"),
        "operators": _blamed(found.operators[:OPERATORS], "operator"),
        "details": [
            {
                "network": one.name,
                "predicted_ms": one.predicted_ms,
                "low_ms": one.low_ms,
                "high_ms": one.high_ms,
                "as_predicted_ms": one.as_predicted_ms,
                "measured_ms": one.measured_ms,
                "instances_ms": list(one.instances_ms),
                "error_percent": one.error_percent,
                "operators": one.operators,
                "macs": one.macs,
            }
            for one in found.details
        ],
        "passes": at.passes,
        "started_at": at.started_at,
        "ended_at": at.ended_at,
        "crossed": list(at.crossed),
        "older_passes": at.older,
        "stale": at.drift,
        "failures": [
            {"network": one.model, "error": one.error, "message": one.message} for one in at.failures
        ],
    }


def _scores(scores: Scores | None) -> dict[str, Any]:
    return {name.name: None for name in fields(Scores)} if scores is None else asdict(scores)


def _trend(trend: Trend | None) -> dict[str, Any]:
    return {name.name: None for name in fields(Trend)} if trend is None else asdict(trend)


def _blamed(blamed: Sequence[Blame], name: str) -> list[dict[str, Any]]:
    return [
        {name: one.of, **{key: value for key, value in asdict(one).items() if key != "of"}} for one in blamed
    ]
