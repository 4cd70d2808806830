"""`mnas table diff`: how two tables' figures differ. Opens, calls and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json, Quiet
from mnas.cli.output import print_json, print_table, warn
from mnas.cli.table.group import Top, group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latency_tables.exchange.diff import TableChange
    from latency_tables.store import LatencyTable


@group.command()
def diff(
    first: Annotated[str, typer.Argument(help="The table to compare with: its file or URL.")],
    second: Annotated[str, typer.Argument(help="The other table.")],
    *,
    threshold: Annotated[float, typer.Option(min=0, help="Changes up to this many percent are none.")] = 5.0,
    across: Annotated[
        str | None,
        typer.Option(metavar="dtype", help="Compare float32 with int8: operators by all but their type."),
    ] = None,
    top: Top = 10,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare two tables: the ratio of their latencies per kind and per operator, and what either lacks.

    An operator has changed when it is off by more than --threshold, and by more than three of its standard
    errors where both tables know them. Exit code 4 says that one has, or that either table lacks one.

    Example: mnas table diff before-update.db after-update.db
    """
    from latency_tables.exchange.diff import diff as compare
    from latency_tables.exchange.diff import latencies
    from latency_tables.exchange.merge import origin_differences
    from latency_tables.store import LatencyTable
    from latency_tables.units import retyped

    if across not in (None, "dtype"):
        raise typer.BadParameter(f"{across!r}; allowed: dtype", param_hint="--across")
    with LatencyTable.open(first) as one, LatencyTable.open(second) as other:
        differences = [
            line.replace("the first table's", "the first one's")
            for line in origin_differences(one.origin, other.origin).values()
        ]
        before, after = latencies(one.predictor()), latencies(other.predictor())
        if across == "dtype" and after:
            before = retyped(before, next(iter(after)).split("/")[1])
        found = compare(before, after, threshold)
        document = diff_document(one, other, differences, found)
    if as_json:
        print_json(document)
    elif not quiet:
        _show(found, differences, top)
    for name, lacking in ((other.address, found.only_first), (one.address, found.only_second)):
        if lacking:
            warn(f"{name} lacks {len(lacking)} operator(s) of the other, the first is {lacking[0]}")
    return Exit.DONE if found.same else Exit.FAILURES


def _show(found: TableChange, differences: Sequence[str], top: int) -> None:
    ratio = "none in common" if found.ratio is None else f"{found.ratio:.4f}"
    print_table(
        "The second table beside the first",
        ("what", "figure"),
        [
            *(("measured under another condition", line) for line in differences),
            ("operators in both", len(found.units)),
            ("ratio of their sums", ratio),
            (f"changed by more than {found.threshold_percent:g} %", found.changed),
            ("lacking in the second", len(found.only_first)),
            ("lacking in the first", len(found.only_second)),
        ],
    )
    print_table(
        "By kind, second over first",
        ("kind", "operators", "changed", "ratio of sums", "median", "10 %", "90 %"),
        [
            (
                *(one.kind, one.units, one.changed),
                *(f"{ratio:.3f}" for ratio in (one.ratio, one.median_ratio, one.low_ratio, one.high_ratio)),
            )
            for one in found.kinds
        ],
    )
    largest = [one for one in found.units if one.changed][:top]
    print_table(
        f"The {len(largest)} largest changes",
        ("operator", "first ms", "second ms", "ratio", "+- %"),
        [
            (
                *(one.unit, f"{one.first_ms:.4f}", f"{one.second_ms:.4f}", f"{one.ratio:.3f}"),
                "unknown" if one.ratio_error is None else f"{100 * one.ratio_error:.1f}",
            )
            for one in largest
        ],
    )


def diff_document(
    first: LatencyTable, second: LatencyTable, differences: Sequence[str], found: TableChange
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table diff`; operators by their change."""
    return {
        "first": first.address,
        "second": second.address,
        "differences": list(differences),
        "threshold_percent": found.threshold_percent,
        "same": found.same,
        "ratio": found.ratio,
        "changed": found.changed,
        "missing_in_second": list(found.only_first),
        "missing_in_first": list(found.only_second),
        "kinds": [
            {
                "kind": one.kind,
                "operators": one.units,
                "changed": one.changed,
                "ratio": one.ratio,
                "median_ratio": one.median_ratio,
                "low_ratio": one.low_ratio,
                "high_ratio": one.high_ratio,
            }
            for one in found.kinds
        ],
        "operators": [
            {
                "operator": one.unit,
                "first_ms": one.first_ms,
                "second_ms": one.second_ms,
                "ratio": one.ratio,
                "ratio_error_percent": None if one.ratio_error is None else 100 * one.ratio_error,
                "changed": one.changed,
            }
            for one in found.units
        ],
    }
