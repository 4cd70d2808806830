"""`mnas table build`: fill latency tables, on one device or on several at once. Opens, calls and prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devices.errors import DevicesError, DeviceTrouble
from mnas.cli.app import Exit
from mnas.cli.log import Log, ends, logged
from mnas.cli.opening import opened
from mnas.cli.options import Bench, Budget, Json, LogFile, Quiet, Threads, Wait
from mnas.cli.output import Display, keeping, print_json, print_table, warn
from mnas.cli.table.documents import (
    blocks_text,
    calibration_document,
    calibration_text,
    failure_documents,
)
from mnas.cli.table.group import group
from mnas.cli.table.working import shows
from mnas.errors import BadInput
from mnas.table_jobs import Built, Effort, Ended, TableLane, build_tables, folder_of, table_in

if TYPE_CHECKING:
    from devices.device import Device
    from latency_tables.build import BuildReport


@group.command()
def build(
    *,
    space: Annotated[str, typer.Option(help="The search space.")],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="The table's file or postgresql://..., new or begun; a folder, for several devices.",
        ),
    ],
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
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            "-d",
            help="Where to measure: a name in bench.toml or an address; local if left out. May be repeated.",
        ),
    ] = None,
    threads: Threads = None,
    passes: Annotated[int, typer.Option(help="Least number of times every network is measured.")] = 3,
    max_passes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Most times a network is measured for the sake of --precision; --passes if that is more.",
        ),
    ] = 10,
    precision: Annotated[
        float,
        typer.Option(help="Standard error, in percent, beyond which an operator is measured again."),
    ] = 2.0,
    budget: Budget = None,
    cover_times: Annotated[
        int, typer.Option(min=1, max=20, help="Networks in which every operator is to occur, at least.")
    ] = 2,
    anchors: Annotated[
        int, typer.Option(min=1, max=1000, help="Random networks that bring the calibration.")
    ] = 30,
    seed: Annotated[int, typer.Option(help="Of the anchors and of the order of measurement.")] = 0,
    bench: Bench = None,
    wait: Wait = 0.0,
    log: LogFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure every operator of a space, in networks that contain it.

    What is measured is kept at once: the same command goes on where one was ended.
    For a search on images of your own, name them by --dataset.

    Example: mnas table build --space mnasnet --resolution 224 -d pixel -d pi5 -o tables/ --budget 20m
    """
    from devices import registry
    from latency_tables.build import PLAN, Adaptive
    from mnas.tables import TableRequest

    names = list(dict.fromkeys(device or ["local"]))
    with logged(log) as note:
        if not output.strip():
            raise BadInput("-o is empty: name the table's file, a URL, or a folder such as . for several")
        folder = folder_of(output, len(names))
        effort = Effort(
            replace(PLAN, passes=passes, seed=seed), Adaptive(precision, max(passes, max_passes)), budget
        )
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
            cover_times=cover_times,
        )
        settings = {name: registry.settings_for(name, bench=bench, threads=threads) for name in names}
        heard = note.or_none

        def lane(name: str) -> TableLane:
            def there() -> AbstractContextManager[Device]:
                return opened(name, settings=settings[name], bench=bench, wait_s=wait, quiet=quiet, log=heard)

            return TableLane(name, output if folder is None else table_in(folder, name), there, folder)

        with keeping("repeat the command to go on"), Display(quiet, heard) as display:
            several = len(names) > 1
            steps = {name: "profiling networks" + (f" on {name}" if several else "") for name in names}
            shown = {name: shows(display, step, note) for name, step in steps.items()}
            lanes = [lane(name) for name in names]
            results = build_tables(lanes, request, effort, lambda name, at: shown[name](at))
        tell = _tell_several if several else _tell_one
        return ends(note, tell(results, note, as_json))


def _tell_one(results: Sequence[Built | Ended], note: Log, as_json: bool) -> Exit:
    (result,) = results
    if isinstance(result, Ended):
        if isinstance(result.trouble, DeviceTrouble):
            note.warn("what was measured before is kept; repeat the command to go on")
        raise result.trouble
    if as_json:
        print_json(build_document(result))
    else:
        _show(result)
    return outcome(result.report, note.warn)


