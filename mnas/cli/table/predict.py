"""`mnas table predict`: latencies of networks by a table. Opens, calls and prints."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json, Quiet
from mnas.cli.output import print_json, print_table, warn
from mnas.cli.table.documents import anchor_command, calibration_document, with_password_told
from mnas.cli.table.group import TableFile, Top, group

if TYPE_CHECKING:
    from latency_tables.figures import Figure
    from latency_tables.fitting.resources import Resources
    from latency_tables.ops import Graph
    from latency_tables.predict import Predictor
    from latency_tables.store import LatencyTable


@group.command()
def predict(
    table: TableFile,
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help=".tflite files, recipes' names, or architectures."),
    ],
    *,
    top: Top = 10,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Latencies by the table, each with its 90 % interval, and the operators that take most of it.

    Where the table's device told what memory and energy networks take, these are predicted too.

    A model with operators that the table lacks has no latency: they are listed, and the exit code is 4.

    Example: mnas table predict mnasnet-224.db mobilenetv2 model.tflite
    """
    from latency_tables.fitting.resources import resources
    from latency_tables.store import LatencyTable

    with LatencyTable.open(table) as given:
        anchored = any(one.role == "anchor" for one in given.networks())
        graphs = [_graph(given, model) for model in models]
        predictor, known = given.predictor(), resources(given)
        device, stale = given.origin.facts.address, given.stale
        found = [_model(model, own, predictor, known) for model, own in zip(models, graphs, strict=True)]
        document = {
            "table": given.address,
            "stale": stale,
            "calibration": calibration_document(predictor.calibration),
            "memory_left_out_percent": known.memory and known.memory.left_out_percent,
            "energy_left_out_percent": known.energy and known.energy.left_out_percent,
            "models": found,
        }
    if as_json:
        print_json(document)
    elif len(found) > 1:
        _show_several(given.address, found)
    elif not found[0]["missing_operators"]:
        _show(found[0], top)
    at, there = shlex.quote(given.address), shlex.quote(device)
    if stale is not None and not quiet:
        again = with_password_told(f"calibrate it again: {anchor_command(given)}")
        given_anew = "it has no anchors to calibrate it again by: import or transfer newer figures"
        warn(f"{given.address} is stale, {stale}; {again if anchored else given_anew}")
    if predictor.calibration.lack_of_fit is None and not quiet:
        warn(f"{given.address} has too few anchor networks to tell how far its predictions are off")
    lacking = [one for one in found if one["missing_operators"]]
    for one in lacking:
        remedy = f"mnas table extend {at} {shlex.quote(one['model'])} -d {there}"
        _warn_of_missing(one, top, with_password_told(remedy), _of_other_type(one, predictor))
    return Exit.FAILURES if lacking else Exit.DONE


def _graph(table: LatencyTable, model: str) -> Graph:
    from latency_tables import tflite
    from latency_tables.errors import BadModel
    from latency_tables.profiles.partitions import executed
    from mnas.tables import model_for

    try:
        found = model_for(table, model)
        graph = tflite.read(found) if isinstance(found, bytes) else found
    except BadModel as error:  # only a file can be one
        raise BadModel(f"{model}: {error}") from error
    return executed(graph, table.origin.settings.delegate)


