"""What `mnas profile --json` says of one measurement. Measures and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from devices.errors import DeviceTrouble
from devices.measurement import Failure, Measurement, OperatorTime
from devices.sustained import Plateau
from devices.warnings import Warning
from mnas.reports.measurement_json import latency_json

if TYPE_CHECKING:
    from latency_tables.tflite import Description


def operator_times(measurement: Measurement) -> tuple[OperatorTime, ...] | None:
    """Operators in execution order, each with the median of its passes' mean times; None where not asked for.

    Raises:
        DeviceTrouble: passes that executed different operators.
    """
    lists = [one.operators for one in measurement.passes if one.operators]
    if not lists:
        return None
    if len({tuple(row.label for row in rows) for rows in lists}) > 1:
        raise DeviceTrouble(f"{measurement.model} executed different operators in different passes")
    return tuple(
        replace(rows[0], mean_ms=median(row.mean_ms for row in rows), total_ms=_median(rows))
        for rows in zip(*lists, strict=True)
    )


def _median(rows: Sequence[OperatorTime]) -> float | None:
    known = [row.total_ms for row in rows if row.total_ms is not None]
    return median(known) if known else None


def peak_memory_bytes(measurement: Measurement) -> int | None:
    """The largest peak of the passes; None where the device does not tell."""
    return max((one.peak_memory_bytes for one in measurement.passes if one.peak_memory_bytes), default=None)


def energy_mj(measurement: Measurement) -> float | None:
    """Millijoules of one inference, the median of the passes; None where the device does not tell."""
    known = [one.energy_mj for one in measurement.passes if one.energy_mj is not None]
    return median(known) if known else None


def profile_json(
    measurement: Measurement,
    description: Description,
    doubts: Sequence[Warning] = (),
    plateau: Plateau | None = None,
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas profile`."""
    operators = operator_times(measurement)
    total_ms = None if operators is None else sum(row.mean_ms for row in operators)
    return {
        "model": measurement.model,
        "sha256": measurement.sha256,
        "file_bytes": measurement.model_bytes,
        "inputs": [asdict(tensor) for tensor in description.inputs],
        "outputs": [asdict(tensor) for tensor in description.outputs],
        "operators": description.operators,
        "subgraphs": description.subgraphs,
        "parameters": description.parameters,
        "macs": description.macs,
        "macs_unknown": description.macs_unknown,
        **latency_json(measurement),
        "samples_ms": list(measurement.samples_ms),
        "summary": [asdict(one.summary) for one in measurement.passes if one.summary] or None,
        "peak_memory_bytes": peak_memory_bytes(measurement),
        "energy_mj": energy_mj(measurement),
        "per_operator": operators and [_row(row, total_ms or 0.0) for row in operators],
        "per_operator_sum_ms": total_ms,
        "per_operator_explained_percent": total_ms and _percent(total_ms, measurement.median_ms),
        "plateau": plateau and {**asdict(plateau), "slowdown_percent": 100 * plateau.slowdown},
        "warnings": [asdict(doubt) for doubt in doubts],
    }


def failure_json(device: str, failure: Failure) -> dict[str, Any]:
    """A model that could not be measured, in the words of `docs/json.md`."""
    return {"device": device, **asdict(failure), "code": failure.code}


def _row(row: OperatorTime, total_ms: float) -> dict[str, Any]:
    return {**asdict(row), "share_percent": _percent(row.mean_ms, total_ms)}


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None
