"""`mnas search`: begin a search, or go on with one. Opens, calls and prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import teller
from mnas.cli.options import Across, Bench, Json, Quiet, Wait
from mnas.cli.output import Display, interval, keeping, print_json, print_line, print_table, warn

if TYPE_CHECKING:
    from mnas.config import RunConfig
    from mnas.run import Result, RunDirectory
    from mnas.search import Status
    from mnas.search_tables import Conditions

#: failed candidates that are listed for people; JSON has all
LISTED = 5


def register(app: typer.Typer) -> None:
    """Add `mnas search`."""
    app.command("search")(search)


def search(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The run's directory; one that was begun goes on.")
    ],
    space: Annotated[str | None, typer.Option(help="The search space; the table's if left out.")] = None,
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
        str | None, typer.Option(help="Latency table to predict from, a file or URL of mnas table build.")
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
        float | None, typer.Option(help="Latency to aim at; refused if no architecture reaches it.")
    ] = None,
    cap_ms: Annotated[
        float | None, typer.Option(help="Never train what is slower; no cap if left out.")
    ] = None,
    controller: Annotated[
        str | None, typer.Option(help="Strategy: random, nsga2 or tpe (the default).")
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
    across: Across = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search a space for networks that are accurate and fast.

    Every result is kept as it comes. The same command, or -o alone, goes on where an ended search stopped;
    more --trials make it longer. A table that was measured under other conditions than its device has now,
    such as another runtime, is refused by what differs, unless --across names it.

    Example: mnas search --dataset digits --table digits.db --target-ms 1.5 --trials 24 -o runs/digits
    """
    given = {
        "space": space,
        "resolution": resolution,
        "width": width,
        "dataset": dataset,
        "table": table,
        "latency": "device" if measure else None,
        "device": device,
        "threads": threads,
        "dtype": dtype,
        "target_ms": target_ms,
        "cap_ms": cap_ms,
        "controller": controller,
        "trials": trials,
        "validation_share": validation_share,
        "seed": seed,
    }
    training = {"steps": steps, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    again = shlex.quote(str(output))
    with (
        _opened(
            output, _asked(given), _asked(training), quiet=quiet, bench=bench, across=across or ()
        ) as run,
        keeping(f"go on with: mnas search -o {again}"),
    ):
        status = searched(run, quiet, bench=bench, wait_s=wait)
    if as_json:
        print_json(document(run, status))
    else:
        _show(run, status)
    return outcome(run, status)


def searched(
    run: RunDirectory,
    quiet: bool = False,
    *,
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
    with Display(quiet) as display:
        return search_run(
            run,
            lambda status: display.report("training", len(status.trained), status.trials, _headline(status)),
            lambda done, total: display.part("  this candidate", done, total),
            bench=bench,
            wait_s=wait_s,
            on_event=tell,
        )


def document(run: RunDirectory, status: Status) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas search`."""
    return {
        "run": str(run.path),
        "trials": status.trials,
        "trained": len(status.trained),
        "infeasible": status.count("infeasible"),
        "failed": status.count("failed"),
        "repeated": status.repeated,
        "proposals": len(status.results),
        "stopped": status.stopped,
        "exhausted": status.exhausted,
        "target_ms": run.config.target_ms,
        "cap_ms": run.config.cap_ms,
        "controller": run.config.controller,
        "seed": run.config.seed,
        "training_seconds": sum(result.seconds for result in status.results),
        "front": [_candidate(run, result) for result in status.front],
        "best_under_target": None if status.best is None else _candidate(run, status.best),
        "failures": [
            {"trial": result.number, "architecture": result.architecture, "message": result.message}
            for result in _failures(status)
        ],
        "next": _next(run),
    }


@contextmanager
def _opened(
    path: Path,
    given: dict[str, Any],
    training: dict[str, Any],
    *,
    quiet: bool,
    bench: Path | None,
    across: Sequence[str],
) -> Iterator[RunDirectory]:
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable
    from mnas.config import differences
    from mnas.run import make_run, read_run
    from mnas.search_settings import begin, resume
    from mnas.search_tables import sha256

    if (path / "config.toml").exists():
        run = read_run(path)
        config = resume(run.config, given, training)
        if not run.begun and differences(run.config, config):
            amended = _amended_training(run.config, training)
            config = begin(_amended(run.config, given), amended, bench, across)
            with make_run(path, config, config.table) as run:
                yield run
            return
        table = given.get("table")
        same = table is not None and table == config.table and LatencyTable.exists(table)
        if table is not None and same and not quiet and sha256(table) != config.table_sha256:
            warn(f"{shown(table)} has changed since {path} was begun; the run goes on with its own copy")
        with make_run(path, config) as run:
            yield run
        return
    config = begin(given, training, bench, across)
    with make_run(path, config, config.table) as run:
        yield run


def _amended(config: RunConfig, given: dict[str, Any]) -> dict[str, Any]:
    """Settings of a search without a result, and those asked for now; what its table says is left out."""
    names = ["dataset", "target_ms", "cap_ms", "controller", "trials", "validation_share", "seed"]
    kept = _asked({name: getattr(config, name) for name in names})
    if "latency" not in given and (config.latency == "table" or "table" in given):
        return {"table": config.table, **kept, **given}
    measured = ["space", "resolution", "width", "device", "threads", "dtype"]
    return {
        "latency": "device",
        **_asked({name: getattr(config, name) for name in measured}),
        **kept,
        **given,
    }


def _amended_training(config: RunConfig, training: dict[str, Any]) -> dict[str, Any]:
    """The same for the training, which takes either steps or epochs."""
    apart = {"steps": "epochs", "epochs": "steps"}
    gone = {apart[name] for name in training if name in apart}
    return {name: value for name, value in config.training.items() if name not in gone} | training


def _next(run: RunDirectory) -> str:
    return f"mnas finalize {shlex.quote(str(run.path))}"


def _headline(status: Status) -> str:
    best = status.best
    found = "none under target yet" if best is None else f"best under target {_point(best)}"
    apart = [
        f"{count} {name}"
        for name, count in (
            ("infeasible", status.count("infeasible")),
            ("failed", status.count("failed")),
            ("repeated", status.repeated),
        )
        if count
    ]
    return ", ".join([*apart, f"{len(status.front)} on the front", found])


def _show(run: RunDirectory, status: Status) -> None:
    print_table(
        f"{len(status.trained)} trained, {len(status.front)} on the front ({run.path})",
        ("trial", "accuracy", "latency", "90 %", "reward"),
        [
            (
                f"{result.number}{' *' if result is status.best else ''}",
                f"{result.point[0]:.2%}",
                f"{result.point[1]:.3g} ms",
                interval(result.low_ms, result.high_ms),
                f"{_reward(run, result):.3f}",
            )
            for result in status.front
        ],
    )
    if status.best is not None:
        print_line(f"* best at or under {run.config.target_ms:g} ms: {status.best.architecture}")
    elif status.trained:
        print_line(f"nothing trained is as fast as {run.config.target_ms:g} ms")
    print_line(f"next: {_next(run)}")


def outcome(run: RunDirectory, status: Status) -> Exit:
    """List a search's failed candidates and why it stopped early, if it did; the exit code that says so."""
    failures = _failures(status)
    for result in failures[:LISTED]:
        warn(f"trial {result.number} failed: {result.message} ({result.architecture})")
    if len(failures) > LISTED:
        warn(f"{len(failures) - LISTED} more failed; {run.log_file} has all, with their traces")
    if status.stopped is not None:
        reached = f"{len(status.trained)} of {status.trials} candidates are trained"
        warn(f"{status.stopped}: {reached}. {_advice(run, status)}")
    incomplete = status.stopped is not None and not status.exhausted
    return Exit.FAILURES if failures or incomplete else Exit.DONE


def _advice(run: RunDirectory, status: Status) -> str:
    if status.exhausted:
        return "There is nothing more to find here"
    if status.count("infeasible") > len(status.results) / 2:
        return (
            f"{status.count('infeasible')} proposals were above the cap of {run.config.cap_ms:g} ms: raise it"
        )
    return f"The trace of each failure is in {run.log_file}; the same command goes on"


def _failures(status: Status) -> list[Result]:
    return [result for result in status.results if result.state == "failed" and result.repeats is None]


def _candidate(run: RunDirectory, result: Result) -> dict[str, Any]:
    accuracy, latency_ms = result.point
    return {
        "trial": result.number,
        "architecture": result.architecture,
        "accuracy": accuracy,
        "latency_ms": latency_ms,
        "low_ms": result.low_ms,
        "high_ms": result.high_ms,
        "reward": _reward(run, result),
        "training_seconds": result.seconds,
    }


def _reward(run: RunDirectory, result: Result) -> float:
    from mnas.reward import MnasReward

    return float(MnasReward.soft(run.config.target_ms)(*result.point))


def _point(result: Result) -> str:
    accuracy, latency_ms = result.point
    return f"{accuracy:.1%} at {latency_ms:.3g} ms"


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
