"""`mnas pick`: the most accurate measured model below a latency. Opens, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json
from mnas.cli.output import print_json, print_line


def register(app: typer.Typer) -> None:
    """Add `mnas pick`."""
    app.command("pick")(pick)


def pick(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    *,
    under_ms: Annotated[float, typer.Option(help="Longest median latency, in milliseconds.")],
    int8: Annotated[bool, typer.Option("--int8", help="Only int8 models.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="Only float32 models.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Copy the model here, its card beside it.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Take the most accurate measured model of a finalized run that is fast enough.

    Its card, a JSON file of the same name, says what it takes, what it was
    measured at, and how to run it.

    Example: mnas pick runs/digits --under-ms 0.5 --int8 -o model.tflite
    """
    from mnas.errors import BadInput
    from mnas.reports import pick as picking
    from mnas.run import read_run

    if int8 and float32:
        raise BadInput("--int8 and --float32 exclude each other; leave both out to take either")
    opened = read_run(run)
    dtype = "int8" if int8 else "float32" if float32 else None
    picked = picking.pick(opened, under_ms, dtype)
    if output is not None:
        picked = picking.save(opened, picked, output)
    card = picking.read_card(picked.card)
    if as_json:
        print_json({"model": str(picked.model), "card": str(picked.card), **card})
        return Exit.DONE
    accuracy, latency = card["accuracy"], card["latency"]
    print_line(
        f"{card['name']} {card['dtype']}: {accuracy['mean']:.2%} right on the test split "
        f"({accuracy['low']:.2%} to {accuracy['high']:.2%} over {len(accuracy['seeds'])} seed(s)), "
        f"{latency['median_ms']:.3g} ms ({latency['q25_ms']:.3g} to {latency['q75_ms']:.3g})"
    )
    print_line(str(picked.model))
    print_line(str(picked.card))
    return Exit.DONE
