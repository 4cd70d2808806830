"""Options that several commands have, in the same words. Knows no command."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; fields are in docs/json.md.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no warnings; failures are always listed.")
]
