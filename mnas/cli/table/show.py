"""`mnas table show`: what a latency table holds. Opens, calls and prints."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from mnas.cli.options import Json
from mnas.cli.output import print_json, print_table, warn
from mnas.cli.table.documents import (
    calibration_document,
    calibration_text,
    failure_documents,
    resources_document,
)
from mnas.cli.table.group import TableFile, Top, group

if TYPE_CHECKING:
    from latency_tables.figures import Figure
    from latency_tables.predict import Predictor
    from latency_tables.store import LatencyTable

#: figures of an operator that are shown for each kind, too: as their median
_SPREADS = ("std_error_percent", "between_pass_percent", "between_network_percent")


@group.command()
def show(table: TableFile, *, top: Top = 10, as_json: Json = False) -> None:
    """What a table was made for, where it was measured, and its figures.

    Example: mnas table show mnasnet-224.db --top 20
    """
    from devices.facts.processor import describe
    from latency_tables.store import LatencyTable

    with LatencyTable.open(table) as given:
        document = show_document(given)
        calibration = given.predictor().calibration if given.ready else None
    if as_json:
        print_json(document)
        return
    figures, kinds = document.pop("operators"), document.pop("kinds")
    failures = document.pop("failures")
    device = document.pop("device")
    device["clusters"] = describe(given.origin.facts.clusters)
    document.pop("table")
    document["calibration"] = calibration_text(calibration)
    document["stale"] = document["stale"] or "no"
    document["reanchored_at"] = document["reanchored_at"] or "never"
    document["given_from"] = document["given_from"] or "none are given"
    for name in ("memory", "energy"):
        if (fitted := document.pop(name))["networks"]:
            document[name] = (
                f"by {fitted['networks']} networks; each, left out, {fitted['left_out_percent']:.2f} % off"
            )
    flat = {**document.pop("purpose"), **document, **{f"device {name}": device[name] for name in device}}
    rows = [(name.replace("_", " "), _cell(value)) for name, value in flat.items()]
    print_table(f"Latency table {given.address}", ("what", "value"), rows, texts=2)
    print_table(
        "Operators by kind, medians",
        ("kind", "operators", "standard error %", "between passes %", "between networks %"),
        [
            (one["kind"], one["operators"], *(_cell(one[f"median_{name}"]) for name in _SPREADS))
            for one in kinds
        ],
    )
    slowest = figures[:top]
    print_table(
        f"The {len(slowest)} slowest operators",
        ("operator", "ms", "± %", "seen", "measured"),
        [
            (
                one["operator"],
                _cell(one["latency_ms"]),
                _cell(one["std_error_percent"]),
                _cell(one["observations"]),
                one["method"],
            )
            for one in slowest
        ],
    )
    for failure in failures:
        warn(f"{failure['network']}: {failure['message']}")


def _cell(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}" + (f", the first is {value[0]}" if value else "")
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def show_document(table: LatencyTable) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table show`; the slowest operators come first."""
    from latency_tables.fitting.resources import resources
    from latency_tables.units import blocks_of

    predictor = table.predictor() if table.ready else None
    networks = table.networks()
    planned = [one.name for one in networks if one.role in ("cover", "anchor")]
    counts: dict[str, int] = defaultdict(int)
    for name, _ in table.measured():
        counts[name] += 1
    figures = sorted(table.figures().values(), key=lambda one: (-one.latency_ms, one.unit))
    operators = [_operator(one, predictor) for one in figures]
    return {
        "table": table.address,
        "purpose": dict(table.origin.purpose),
        "created_at": table.created_at,
        "reanchored_at": table.reanchored_at,
        "stale": table.stale,
        "given_from": table.given_from,
        "cover_networks": sum(one.role == "cover" for one in networks),
        "anchor_networks": sum(one.role == "anchor" for one in networks),
        "networks_alone": sum(one.role == "alone" for one in networks),
        "models": [one.name for one in networks if one.role == "model"],
        "complete_passes": min((counts[name] for name in planned), default=0),
        "calibration": calibration_document(predictor.calibration if predictor else None),
        **resources_document(resources(table)),
        "blocks": blocks_of(one.unit for one in figures),
        "missing_operators": table.missing(),
        "threads": table.origin.settings.threads,
        "delegate": table.origin.settings.delegate,
        "governor": table.origin.governor,
        "device": asdict(table.origin.facts),
        "kinds": _kinds(operators),
        "operators": operators,
        "failures": failure_documents(table.failures()),
    }


def _operator(figure: Figure, predictor: Predictor | None) -> dict[str, Any]:
    error = figure.std_error_ms
    return {
        "operator": figure.unit,
        "latency_ms": predictor and predictor.scale * predictor.unit_ms(figure.unit),
        "uncalibrated_ms": figure.latency_ms,
        "std_error_percent": None if error is None else 100 * error / figure.latency_ms,
        "profiled_ms": figure.profiled_ms,
        "method": figure.method,
        "observations": figure.observations,
        "networks": figure.networks,
        "passes": figure.passes,
        "between_pass_percent": figure.between_pass_percent,
        "between_network_percent": figure.between_network_percent,
    }


def _kinds(operators: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from latency_tables.units import kind_of

    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in operators:
        groups[kind_of(one["operator"])].append(one)
    found = []
    for kind, members in sorted(groups.items()):
        known = {name: [one[name] for one in members if one[name] is not None] for name in _SPREADS}
        medians = {f"median_{name}": median(values) if values else None for name, values in known.items()}
        found.append({"kind": kind, "operators": len(members), **medians})
    return found
