"""A latency table as a pandas frame, one row per unit. Fits nothing and derives no figure of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any

from latency_tables.figures import Figure
from latency_tables.fitting.footprint import weight_bytes
from latency_tables.fitting.resources import Energy, resources
from latency_tables.fitting.statistics import Observation
from latency_tables.ops import Shape
from latency_tables.records import Burst
from latency_tables.units import Unit, kind_of, parse_unit

if TYPE_CHECKING:
    import pandas as pd

    from latency_tables.store import LatencyTable

#: the columns and what they say; the index is a plain number
COLUMNS: dict[str, str] = {
    "operator": "text form of the operator, or of the operators of a block, joined by ` & `",
    "operators": "how many operators it is: 1, or a block's",
    "kind": "TFLite's builtin operator in lower case; a block's are joined by ` & `, as all below",
    "dtype": "element type of the activations",
    "input_shapes": "shapes of the activation inputs, sizes joined by x, NHWC, inputs by +",
    "output_shape": "shape of the first output, sizes joined by x",
    "kernel": "window, height x width; missing for kinds that have none",
    "stride": "likewise",
    "macs": "multiply-accumulates of convolutions and dense layers; other kinds count none",
    "latency_ms": "milliseconds in a network, before the calibration: what figures add up with",
    "std_error_ms": "standard error of latency_ms in milliseconds; missing if unknown",
    "profiled_ms": "what the profiler said, in milliseconds; missing where it said nothing",
    "between_pass_spread_percent": "standard deviation between passes, % of latency_ms; missing: unknown",
    "between_network_spread_percent": "likewise between networks",
    "size_exponent": "by which power of the network's size latency_ms grows",
    "observations": "times it was seen, or measurements behind a given figure; missing where nobody says",
    "networks": "networks of the table in which it was seen",
    "passes": "passes over the table's networks in which it was seen",
    "method": "in context, alone, transferred or imported",
    "suspect": "why the device itself doubts bursts in which it was seen, and how many; missing if none",
    "first_measured_at": "start of the first burst in which it was seen, UTC; missing where none was",
    "last_measured_at": "of the last",
}
#: columns that are there only where the table's device told of it
TOLD_COLUMNS: dict[str, str] = {
    "energy_mj": "millijoules of an inference that are its own: its calibrated time at its kind's power",
    "memory_bytes": "what its weights and biases add to the peak memory of a network, in bytes",
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """When a unit was seen, and what the device says against that."""

    first: datetime
    last: datetime
    suspect: str | None


def frame(table: LatencyTable) -> pd.DataFrame:
    """One row per unit that has a figure, in the order of their text forms.

    The columns are `COLUMNS`, and of `TOLD_COLUMNS` those that the device told enough of.

    What is missing is so by pandas' `isna`; it is never 0.

    Raises:
        BadTable: the table cannot be read.
    """
    import pandas as pd

    seen = _seen(table.observations(), table.bursts())
    figures = table.figures()
    rows = [_row(figures[unit], seen.get(unit)) for unit in sorted(figures)]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("latency_ms", "std_error_ms", "profiled_ms", "size_exponent", *_SPREADS):
        found[name] = found[name].astype("float64")
    for name in ("operators", "macs", "networks", "passes"):
        found[name] = found[name].astype("int64")
    found["observations"] = found["observations"].astype("Int64")  # which knows missing ones
    for name in ("first_measured_at", "last_measured_at"):
        found[name] = pd.to_datetime(found[name], utc=True)
    for name, values in _told(table, found["operator"]).items():
        found[name] = values
    return found


_SPREADS = ("between_pass_spread_percent", "between_network_spread_percent")


def _row(figure: Figure, seen: _Seen | None) -> dict[str, Any]:
    unit = parse_unit(figure.unit)
    return {
        "operator": figure.unit,
        "operators": len(unit),
        "kind": kind_of(figure.unit),
        "dtype": _joined(spec.dtype for spec in unit),
        "input_shapes": _joined("+".join(map(_shape, spec.inputs)) for spec in unit),
        "output_shape": _joined(_shape(spec.output) for spec in unit),
        "kernel": _windows(unit, "kernel"),
        "stride": _windows(unit, "stride"),
        "macs": sum(spec.macs for spec in unit),
        "latency_ms": figure.latency_ms,
        "std_error_ms": figure.std_error_ms,
        "profiled_ms": figure.profiled_ms,
        "between_pass_spread_percent": figure.between_pass_percent,
        "between_network_spread_percent": figure.between_network_percent,
        "size_exponent": figure.exponent,
        "observations": figure.observations,
        "networks": figure.networks,
        "passes": figure.passes,
        "method": figure.method,
        "suspect": seen and seen.suspect,
        "first_measured_at": seen and seen.first,
        "last_measured_at": seen and seen.last,
    }


def _told(table: LatencyTable, texts: Iterable[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    known = resources(table)
    if energy := known.energy:
        predictor = table.predictor()
        found["energy_mj"] = [
            predictor.scale * predictor.unit_ms(text) * _power_mw(energy, parse_unit(text)) / 1000
            for text in texts
        ]
    if memory := known.memory:
        found["memory_bytes"] = [
            memory.per_parameter_byte * sum(map(weight_bytes, parse_unit(text))) for text in texts
        ]
    return found


def _power_mw(energy: Energy, unit: Unit) -> float:
    return fmean(energy.power_mw.get(spec.kind, energy.common_mw) for spec in unit)


def _joined(texts: Iterable[str]) -> str:
    return " & ".join(texts)


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _windows(unit: Unit, name: str) -> str | None:
    windows = [getattr(spec, name) for spec in unit]
    return _joined(_shape(one) if one else "none" for one in windows) if any(windows) else None


def _seen(observations: Iterable[Observation], bursts: Iterable[Burst]) -> Mapping[str, _Seen]:
    by_key = {(one.network, one.pass_index): one for one in bursts}
    of_units: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for one in observations:
        of_units[one.operator].add((one.network, one.pass_index))
    return {unit: _summary([by_key[key] for key in sorted(keys)]) for unit, keys in of_units.items()}


def _summary(bursts: Sequence[Burst]) -> _Seen:
    times = [datetime.fromisoformat(one.started_at) for one in bursts]
    reasons = Counter(str(one.context["suspect"]) for one in bursts if one.context.get("suspect"))
    suspect = None
    if reasons:
        suspect = f"{sum(reasons.values())} of {len(bursts)}: {'; '.join(sorted(reasons))}"
    return _Seen(min(times), max(times), suspect)
