"""`mnas table status`: whether a table is complete, exact and fresh. Opens, calls and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import opened
from mnas.cli.options import Bench, Json, Wait
from mnas.cli.output import print_json, print_table, warn
from mnas.cli.table.documents import (
    anchor_command,
    blocks_text,
    calibration_document,
    calibration_text,
    failure_documents,
    with_password_told,
)
from mnas.cli.table.group import TableFile, Top, group
from mnas.errors import BadInput

if TYPE_CHECKING:
    from latency_tables.status import Status
    from latency_tables.store import LatencyTable

#: methods whose figures are of passes in the table
MEASURED = {"in context", "alone"}


@group.command()
def status(
    table: TableFile,
    *,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", help="Also what this device differs in now. Nothing is measured."),
    ] = None,
    top: Top = 5,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what is wrong.")] = False,
) -> int:
    """How a table stands: coverage, precision, age, doubts, and what to do about it.

    A table of given figures, imported or transferred, is judged by the operators of its space. What the
    governor of -d's cores is, some devices tell only when they measure; then that is said.
    Exit code 4 says that it is incomplete, stale, or not of the device as it is now.

    Example: mnas table status mnasnet-224.db -d local
    """
    from devices.governor import governor_now
    from latency_tables.status import status_of
    from latency_tables.store import LatencyTable
    from mnas.latency import space_parts

    with LatencyTable.open(table) as given:
        found = status_of(given, space_parts(given))
        differences, governor = None, None
        if device is not None:
            settings = given.origin.settings
            with opened(device, settings=settings, bench=bench, wait_s=wait, quiet=quiet) as there:
                governor = governor_now(there)
                differences = given.origin.differences(there.facts, settings, governor)
        document = status_document(given, found, differences, governor)
        wrong = _wrong(given, found, differences or ())
    if as_json:
        print_json(document)
    elif not quiet:
        _show(document, found, top)
    for failure in found.failures:
        warn(f"{failure.network}: {failure.message}")
    for text in wrong:
        warn(with_password_told(text))
    return Exit.FAILURES if wrong else Exit.DONE


def _wrong(table: LatencyTable, found: Status, differences: Sequence[str]) -> list[str]:
    """What is wrong with a table, each with what to do."""
    from mnas.latency import lacking

    wrong = [f"the device is another than the table's: {each}" for each in differences]
    if not found.complete:
        try:
            what = lacking(table)
        except BadInput:  # it was not made for a space, so there is no command that goes on
            what = f"{len({*found.missing, *found.missing_alone})} operators missing"
        wrong.append(f"{table.address} is incomplete, {what}")
    if found.stale is not None:
        again = anchor_command(table)
        wrong.append(f"{table.address} is stale, {found.stale}; calibrate it again: {again}")
    return wrong


def _show(document: dict[str, Any], found: Status, top: int) -> None:
    from latency_tables.status import PRECISION_PERCENT

    methods = {name.replace("_", " "): count for name, count in document["units_by_method"].items() if count}
    print_table(
        f"Latency table {document['table']}",
        ("what", "figure"),
        [
            ("complete", "yes" if document["complete"] else "no"),
            ("stale", document["stale"] or "no"),
            ("operators", f"{document['operators']}, {len(document['missing_operators'])} without a figure"),
            ("figures", _figures(methods, document["given_from"])),
            ("fused", blocks_text(document["blocks"])),
            (
                "networks",
                f"{document['networks']}, each in at least {document['complete_passes']} passes; "
                f"{document['measured_passes']} measurements",
            ),
            (
                "standard error",
                _by_share(document["weighted_std_error_percent"], document["known_share_percent"]),
            ),
            (
                "spread",
                f"{_percent(document['between_pass_percent'])} between passes, "
                f"{_percent(document['between_network_percent'])} between networks, likewise",
            ),
            ("calibration", calibration_text(found.calibration)),
            ("governor", _governor(document)),
            ("passes from", document["measured_from"] or "-"),
            ("to", document["measured_until"] or "-"),
            ("anchored", _ago(document["anchored_at"], document["anchored_days_ago"])),
            ("suspect passes", len(document["suspects"])),
        ],
        texts=2,
    )
    imprecise = document["imprecise"]
    if imprecise and top:
        print_table(
            f"{len(imprecise)} figures not known to {PRECISION_PERCENT:g} %, which more passes would help",
            ("operator", "standard error %", "share %"),
            [
                (one["unit"], f"{one['std_error_percent']:.1f}", f"{one['share_percent']:.2f}")
                for one in imprecise[:top]
            ],
        )
    for one in document["suspects"][:top]:
        warn(f"{one['network']}, pass {one['pass_index']}: {one['reason']}")


def _figures(methods: Mapping[str, int], given_from: str | None) -> str:
    if not methods:
        return "nothing yet"
    text = ", ".join(f"{count} {name}" for name, count in methods.items())
    source = "" if given_from is None else f", from {given_from}"
    return text + source if methods.keys() & MEASURED else f"{text}{source}: all given, none measured here"


def _governor(document: Mapping[str, Any]) -> str:
    """The table's, and that of a device that is asked."""
    text = document["governor"] or "unknown"
    if document["differences"] is None:
        return text
    now = document["device_governor"]
    return f"{text}; the device's is {now}" if now else f"{text}; the device's is unknown until it measures"


def _by_share(percent: float | None, known_percent: float | None) -> str:
    if percent is None:
        return "unknown after one pass"
    text = f"{percent:.2f} % on average, by share of time"
    return text if known_percent is None else f"{text}, known of {known_percent:.0f} % of it"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} %"


def _ago(time: str | None, days: float | None) -> str:
    return "never" if time is None or days is None else f"{time}, {days:.1f} days ago"


def status_document(
    table: LatencyTable,
    found: Status,
    differences: Sequence[str] | None = None,
    governor: str | None = None,
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table status`.

    Args:
        differences: of a device that was asked; None: none was.
        governor: its governor; None if unknown.
    """
    return {
        "table": table.address,
        "complete": found.complete,
        "stale": found.stale,
        "differences": None if differences is None else list(differences),
        "governor": table.origin.governor,
        "device_governor": governor,
        "device": table.origin.facts.address,
        "created_at": table.created_at,
        "measured_from": found.measured_from,
        "measured_until": found.measured_until,
        "anchored_at": found.anchored_at,
        "anchored_days_ago": _days_ago(found.anchored_at),
        "operators": found.operators,
        "units_by_method": {method.replace(" ", "_"): count for method, count in found.methods.items()},
        "given_from": found.given_from,
        "blocks": list(found.blocks),
        "missing_operators": list(found.missing),
        "missing_alone": list(found.missing_alone),
        "networks": found.networks,
        "unmeasured_networks": found.unmeasured,
        "complete_passes": found.complete_passes,
        "measured_passes": found.measured_passes,
        "weighted_std_error_percent": found.weighted_std_error_percent,
        "known_share_percent": found.known_share_percent,
        "between_pass_percent": found.between_pass_percent,
        "between_network_percent": found.between_network_percent,
        "imprecise": [asdict(one) for one in found.imprecise],
        "calibration": calibration_document(found.calibration),
        "suspects": [asdict(one) for one in found.doubts],
        "failures": failure_documents(found.failures),
    }


def _days_ago(time: str | None) -> float | None:
    if time is None:
        return None
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds() / 86_400
