"""`mnas zoo`: known networks, and files of them for latency work. Opens, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnas.architecture import Architecture
from mnas.cli.options import Json
from mnas.cli.output import print_json, print_table, warn
from mnas.errors import BadInput

group = typer.Typer(
    no_args_is_help=True, help="Known networks: what they cost, and files of them to time on a device."
)


def register(app: typer.Typer) -> None:
    """Add `mnas zoo`."""
    app.add_typer(group, name="zoo")


@group.command("list")
def list_networks(*, as_json: Json = False) -> None:
    """List the known networks with their parameters and multiply-accumulates.

    Example: mnas zoo list --json
    """
    from mnas.lower import lower
    from mnas.recipes import published, recipe

    rows = []
    for name in published():
        architecture = recipe(name)
        lowered = lower(architecture)
        rows.append((name, lowered.parameters, lowered.macs, architecture.height))
    if as_json:
        print_json(
            [dict(zip(("name", "parameters", "macs", "resolution"), row, strict=True)) for row in rows]
        )
        return
    print_table(
        "Known networks; any other width by suffix, as in mobilenetv2-0.35",
        ("network", "parameters", "MACs", "resolution"),
        [(name, f"{parameters:,}", f"{macs / 1e6:.1f} M", size) for name, parameters, macs, size in rows],
    )


@group.command("export")
def export_network(
    name: Annotated[str, typer.Argument(help="A known network, or an architecture's text (in_...,fc_...).")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tflite file to write.")],
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Image size, pixels; else the network's own.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Classes to tell apart; else the network's own.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or int8.")] = "float32",
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
    as_json: Json = False,
) -> None:
    """Write a network with random weights: right for timing it, useless for recognising anything.

    Example: mnas zoo export mobilenetv2-0.5 --resolution 160 --dtype int8 -o mobilenetv2.tflite
    """
    from latency_tables.tflite import write
    from mnas.lower import lower

    architecture = _resized(_find(name), resolution, classes)
    lowered = lower(architecture, dtype)
    content = write(lowered.graph, seed=seed)
    try:
        output.write_bytes(content)
    except OSError as error:
        raise BadInput(
            f"{output} cannot be written: {error.strerror}; name a file in an existing folder"
        ) from None
    if as_json:
        print_json(
            {
                "path": str(output),
                "file_bytes": len(content),
                "name": name,
                "architecture": str(architecture),
                "dtype": dtype,
                "operators": len(lowered.graph.nodes),
                "parameters": lowered.parameters,
                "macs": lowered.macs,
                "weights": "random",
            }
        )
    else:
        print_table(
            "Written",
            ("file", "operators", "bytes"),
            [(output, len(lowered.graph.nodes), f"{len(content):,}")],
        )
    warn("the weights are random: time this file, do not classify with it")


def _find(name: str) -> Architecture:
    from mnas.recipes import recipe

    return Architecture.parse(name) if name.startswith("in_") else recipe(name)


def _resized(architecture: Architecture, resolution: int | None, classes: int | None) -> Architecture:
    height = architecture.height if resolution is None else resolution
    width = architecture.width if resolution is None else resolution
    return architecture.at(height, width, classes=classes)
