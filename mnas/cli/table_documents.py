"""The JSON documents of `mnas table`, field by field as `docs/json.md` lists them. Prints nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency_tables.build import BuildReport
    from latency_tables.ops import OpSpec
    from latency_tables.predict import Estimate, Prediction, Predictor
    from latency_tables.store import LatencyTable
    from latency_tables.validate import Validation


def build_document(path: Path, report: BuildReport, scale: float | None) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table build`."""
    return {
        "table": str(path),
        "networks": report.networks,
        "passes": report.passes,
        "measured_passes": report.measured,
        "operators": report.operators,
        "missing_operators": list(report.missing),
        "scale": scale,
        "seconds": report.seconds,
        "failures": [
            {"network": one.network, "error": one.error, "message": one.message} for one in report.failures
        ],
    }


def show_document(table: LatencyTable) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table show`."""
    found = table.estimates()
    predictor = table.predictor() if table.ready else None
    names = table.networks()
    counts = Counter(name for name, _ in table.measured())
    spreads: dict[str, list[float]] = defaultdict(list)
    figures = [_figure(key, one, predictor) for key, one in found.items()]
    for figure in figures:
        if figure["spread_percent"] is not None:
            spreads[figure["operator"].partition("/")[0]].append(figure["spread_percent"])
    return {
        "table": table.address,
        "purpose": dict(table.origin.purpose),
        "created_at": table.created_at,
        "cover_networks": sum(one.role == "cover" for one in names),
        "anchor_networks": sum(one.role == "anchor" for one in names),
        "complete_passes": min((counts[one.name] for one in names), default=0),
        "scale": predictor and predictor.scale,
        "missing_operators": table.missing(),
        "threads": table.origin.settings.threads,
        "device": asdict(table.origin.facts),
        "kinds": [
            {
                "kind": kind,
                "operators": count,
                "median_spread_percent": median(spreads[kind]) if spreads[kind] else None,
            }
            for kind, count in sorted(Counter(key.partition("/")[0] for key in found).items())
        ],
        "operators": figures,
        "failures": [
            {"network": one.network, "error": one.error, "message": one.message} for one in table.failures()
        ],
    }


def _figure(key: str, estimate: Estimate, predictor: Predictor | None) -> dict[str, Any]:
    from latency_tables.ops import OpSpec

    latency_ms = predictor.predict([OpSpec.parse(key)]).latency_ms if predictor else None
    return {
        "operator": key,
        "latency_ms": latency_ms,
        "profiled_ms": estimate.profiled_ms,
        "observations": estimate.observations,
        "networks": estimate.networks,
        "spread_percent": latency_ms and 100 * estimate.spread_ms / latency_ms,
    }


def predict_document(
    path: Path, model: str, specs: Sequence[OpSpec], prediction: Prediction
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table predict`; operators by their share."""
    times: Counter[str] = Counter()
    totals_ms: dict[str, float] = defaultdict(float)
    for spec, latency_ms in zip(specs, prediction.operators_ms, strict=True):
        times[str(spec)] += 1
        totals_ms[str(spec)] += latency_ms
    return {
        "table": str(path),
        "model": model,
        "latency_ms": prediction.latency_ms,
        "sum_ms": prediction.sum_ms,
        "scale": prediction.scale,
        "operators": [
            {
                "operator": key,
                "count": times[key],
                "latency_ms": total_ms,
                "share_percent": 100 * total_ms / prediction.latency_ms,
            }
            for key, total_ms in sorted(totals_ms.items(), key=lambda item: -item[1])
        ],
    }


def validate_document(path: Path, result: Validation) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table validate`."""
    return {
        "table": str(path),
        "mape_percent": result.mape_percent,
        "within_5_percent": result.within_5_percent,
        "within_10_percent": result.within_10_percent,
        "spearman": result.spearman,
        "noise_floor_percent": result.noise_floor_percent,
        "bias_percent": result.bias_percent,
        "networks": result.networks,
        "details": [
            {
                "network": one.name,
                "predicted_ms": one.predicted_ms,
                "measured_ms": one.measured_ms,
                "instances_ms": list(one.instances_ms),
            }
            for one in result.details
        ],
        "failures": [
            {"network": one.model, "error": one.error, "message": one.message} for one in result.failures
        ],
    }