def _model(model: str, graph: Graph, predictor: Predictor, known: Resources) -> dict[str, Any]:
    """What `docs/json.md` lists under `mnas table predict` for each model; operators by their share."""
    from latency_tables.errors import MissingOperators
    from latency_tables.units import parse_unit

    specs = graph.specs
    memory_bytes = known.memory and known.memory.predict(graph)
    try:
        prediction = predictor.predict(specs)
    except MissingOperators as error:
        unknown = dict.fromkeys(("latency_ms", "low_ms", "high_ms", "sum_ms", "energy_mj"))
        return {
            "model": model,
            **unknown,
            "memory_bytes": memory_bytes,
            "operators": [],
            "missing_operators": list(error.keys),
        }
    counts: Counter[str] = Counter()
    totals_ms: defaultdict[str, float] = defaultdict(float)
    parts_ms = iter(prediction.operators_ms)
    for unit in predictor.units_of(specs):
        counts[unit] += 1
        totals_ms[unit] += sum(islice(parts_ms, len(parse_unit(unit))))
    operators = [
        {
            "operator": unit,
            "count": counts[unit],
            "latency_ms": total_ms,
            "std_error_ms": _std_error_ms(predictor.figures[unit], total_ms),
            "share_percent": 100 * total_ms / prediction.latency_ms,
            "method": predictor.figures[unit].method,
        }
        for unit, total_ms in sorted(totals_ms.items(), key=lambda item: -item[1])
    ]
    return {
        "model": model,
        "latency_ms": prediction.latency_ms,
        "low_ms": prediction.low_ms,
        "high_ms": prediction.high_ms,
        "sum_ms": prediction.sum_ms,
        "memory_bytes": memory_bytes,
        "energy_mj": known.energy and known.energy.predict(specs, prediction),
        "operators": operators,
        "missing_operators": [],
    }


def _std_error_ms(figure: Figure, total_ms: float) -> float | None:
    return None if figure.std_error_ms is None else total_ms * figure.std_error_ms / figure.latency_ms


def _show(found: dict[str, Any], top: int) -> None:
    within = "" if found["low_ms"] is None else f" (90 %: {found['low_ms']:.3f} to {found['high_ms']:.3f})"
    memory, energy = found["memory_bytes"], found["energy_mj"]
    besides = "" if memory is None else f", {memory / 2**20:.1f} MiB"
    besides += "" if energy is None else f", {energy:.3g} mJ"
    print_table(
        f"{found['model']}: {found['latency_ms']:.3f} ms predicted{within}{besides}",
        ("operator", "times", "ms", "± ms", "share %", "measured"),
        [
            (
                one["operator"],
                one["count"],
                f"{one['latency_ms']:.4f}",
                "unknown" if one["std_error_ms"] is None else f"{one['std_error_ms']:.4f}",
                f"{one['share_percent']:.1f}",
                one["method"],
            )
            for one in found["operators"][:top]
        ],
    )


def _show_several(table: str, found: Sequence[dict[str, Any]]) -> None:
    print_table(
        f"Latencies by {table}, and their 90 % intervals",
        ("model", "ms", "from", "to"),
        [
            (one["model"], *(_cell(one[name]) for name in ("latency_ms", "low_ms", "high_ms")))
            for one in found
        ],
    )


def _cell(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _of_other_type(found: dict[str, Any], predictor: Predictor) -> str:
    """What to know of a model most of whose missing operators are of types that the table has none of."""
    from latency_tables.units import parse_unit

    known = {spec.dtype for unit in predictor.figures for spec in parse_unit(unit)}
    missing = [parse_unit(key)[0].dtype for key in found["missing_operators"]]
    other = [dtype for dtype in missing if dtype not in known]
    if not known or len(other) <= len(missing) / 2:
        return ""
    return (
        f"the table is of {' and '.join(sorted(known))} operators, {len(other)} of these are of "
        f"{' and '.join(sorted(set(other)))}: build a table of that type (mnas table build --dtype), or make "
        "one from this (mnas table transfer --dtype ... --across dtype)\n"
    )


def _warn_of_missing(found: dict[str, Any], top: int, remedy: str, of_other_type: str) -> None:
    missing = found["missing_operators"]
    shown = missing[: max(top, 1)]
    more = f"\n  and {len(missing) - len(shown)} more (--top, --json)" if len(missing) > len(shown) else ""
    listed = "".join(f"\n  {key}" for key in shown)
    warn(
        f"{found['model']} has no latency, the table lacks {len(missing)} of its operators:{listed}{more}\n"
        f"{of_other_type}add them: {remedy}"
    )
