"""`mnas compare`: two measured latencies beside each other, if they can be compared. Measures nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mnas.cli.options import Json
from mnas.cli.output import print_json, print_table
from mnas.comparing import FIELDS, Comparison, compare, pairs
from mnas.errors import BadInput

_NEEDED = ("model", "sha256", "median_ms", "q25_ms", "q75_ms", "samples", "samples_ms", "warnings", "device")


def register(app: typer.Typer) -> None:
    """Add `mnas compare`."""
    app.command("compare")(compare_files)


def compare_files(
    a: Annotated[Path, typer.Argument(help="What mnas profile --json printed.")],
    b: Annotated[Path, typer.Argument(help="The same of another measurement.")],
    *,
    across: Annotated[
        list[str] | None,
        typer.Option(help=f"What is meant to differ: {', '.join(FIELDS)} or temperature. May be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two measurements; refuse those whose conditions differ, and say which do.

    Example: mnas compare before.json after.json --across runtime-version
    """
    found = [compare(*pair, across=across or ()) for pair in pairs(_read(a), _read(b))]
    if as_json:
        print_json({"comparisons": [asdict(one) | {"differ": one.differ} for one in found]})
        return
    print_table(
        f"A = {a}, B = {b}",
        ("model", "device", "A ms", "B ms", "B / A", "95 % interval", "says"),
        (_row(one) for one in found),
        texts=2,
    )


def _row(one: Comparison) -> Sequence[object]:
    model = one.a.model if one.a.model == one.b.model else f"{one.a.model} / {one.b.model}"
    device = one.a.device if one.a.device == one.b.device else f"{one.a.device} / {one.b.device}"
    interval = "unknown" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
    says = {None: "no samples to judge by", False: "no difference seen"}.get(
        one.differ, f"B is {abs(one.ratio - 1):.1%} {'slower' if one.ratio > 1 else 'faster'}"
    )
    return (
        model,
        device,
        f"{one.a.median_ms:.4g}",
        f"{one.b.median_ms:.4g}",
        f"{one.ratio:.3f}",
        interval,
        says,
    )


def _read(file: Path) -> list[dict[str, Any]]:
    """The measurements in a file that `mnas profile --json` printed."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{file} is not JSON: it must be what mnas profile --json printed") from error
    several = isinstance(document, dict) and "measurements" in document
    found = document["measurements"] if several else [document]
    if several and document.get("failures"):
        raise BadInput(f"{file} holds models that could not be measured; measure them, or leave them out")
    if not isinstance(found, list) or not found:
        raise BadInput(f"{file} holds no measurement: it must be what mnas profile --json printed")
    for each in found:
        absent = [name for name in _NEEDED if not isinstance(each, dict) or name not in each]
        if absent or not isinstance(each["device"], dict) or "address" not in each["device"]:
            lacking = ", ".join(absent) or "device.address"
            raise BadInput(f"{file} is not what mnas profile --json prints: it lacks {lacking}")
    return found
