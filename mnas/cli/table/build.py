"""`mnas table build`: fill a latency table. Opens, calls and prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import opened
from mnas.cli.options import Bench, DeviceName, Json, Quiet, Threads, Wait
from mnas.cli.output import Display, keeping, print_json, print_table, warn
from mnas.cli.table.group import group
from mnas.errors import BadInput

if TYPE_CHECKING:
    from latency_tables.build import BuildReport


@group.command()
def build(
    *,
    space: Annotated[str, typer.Option(help="The search space.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table's file, new or begun.")],
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Image size, pixels; else the space's own.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Filter multiplier; else the space's own.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Take --channels and --classes from it, as mnas search does.")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Channels of the image; else 3.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Classes to tell apart; else 1000.")] = None,
    dtype: Annotated[str, typer.Option(help="float32 or int8.")] = "float32",
    device: DeviceName = "local",
    threads: Threads = None,
    passes: Annotated[int, typer.Option(help="Times every network is measured.")] = 3,
    anchors: Annotated[int, typer.Option(help="Random networks that bring the scale.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the anchors and of the order of measurement.")] = 0,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure every operator of a space, in networks that contain it.

    What is measured is kept at once: the same command goes on where one was ended.
    For a search on images of your own, name them by --dataset.

    Example: mnas table build --space mnasnet --resolution 224 -d local -o mnasnet-224.db
    """
    from latency_tables.build import PLAN
    from latency_tables.build import build as build_table
    from mnas.tables import TableRequest, open_or_create

    plan = replace(PLAN, passes=passes, seed=seed)
    channels, classes = _images(dataset, channels, classes)
    request = TableRequest.for_space(
        space,
        resolution=resolution,
        width=width,
        channels=channels,
        classes=classes,
        dtype=dtype,
        anchors=anchors,
        seed=seed,
    )
    with (
        opened(device, threads, bench=bench, wait_s=wait, quiet=quiet) as there,
        open_or_create(output, request, there) as table,
        keeping("repeat the command to go on"),
        Display(quiet) as display,
    ):
        report = build_table(
            table, there, plan, lambda at: display.report("profiling networks", at.done, at.total)
        )
        scale = None if not table.ready else table.predictor().scale
    if as_json:
        print_json(build_document(output, report, scale))
    else:
        print_table(
            f"Latency table {output}",
            ("what", "figure"),
            [
                ("operators measured", f"{report.operators - len(report.missing)} of {report.operators}"),
                ("networks", report.networks),
                ("passes over them", report.passes),
                ("measured just now", f"{report.measured} in {report.seconds:.1f} s"),
                ("scale", "none yet" if scale is None else f"{scale:.4f}"),
            ],
        )
    return outcome(report)


def outcome(report: BuildReport) -> Exit:
    """List the networks that failed and what the table lacks for it; the exit code that says so."""
    for failure in report.failures:
        warn(f"{failure.network}: {failure.message}")
    if report.missing:
        warn(f"{len(report.missing)} operator(s) have no figure, the first is {report.missing[0]}")
    return Exit.FAILURES if report.failures or report.missing else Exit.DONE


def _images(dataset: str | None, channels: int | None, classes: int | None) -> tuple[int, int]:
    """Channels and classes: a dataset's, or as given."""
    from mnas.data import open_dataset

    if dataset is None:
        return channels or 3, classes or 1000
    images = open_dataset(dataset)
    found = {"channels": (channels, images.channels), "classes": (classes, len(images.labels))}
    if odd := [
        f"{own} {name}, not {given}" for name, (given, own) in found.items() if given not in {None, own}
    ]:
        raise BadInput(f"{dataset} has {' and '.join(odd)}; leave --channels and --classes out")
    return images.channels, len(images.labels)


def build_document(path: Path, report: BuildReport, scale: float | None) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table build`."""
    return {
        "table": str(path),
        "networks": report.networks,
        "passes": report.passes,
        "measured_passes": report.measured,
        "operators": report.operators,
        "missing_operators": list(report.missing),
        "scale": scale,
        "seconds": report.seconds,
        "failures": [
            {"network": one.network, "error": one.error, "message": one.message} for one in report.failures
        ],
    }
