"""`mnas compare`: two measured latencies beside each other, if they can be compared. Measures nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeGuard

import typer

from mnas.cli.options import Json
from mnas.cli.output import print_json, print_table
from mnas.comparing import FIELDS, Comparison, compare, pairs
from mnas.errors import BadInput

#: more is no latency and no count
LARGEST = 1e15
_FIGURES = ("median_ms", "q25_ms", "q75_ms", "samples")
_NEEDED = ("model", "sha256", *_FIGURES, "pass_medians_ms", "warnings", "device")


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
        ("model", "device", "A ms", "B ms", "B / A (95 %)", "says"),
        (_row(one) for one in found),
        texts=2,
    )


def _row(one: Comparison) -> Sequence[object]:
    model = one.a.model if one.a.model == one.b.model else f"{one.a.model} / {one.b.model}"
    device = one.a.device if one.a.device == one.b.device else f"{one.a.device} / {one.b.device}"
    ratio = f"{one.ratio:.3f}" + ("" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})")
    says = {None: "one pass, nothing to judge by", False: "no difference seen"}.get(
        one.differ, f"B is {abs(one.ratio - 1):.1%} {'slower' if one.ratio > 1 else 'faster'}"
    )
    return model, device, f"{one.a.median_ms:.4g}", f"{one.b.median_ms:.4g}", ratio, says


def _read(file: Path) -> list[dict[str, Any]]:
    """The measurements in a file that `mnas profile --json` printed."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refused)
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON: it must be what mnas profile --json printed") from error
    several = isinstance(document, dict) and "measurements" in document
    found = document["measurements"] if several else [document]
    if several and document.get("failures"):
        raise BadInput(f"{file} holds models that could not be measured; measure them, or leave them out")
    if not isinstance(found, list) or not found:
        raise BadInput(f"{file} holds no measurement: it must be what mnas profile --json printed")
    for each in found:
        if odd := _odd(each):
            raise BadInput(f"{file} is not what mnas profile --json prints: {odd}")
    return found


def _odd(document: object) -> str | None:
    """What keeps a document from being a measurement; None if it is one."""
    if not isinstance(document, dict):
        document = {}
    if absent := [name for name in _NEEDED if name not in document]:
        return f"it lacks {', '.join(absent)}"
    device, medians, doubts = document["device"], document["pass_medians_ms"], document["warnings"]
    if not isinstance(device, dict) or not isinstance(device.get("address"), str):
        return "it lacks device.address"
    for name in ("model", "sha256"):
        if not isinstance(document[name], str):
            return f"{name} must be a text"
    for name in _FIGURES:
        if not _positive(document[name]):
            return f"{name} must be a number of more than 0"
    if not isinstance(document["samples"], int):
        return "samples must be a whole number"
    if not isinstance(medians, list) or not all(map(_positive, medians)):
        return "pass_medians_ms must be a list of numbers of more than 0"
    if not isinstance(doubts, list) or not all(
        isinstance(each, dict) and isinstance(each.get("code"), str) for each in doubts
    ):
        return "warnings must be a list of objects with a code"
    degrees = document.get("temperature_before_c")
    if degrees is not None and not (_number(degrees) and abs(degrees) < inf):
        return "temperature_before_c must be a number or null"
    return None


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: object) -> bool:
    return _number(value) and 0 < value <= LARGEST


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no figure")
