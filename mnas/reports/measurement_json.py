"""A measured latency and how it came about, as JSON in the same words everywhere. Touches no files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from devices.measurement import Measurement


def latency_json(measured: Measurement) -> dict[str, Any]:
    """Statistics over the samples of all passes, and under which conditions they were taken."""
    return {
        "median_ms": measured.median_ms,
        "q25_ms": measured.quantile_ms(0.25),
        "q75_ms": measured.quantile_ms(0.75),
        "p95_ms": measured.quantile_ms(0.95),
        "spread_percent": 100 * measured.spread,
        "samples": len(measured.samples_ms),
        "dropped_samples": measured.dropped,
        "passes": len(measured.passes),
        "first_inference_ms": measured.passes[0].first_inference_ms,
        "initialisation_ms": measured.passes[0].initialisation_ms,
        **context_json(measured),
    }


def context_json(measured: Measurement) -> dict[str, Any]:
    """What ran the model, on what and under which load; None is unknown, for `cpus` the device's choice."""
    context = measured.context
    loads = [one.context.other_load for one in measured.passes if one.context.other_load is not None]
    throttled = [one.context.throttled for one in measured.passes if one.context.throttled is not None]
    return {
        "started_at": context.started_at,
        "threads": context.settings.threads,
        "cpus": context.settings.cpus and list(context.settings.cpus),
        "governor": context.governor,
        "delegate": context.delegate,
        "delegated_operators": context.delegated_operators,
        "executed_operators": context.total_operators,
        "other_load_percent": 100 * max(loads) if loads else None,
        "throttled": any(throttled) if throttled else None,
        "device": asdict(context.facts),
    }