def _tell_several(results: Sequence[Built | Ended], note: Log, as_json: bool) -> Exit:
    done = [one for one in results if isinstance(one, Built)]
    ended = [one for one in results if isinstance(one, Ended)]
    if as_json:
        tables = [{"device": one.device, **build_document(one)} for one in done]
        print_json({"tables": tables, "troubles": [_trouble_document(one) for one in ended]})
    else:
        for one in done:
            _show(one)
    codes = [outcome(one.report, note.warn, f"{one.device}: ") for one in done]
    for lane in ended:
        note.warn(f"{lane.device}: {lane.trouble}")
    if any(isinstance(lane.trouble, DeviceTrouble) for lane in ended):
        return Exit.DEVICE_TROUBLE
    return Exit.BAD_INPUT if ended else max(codes)


def _show(result: Built) -> None:
    report, error = result.report, result.weighted_std_error_percent
    alone = f", {len(report.alone)} of them alone" if report.alone else ""
    over = "; the budget is over" if report.budget_over else ""
    rows = [
        ("operators measured", f"{report.operators - len(report.missing)} of {report.operators}{alone}"),
        ("fused", blocks_text(report.blocks)),
        ("networks", f"{report.networks}, at least {report.passes} passes planned over each"),
        ("measured just now", f"{report.measured} in {report.seconds:.1f} s{over}"),
        ("standard error", "unknown" if error is None else f"{error:.2f} % on average, by share of time"),
        ("more passes would help", f"{len(report.unsettled)} operators"),
        ("calibration", calibration_text(result.calibration)),
    ]
    if report.anchored:
        rows.append(
            ("anchored again", "the device had drifted: of the anchors, only this call's passes count")
        )
    if report.profiler is not None:
        rows.append(("no profiler", _on_one_line(report.profiler)))
    elif report.refused:
        first, why = next(iter(report.refused.items()))
        rows.append(
            ("without a profile", f"{len(report.refused)} networks, such as {first}: {_on_one_line(why)}")
        )
    print_table(f"Latency table {result.address}", ("what", "figure"), rows, texts=2)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def outcome(report: BuildReport, say: Callable[[str], None] = warn, whose: str = "") -> Exit:
    """List the networks that failed and what the table lacks for it; the exit code that says so.

    Args:
        say: told each.
        whose: begins each, to tell devices apart.
    """
    for failure in report.failures:
        say(f"{whose}{failure.network}: {failure.message}")
    if report.missing:
        first = report.missing[0]
        why = f" ({report.reasons[first]})" if first in report.reasons else ""
        say(f"{whose}{len(report.missing)} operator(s) have no figure, the first is {first}{why}")
    if report.stale:
        say(f"{whose}the table is stale, {report.stale}: repeat the command, or mnas table anchor")
    return Exit.FAILURES if report.failures or report.missing or report.stale else Exit.DONE


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


def build_document(result: Built) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table build`."""
    report = result.report
    return {
        "table": result.address,
        "networks": report.networks,
        "passes": report.passes,
        "measured_passes": report.measured,
        "operators": report.operators,
        "operators_alone": len(report.alone),
        "blocks": list(report.blocks),
        "missing_operators": list(report.missing),
        "imprecise_operators": list(report.unsettled),
        "weighted_std_error_percent": result.weighted_std_error_percent,
        "calibration": calibration_document(result.calibration),
        "no_profiler": report.profiler,
        "unprofiled_networks": [
            {"network": name, "reason": _on_one_line(why)} for name, why in report.refused.items()
        ],
        "anchored_again": report.anchored,
        "stale": report.stale,
        "budget_over": report.budget_over,
        "seconds": report.seconds,
        "failures": failure_documents(report.failures),
    }


def _trouble_document(lane: Ended) -> dict[str, str | None]:
    error = lane.trouble
    return {
        "device": lane.device,
        "error": type(error).__name__,
        "code": error.code if isinstance(error, DevicesError) else None,
        "message": _on_one_line(str(error)),
    }
