"""Options that several commands have, in the same words. Knows no command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
