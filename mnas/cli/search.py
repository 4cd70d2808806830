"""`mnas search`: begin a search, or go on with one. Opens, calls and prints."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controllers.registry import names as controller_names
from mnas.cli.opening import teller
from mnas.cli.options import Across, Bench, Json, Quiet, Wait
from mnas.cli.output import keeping, print_json, warn
from mnas.cli.search_opening import Words, asked, controller_settings, opened_run, place
from mnas.cli.search_results import document, outcome, show
from mnas.cli.search_view import SearchView
from mnas.errors import BadInput

if TYPE_CHECKING:
    from mnas.run import RunDirectory
    from mnas.search import Status
    from mnas.search_tables import Conditions

__all__ = ["document", "outcome", "register", "search", "searched"]

#: what `--space` begins with where it is a table of evaluated architectures
TABLE = "table:"
#: options that only such a table has
_OF_TABLES = ("--accuracy", "--latency", "--ignore", "--latency-unknown")
#: options whose names are not those of what they set
_OPTIONS: Mapping[str, str] = {"latency": "--measure", "output": "-o"}


def register(app: typer.Typer) -> None:
    """Add `mnas search`."""
    app.command("search")(search)


def search(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's directory; one that was begun goes on.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run, by its own settings.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="The search space; the table's if left out. table:FILE searches a CSV or Parquet."),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Image size in pixels; the table's, or the space's own.")
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="Filter multiplier; the table's, or the space's own.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="digits, fashion_mnist, cifar10, folder:PATH or package.module:function."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="Latency table of mnas table build, a file or URL; of several devices, each with its name.",
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure each candidate instead of a table.")
    ] = False,
    device: Annotated[str | None, typer.Option("--device", "-d", help="The device that counts.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime on it; the table's, or the device's own.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Whose latency counts, float32 or int8; the table's.")
    ] = None,
    target_ms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MS", help="Latency to aim at; refused if no architecture reaches it. Repeatable."
        ),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(
            "--cap",
            "--cap-ms",
            metavar="[NAME=]FIGURE",
            help="Never train what is above it: ms, of a named device, or of parameters, file_bytes, "
            "memory_bytes, energy_mj. Repeatable.",
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Keep this small, too: parameters, file_bytes, memory_bytes, energy_mj, or a device that "
            "has only a cap. Repeatable.",
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            help="soft (the default) or hard: how a target counts where one number is learned from."
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Its exponent at or below the target; -0.07 if soft, 0 if hard.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Its exponent above the target; -0.07 if soft, -1 if hard.")
    ] = None,
    controller: Annotated[
        str | None,
        typer.Option(help=f"Strategy: {', '.join(controller_names())}; predictor_guided if left out."),
    ] = None,
    controller_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A setting of it; of all: screened=no to also propose what a cap rules out. Repeatable.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Candidates to train, 40 by default; may grow later.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of a candidate, 320 by default.")] = None,
    epochs: Annotated[float | None, typer.Option(help="The same as passes over the images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a training step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate of the training.")
    ] = None,
    validation_share: Annotated[
        float | None, typer.Option(help="Share of the training images that judges candidates.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of strategy, split and training; 0 by default.")] = None,
    measure_every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Measure the front on the devices every N trained candidates, 20 by default; 0 never. What "
            "an error bar leaves open at a cap is measured anyhow.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            help="Train N candidates at once, at most one for each core; with more than one, the order, and "
            "so the search, does not repeat.",
        ),
    ] = 1,
    accuracy: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of table:FILE: the column of accuracies.")
    ] = None,
    latency: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN,...", help="Of table:FILE: columns to keep small, such as latencies."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN,...", help="Of table:FILE: columns that are no choices."),
    ] = None,
    latency_unknown: Annotated[
        bool,
        typer.Option("--latency-unknown", help="Of table:FILE: strategies do not know latencies beforehand."),
    ] = False,
    across: Across = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search a space for networks that are accurate and fast.

    Every result is kept as it comes. The same command, or --resume RUN, goes on where an ended search
    stopped; more --trials make it longer. A table that was measured under other conditions than its device
    has now, such as another runtime, is refused by what differs, unless --across names it.

    Example: mnas search --dataset digits --table digits.db --target-ms 1.5 --trials 24 -o runs/digits

    Example: mnas search --dataset digits --table pixel6=p.db --table pi5=b.db
    --target-ms pixel6=20 --cap pi5=80 -o runs/two

    Example: mnas search --space table:nb201.csv --accuracy acc --latency ms --controller tpe --trials 100
    """
    given: dict[str, Any] = {
        "space": space,
        "resolution": resolution,
        "width": width,
        "dataset": dataset,
        "latency": "device" if measure else None,
        "device": device,
        "threads": threads,
        "dtype": dtype,
        "reward": reward,
        "alpha": alpha,
        "beta": beta,
        "controller": controller,
        "settings": controller_settings(controller_option or ()) or None,
        "trials": trials,
        "validation_share": validation_share,
        "seed": seed,
        "measure_every": measure_every,
        "across": tuple(across) if across else None,
    }
    training = {"steps": steps, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    of_tables = (accuracy, latency, ignore, latency_unknown or None)
    if space is not None and space.startswith(TABLE):
        from mnas.cli.table_search import search_table

        meant = {"space", "controller", "settings", "trials", "seed", "reward", "alpha", "beta"}
        others = {name: value for name, value in given.items() if name not in meant} | training
        others |= {"output": output, "resume": resume, "table": table, "objective": objective, "bench": bench}
        others |= {"jobs": None if jobs == 1 else jobs, "wait": wait or None}
        return search_table(
            space.removeprefix(TABLE),
            accuracy=accuracy,
            latency=latency or (),
            ignore=ignore or (),
            controller=controller,
            trials=trials,
            seed=seed,
            settings=controller_option or (),
            latency_known=not latency_unknown,
            targets=target_ms or (),
            caps=cap or (),
            reward=reward,
            alpha=alpha,
            beta=beta,
            as_json=as_json,
            quiet=quiet,
            foreign=[_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in asked(others)],
        )
    if foreign := [name for name, value in zip(_OF_TABLES, of_tables, strict=True) if value is not None]:
        raise BadInput(
            f"{', '.join(foreign)}: only for --space {TABLE}FILE, a table of evaluated architectures"
        )
    from mnas.search_tables import Conditions

    path = place(output, resume)
    again = shlex.quote(str(path))
    conditions = Conditions(bench)
    words = Words(table or (), target_ms or (), cap or (), objective or ())
    with (
        opened_run(path, asked(given), asked(training), words, conditions, quiet=quiet) as run,
        keeping(f"go on with: mnas search --resume {again}"),
    ):
        status = searched(run, quiet, jobs=jobs, bench=bench, wait_s=wait, conditions=conditions)
    if as_json:
        print_json(document(run, status))
    else:
        show(run, status)
    return outcome(run, status)


def searched(
    run: RunDirectory,
    quiet: bool = False,
    *,
    jobs: int = 1,
    bench: Path | None = None,
    wait_s: float = 0.0,
    conditions: Conditions | None = None,
) -> Status:
    """Search with progress on standard error."""
    from mnas.job import search_run
    from mnas.search_tables import Conditions, table_warnings

    for text in () if quiet else table_warnings(run, conditions or Conditions(bench)):
        warn(text)
    tell = teller(quiet)
    with SearchView(quiet, run.config.names) as view:
        return search_run(
            run, view.report, view.running, jobs=jobs, bench=bench, wait_s=wait_s, on_event=tell
        )
