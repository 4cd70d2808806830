"""A summary as the JSON document that docs/json.md describes. Reads and writes no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from devices.measurement import Measurement
from mnas.reports.comparison import Comparison
from mnas.reports.gaps import to_json as gaps_json
from mnas.reports.measurement_json import latency_json
from mnas.reports.summary import Candidate, Network, Summary

SCHEMA = 1


def to_json(summary: Summary) -> dict[str, Any]:
    """The document that docs/json.md describes under `mnas report`."""
    config = summary.run.config
    correlation = summary.correlation
    return {
        "schema": SCHEMA,
        "run": str(summary.run.path),
        "space": config.space,
        "resolution": config.resolution,
        "dataset": config.dataset,
        "device": config.device,
        "threads": config.threads,
        "dtype": config.dtype,
        "target_ms": config.target_ms,
        "controller": config.controller,
        "search": {
            "proposals": summary.proposals,
            "trained": len(summary.candidates),
            "latency_source": config.latency,
            "training": dict(config.training),
            "knee": _trial(candidate for candidate in summary.candidates if candidate.knee),
            "best_under_target": _trial(candidate for candidate in summary.candidates if candidate.best),
            "front": [
                candidate.result.number for candidate in by_latency(summary.candidates) if candidate.on_front
            ],
            "candidates": [_candidate(candidate) for candidate in by_latency(summary.candidates)],
        },
        "gaps": gaps_json(summary.gaps),
        "finalists": [network_json(one) for one in summary.networks if one.final.role == "finalist"],
        "baselines": [network_json(one) for one in summary.networks if one.final.role == "baseline"],
        "best_under_target": next((_name(one) for one in summary.networks if one.best), None),
        "knee": next((_name(one) for one in summary.networks if one.knee), None),
        "comparisons": [_comparison(dtype, comparison) for dtype, comparison in summary.comparisons],
        "rank_correlation": {
            "spearman": correlation.spearman,
            "networks": correlation.n,
            "reason": correlation.reason,
        },
        "test_images": summary.records.test_images,
        "training": None if summary.records.settings is None else dict(summary.records.settings),
        "missing": list(summary.missing),
        "failures": [asdict(trouble) for trouble in summary.troubles],
        "warnings": list(summary.notes),
    }


def by_latency(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates, fastest first."""
    return sorted(candidates, key=lambda candidate: candidate.result.point[1])


def _trial(candidates: Iterator[Candidate]) -> int | None:
    return next((candidate.result.number for candidate in candidates), None)


def _name(one: Network) -> dict[str, str]:
    return {"name": one.final.name, "dtype": one.final.dtype}


def _candidate(candidate: Candidate) -> dict[str, Any]:
    accuracy, latency_ms = candidate.result.point
    return {
        "trial": candidate.result.number,
        "accuracy": accuracy,
        "latency_ms": latency_ms,
        "low_ms": candidate.result.low_ms,
        "high_ms": candidate.result.high_ms,
        "corrected_ms": candidate.corrected_ms,
        "measured_ms": candidate.measured_ms,
        "on_front": candidate.on_front,
        "architecture": candidate.result.architecture,
    }


def network_json(one: Network) -> dict[str, Any]:
    """One finalist or baseline in one element type, as summary.json has it."""
    final = one.final
    return {
        "name": final.name,
        "role": final.role,
        "dtype": final.dtype,
        "trial": final.trial,
        "architecture": final.architecture,
        "parameters": one.parameters,
        "macs": one.macs,
        "accuracy": one.accuracy and one.accuracy.middle,
        "accuracy_low": one.accuracy and one.accuracy.low,
        "accuracy_high": one.accuracy and one.accuracy.high,
        "accuracies": list(final.accuracies),
        "seeds": list(final.seeds),
        "validation_accuracies": list(final.validation_accuracies),
        "search_accuracy": final.search_accuracy,
        "latency": None if final.measurement is None else _latency(one, final.measurement),
        "predicted_ms": final.model.predicted_ms,
        "predicted_low_ms": final.model.predicted_low_ms,
        "predicted_high_ms": final.model.predicted_high_ms,
        "corrected_ms": one.corrected_ms,
        "missed_targets": list(one.missed),
        "prediction_error_percent": None if one.predicted_error is None else 100 * one.predicted_error,
        "model_file": final.model.file,
        "model_bytes": final.model.model_bytes,
        "sha256": final.model.sha256,
    }


def _latency(one: Network, measured: Measurement) -> dict[str, Any]:
    """A measured latency with its context, in the words of `mnas profile --json`."""
    return {
        **latency_json(measured),
        "comparable_ms": one.comparable_ms,
        "warnings": [asdict(warning) for warning in one.warnings],
    }


def _comparison(dtype: str, comparison: Comparison) -> dict[str, Any]:
    baseline = comparison.baseline
    return {
        "name": comparison.network.name,
        "dtype": dtype,
        "latency_ms": comparison.network.latency_ms.middle,
        "accuracy": comparison.network.accuracy.middle,
        "baseline_accuracy": baseline and baseline.middle,
        "baseline_accuracy_low": baseline and baseline.low,
        "baseline_accuracy_high": baseline and baseline.high,
        "difference": comparison.difference,
        "verdict": comparison.verdict,
    }
