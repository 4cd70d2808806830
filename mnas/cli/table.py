"""`mnas table`: build, show, use and validate latency tables. Opens, calls and prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import opened
from mnas.cli.options import Bench, DeviceName, Json, Quiet, Threads, Wait
from mnas.cli.output import Display, keeping, print_json, print_table, warn
from mnas.cli.table_documents import build_document, predict_document, show_document, validate_document
from mnas.errors import BadInput

if TYPE_CHECKING:
    from latency_tables.build import BuildReport

group = typer.Typer(
    no_args_is_help=True,
    help="Build, show, use and validate latency tables: one device's latency per operator.",
)

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="The table's file.")]
Top = Annotated[int, typer.Option(min=0, help="Operators to list.")]


def register(app: typer.Typer) -> None:
    """Add `mnas table`."""
    app.add_typer(group, name="table")


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


@group.command()
def show(table: TableFile, *, top: Top = 10, as_json: Json = False) -> None:
    """What a table was made for, where it was measured, and its figures.

    Example: mnas table show mnasnet-224.db --top 20
    """
    from devices.facts.processor import describe
    from latency_tables.store import LatencyTable

    with LatencyTable.open(table) as given:
        document = show_document(given)
    if as_json:
        print_json(document)
        return
    figures = document.pop("operators")
    device, kinds = document.pop("device"), document.pop("kinds")
    device["clusters"] = describe(given.origin.facts.clusters)
    failures = document.pop("failures")
    flat = {**document.pop("purpose"), **document, **{f"device {name}": device[name] for name in device}}
    print_table(f"Latency table {table}", ("what", "value"), [(name, _cell(flat[name])) for name in flat])
    print_table(
        "Operators by kind",
        ("kind", "operators", "median spread %"),
        [(one["kind"], one["operators"], _cell(one["median_spread_percent"])) for one in kinds],
    )
    slowest = sorted(figures, key=lambda one: -one["profiled_ms"])[:top]
    print_table(
        f"The {len(slowest)} slowest operators",
        ("operator", "ms", "seen", "spread %"),
        [
            (one["operator"], _cell(one["latency_ms"]), one["observations"], _cell(one["spread_percent"]))
            for one in slowest
        ],
    )
    for failure in failures:
        warn(f"{failure['network']}: {failure['message']}")


@group.command()
def predict(
    table: TableFile,
    model: Annotated[str, typer.Argument(help="A .tflite file, a recipe's name, or an architecture.")],
    *,
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """A network's latency by the table, and the operators that take most of it.

    Example: mnas table predict mnasnet-224.db mobilenetv2
    """
    from latency_tables.errors import BadModel
    from latency_tables.store import LatencyTable
    from mnas.tables import specs_for

    with LatencyTable.open(table) as given:
        try:
            specs = specs_for(given, model)
        except BadModel as error:  # only a file can be one
            raise BadModel(f"{model}: {error}") from error
        prediction = given.predict(specs)
    document = predict_document(table, model, specs, prediction)
    if as_json:
        print_json(document)
        return
    print_table(
        f"{model}: {prediction.latency_ms:.3f} ms predicted",
        ("operator", "times", "ms", "share %"),
        [
            (one["operator"], one["count"], f"{one['latency_ms']:.4f}", f"{one['share_percent']:.1f}")
            for one in document["operators"][:top]
        ],
    )


@group.command()
def validate(
    table: TableFile,
    *,
    device: DeviceName = "local",
    networks: Annotated[int, typer.Option(min=1, help="Random networks that the table has not seen.")] = 30,
    passes: Annotated[int, typer.Option(help="Times every network is measured.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the networks and of the order of measurement.")] = 0,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare predicted with measured latency, on networks that the table has not seen.

    Every network is measured as two instances; their mean difference is the noise floor. The prediction is
    compared with both together, so that a perfect one would be off by about half the noise floor.

    Example: mnas table validate mnasnet-224.db -d local --networks 30
    """
    from latency_tables.store import LatencyTable
    from latency_tables.validate import PLAN
    from latency_tables.validate import validate as validate_table
    from mnas.tables import held_out

    plan = replace(PLAN, passes=passes, seed=seed)
    with LatencyTable.open(table) as given:
        unseen = held_out(given, networks, seed)
        settings = given.origin.settings
        with (
            opened(device, settings=settings, bench=bench, wait_s=wait, quiet=quiet) as there,
            Display(quiet) as display,
        ):
            result = validate_table(
                given,
                unseen,
                there,
                plan,
                lambda at: display.report("measuring networks", at.done, at.total),
            )
    if as_json:
        print_json(validate_document(table, result))
    else:
        rank = "too few networks" if result.spearman is None else f"{result.spearman:.4f}"
        print_table(
            f"{result.networks} held-out networks",
            ("what", "figure"),
            [
                ("MAPE", f"{result.mape_percent:.2f} %"),
                ("noise floor", f"{result.noise_floor_percent:.2f} %"),
                ("bias", f"{result.bias_percent:+.2f} %"),
                ("within 5 %", f"{result.within_5_percent:.0f} %"),
                ("within 10 %", f"{result.within_10_percent:.0f} %"),
                ("Spearman", rank),
            ],
        )
    for failure in result.failures:
        warn(f"{failure.model}: {failure.message}")
    return Exit.FAILURES if result.failures else Exit.DONE


def _cell(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}" + (f", the first is {value[0]}" if value else "")
    return "unknown" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
