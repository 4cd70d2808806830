"""Options that several commands have, in the same words. Knows no command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)([smh])"


def duration_s(text: str) -> float:
    """The seconds of a text such as `90s`, `20m` or `1h30m`.

    Raises:
        typer.BadParameter: it is none, or no time at all.
    """
    parts = re.findall(_PART, text)
    total = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if not re.fullmatch(f"({_PART})+", text) or not total:
        raise typer.BadParameter(f"{text!r} is no duration; give seconds, minutes or hours: 90s, 20m, 1h30m")
    return total


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; fields are in docs/json.md.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no warnings; failures are always listed.")
]
DeviceName = Annotated[
    str,
    typer.Option("--device", "-d", help="Where to measure: a name in bench.toml, or an address."),
]
Bench = Annotated[
    Path | None,
    typer.Option("--bench", metavar="FILE", help="The bench.toml; else $MNAS_BENCH, or here and above."),
]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for a device in use by others."),
]
Threads = Annotated[
    int | None, typer.Option(help="Threads of the runtime; the device's in bench.toml, or 1.")
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        parser=duration_s,
        help="Stop between two passes when so much time is over: 90s, 20m, 1h30m.",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Append what happens to a file, each line with its time."),
]
Across = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="What the device may differ in from the table's, such as os_build or governor. Repeatable.",
    ),
]
