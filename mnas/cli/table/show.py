"""`mnas table show`: what a latency table holds. Opens, calls and prints."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from mnas.cli.options import Json
from mnas.cli.output import print_json, print_table, warn
from mnas.cli.table.group import TableFile, Top, group

if TYPE_CHECKING:
    from latency_tables.predict import Predictor
    from latency_tables.statistics import Estimate
    from latency_tables.store import LatencyTable


@group.command()
def show(table: TableFile, *, top: Top = 10, as_json: Json = False) -> None:
    """What a table was made for, where it was measured, and its figures.

    Example: mnas table show mnasnet-224.db --top 20
    """
    from devices.facts.processor import describe
    from latency_tables.store import LatencyTable

    with LatencyTable.open(table) as given:
        document = show_document(given)
    if as_json:
        print_json(document)
        return
    figures = document.pop("operators")
    device, kinds = document.pop("device"), document.pop("kinds")
    device["clusters"] = describe(given.origin.facts.clusters)
    failures = document.pop("failures")
    flat = {**document.pop("purpose"), **document, **{f"device {name}": device[name] for name in device}}
    print_table(f"Latency table {table}", ("what", "value"), [(name, _cell(flat[name])) for name in flat])
    print_table(
        "Operators by kind",
        ("kind", "operators", "median spread %"),
        [(one["kind"], one["operators"], _cell(one["median_spread_percent"])) for one in kinds],
    )
    slowest = sorted(figures, key=lambda one: -one["profiled_ms"])[:top]
    print_table(
        f"The {len(slowest)} slowest operators",
        ("operator", "ms", "seen", "spread %"),
        [
            (one["operator"], _cell(one["latency_ms"]), one["observations"], _cell(one["spread_percent"]))
            for one in slowest
        ],
    )
    for failure in failures:
        warn(f"{failure['network']}: {failure['message']}")


def _cell(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}" + (f", the first is {value[0]}" if value else "")
    return "unknown" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


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
