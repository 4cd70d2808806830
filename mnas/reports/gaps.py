"""What a search measured beside what was predicted, as text and JSON. Measures nothing and draws nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

from mnas.gaps import Gap, by_cost, fit, in_words


def to_json(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
    """Of each cost what docs/json.md describes as `gaps[]` under `mnas report`."""
    found = []
    for cost, rows in by_cost(gaps).items():
        fitted, own = fit(rows), networks(rows)
        found.append(
            {
                "cost": cost,
                "factor": fitted.factor,
                "speed": fitted.speed,
                "beyond": fitted.beyond,
                "beyond_error_percent": None if fitted.error is None else 100 * fitted.error,
                "networks": fitted.networks,
                "anchors": fitted.anchors,
                "error_percent": error_percent(own),
                "corrected_error_percent": error_percent(own, fitted.factor),
                "inside": inside(own),
                "measured": [_measured(one) for one in rows],
            }
        )
    return found


def _measured(gap: Gap) -> dict[str, Any]:
    return {name: value for name, value in asdict(gap).items() if name != "cost"}


def lines(gaps: Sequence[Gap]) -> Iterator[str]:
    """For people, of each cost."""
    for cost, rows in by_cost(gaps).items():
        fitted, own = fit(rows), networks(rows)
        yield f"{cost}: {in_words(fitted)}"
        known = len([one for one in own if one.low_ms is not None and one.high_ms is not None])
        if own:
            yield (
                f"{cost}: predictions of those networks were off by {error_percent(own):.1f} % on the mean, "
                f"{error_percent(own, fitted.factor):.1f} % times the factor of {fitted.factor:.3f}"
                + (
                    f"; {inside(own)} of {known} measured within their 90 % interval, uncorrected"
                    if known
                    else ""
                )
            )


def networks(gaps: Sequence[Gap]) -> list[Gap]:
    """The search's own networks, without the anchors."""
    return [one for one in gaps if one.why != "anchor"]


def error_percent(gaps: Sequence[Gap], factor: float = 1.0) -> float | None:
    """Mean absolute error of predictions times a factor; None without networks."""
    if not gaps:
        return None
    return 100 * mean(abs(factor / one.ratio - 1) for one in gaps)


def inside(gaps: Sequence[Gap]) -> int:
    """How many were measured within the interval that they were predicted with, without any factor."""
    return sum(
        one.low_ms is not None and one.high_ms is not None and one.low_ms <= one.measured_ms <= one.high_ms
        for one in gaps
    )
