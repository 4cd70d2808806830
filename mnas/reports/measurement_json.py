"""A measured latency and how it came about, as JSON in the same words everywhere. Touches no files."""

from __future__ import annotations

from statistics import median
from typing import Any

from devices.measurement import Measurement
from devices.records import to_plain


def latency_json(measured: Measurement) -> dict[str, Any]:
    """Statistics over the samples of all passes, and under which conditions they were taken."""
    return {
        "median_ms": measured.median_ms,
        "q25_ms": measured.quantile_ms(0.25),
        "q75_ms": measured.quantile_ms(0.75),
        "p95_ms": measured.quantile_ms(0.95),
        "spread_percent": 100 * measured.spread,
        "samples": measured.runs,
        "dropped_samples": measured.dropped,
        "passes": len(measured.passes),
        "pass_medians_ms": [median(one.distribution_ms) for one in measured.passes],
        "first_inference_ms": measured.passes[0].first_inference_ms,
        "initialisation_ms": measured.passes[0].initialisation_ms,
        **context_json(measured),
    }


def context_json(measured: Measurement) -> dict[str, Any]:
    """What ran the model, on what and under which load; None is unknown, for `cpus` the device's choice."""
    context = measured.context
    loads = [one.context.other_load for one in measured.passes if one.context.other_load is not None]
    doubts = dict.fromkeys(one.context.suspect for one in measured.passes if one.context.suspect)
    fences = sorted({one.context.fence for one in measured.passes if one.context.fence is not None})
    throttled = [one.context.throttled for one in measured.passes if one.context.throttled is not None]
    return {
        "started_at": context.started_at,
        "threads": context.settings.threads,
        "cpus": context.settings.cpus and list(context.settings.cpus),
        "governor": context.governor,
        "frequency_khz": context.frequency_khz,
        "temperature_before_c": context.temperature_before_c,
        "temperature_after_c": measured.passes[-1].context.temperature_after_c,
        "conditions": list(context.conditions),
        "fences": fences,
        "suspect": list(doubts),
        "delegate": context.delegate,
        "delegate_options": list(context.settings.delegate_options),
        "libraries": list(context.libraries),
        "delegated_operators": context.delegated_operators,
        "executed_operators": context.total_operators,
        "other_load_percent": 100 * max(loads) if loads else None,
        "throttled": any(throttled) if throttled else None,
        "device": to_plain(context.facts),
    }
