"""`mnas table predict`: a network's latency by a table. Opens, calls and prints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.options import Json
from mnas.cli.output import print_json, print_table
from mnas.cli.table.group import TableFile, Top, group

if TYPE_CHECKING:
    from latency_tables.ops import OpSpec
    from latency_tables.predict import Prediction


@group.command()
def predict(
    table: TableFile,
    model: Annotated[str, typer.Argument(help="A .tflite file, a recipe's name, or an architecture.")],
    *,
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """A network's latency by the table, and the operators that take most of it.

    Example: mnas table predict mnasnet-224.db mobilenetv2
    """
    from latency_tables.errors import BadModel
    from latency_tables.store import LatencyTable
    from mnas.tables import specs_for

    with LatencyTable.open(table) as given:
        try:
            specs = specs_for(given, model)
        except BadModel as error:  # only a file can be one
            raise BadModel(f"{model}: {error}") from error
        prediction = given.predict(specs)
    document = predict_document(given.address, model, specs, prediction)
    if as_json:
        print_json(document)
        return
    print_table(
        f"{model}: {prediction.latency_ms:.3f} ms predicted",
        ("operator", "times", "ms", "share %"),
        [
            (one["operator"], one["count"], f"{one['latency_ms']:.4f}", f"{one['share_percent']:.1f}")
            for one in document["operators"][:top]
        ],
    )


def predict_document(
    address: str, model: str, specs: Sequence[OpSpec], prediction: Prediction
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table predict`; operators by their share."""
    times: Counter[str] = Counter()
    totals_ms: dict[str, float] = defaultdict(float)
    for spec, latency_ms in zip(specs, prediction.operators_ms, strict=True):
        times[str(spec)] += 1
        totals_ms[str(spec)] += latency_ms
    return {
        "table": address,
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
