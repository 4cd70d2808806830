"""`mnas runs`: which searches there are, and what each came to. Reads and prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json
from mnas.cli.output import duration, print_json, print_line, print_table, warn
from mnas.cli.search_results import (
    candidate,
    costs_document,
    failure_documents,
    next_command,
    show_front,
)
from mnas.cli.search_view import amount, limits, point

if TYPE_CHECKING:
    from mnas.config import RunConfig
    from mnas.runs import Standing

DEFAULT = Path("runs")
#: settings that have a place of their own in what is shown
_APART = {"training", "also", "settings"}

group = typer.Typer(no_args_is_help=True, help="Which searches there are, and what each came to.")

Silent = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but what is wrong; the exit code says the rest.")
]


def register(app: typer.Typer) -> None:
    """Add `mnas runs`."""
    app.add_typer(group, name="runs")


@group.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="The folder to look in, and below.")] = DEFAULT,
    *,
    as_json: Json = False,
    quiet: Silent = False,
) -> int:
    """List the runs below a folder: what each searched, how far it is, its best, and whether it goes on.

    A run whose files cannot be read is listed as unusable, with the reason; then the exit code is 4.

    Example: mnas runs list runs
    """
    from mnas.runs import found, standing

    unseen: list[str] = []
    paths = list(found(folder, lambda error: unseen.append(f"{error.filename}: {error.strerror}")))
    all_of_them = [standing(path) for path in paths]
    if as_json:
        print_json({"folder": str(folder), "runs": [list_document(one) for one in all_of_them]})
    elif not quiet:
        _show_list(folder, all_of_them)
    for text in unseen:
        warn(f"not looked into: {text}")
    for one in all_of_them:
        if one.error is not None:
            warn(f"{one.path} is unusable: {one.error}")
    broken = bool(unseen) or any(one.error is not None for one in all_of_them)
    return Exit.FAILURES if broken else Exit.DONE


@group.command("show")
def show_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    *,
    as_json: Json = False,
    quiet: Silent = False,
) -> int:
    """Show a run: its settings, its front, what failed, how predictions were off, and what to do next.

    Example: mnas runs show runs/digits
    """
    from mnas.errors import BadRun
    from mnas.runs import standing

    stands = standing(run)
    if stands.error is not None:
        raise BadRun(stands.error)
    if as_json:
        print_json(show_document(stands))
    elif not quiet:
        _show(stands)
    return Exit.DONE


def list_document(stands: Standing) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas runs list`."""
    config = None if stands.run is None else stands.run.config
    status = stands.status
    best = None if status is None or status.best is None else status.best
    values = {} if status is None or best is None else status.corrected(best)
    return {
        "run": str(stands.path),
        "state": stands.state,
        "process": stands.process,
        "age_seconds": stands.age_s,
        "error": stands.error,
        "space": config and config.space,
        "dataset": config and config.dataset,
        "device": config and (config.label or config.device),
        "target_ms": config and config.target_ms,
        "controller": config and config.controller,
        "seed": None if config is None else config.seed,
        "trials": config and config.trials,
        "trained": None if status is None else len(status.trained),
        "front": None if status is None else len(status.front),
        "hypervolume": None if status is None else status.hypervolume,
        "best_accuracy": None if best is None else best.accuracy,
        "best_latency_ms": values.get("latency_ms"),
    }


def show_document(stands: Standing) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas runs show`."""
    run, status = stands.run, stands.status
    assert run is not None
    assert status is not None
    config = run.config
    return {
        **list_document(stands),
        "proposals": len(status.results),
        "infeasible": status.count("infeasible"),
        "failed": status.count("failed"),
        "repeated": status.repeated,
        "feasible_share": status.feasible_share,
        "settings": _settings(config),
        "costs": costs_document(config, status),
        "front": [candidate(config, status, result) for result in status.front],
        "best_under_target": None if status.best is None else candidate(config, status, status.best),
        "failures": failure_documents(status),
        "gaps": [asdict(gap) for gap in _gaps(stands)],
        "next": next_of(stands),
    }


def next_of(stands: Standing) -> str | None:
    """The command to go on with."""
    assert stands.run is not None
    assert stands.status is not None
    return next_command(stands.run, stands.status, over=stands.over)


def _gaps(stands: Standing) -> list[Any]:
    from mnas.gaps import gaps_of

    assert stands.run is not None
    return gaps_of(stands.run)


def _settings(config: RunConfig) -> dict[str, Any]:
    """A run's settings as config.toml has them, but for what the costs say."""
    values = {name: value for name, value in asdict(config).items() if name not in _APART}
    values["across"] = list(config.across)
    return {**values, "controller_options": dict(config.settings), "training": dict(config.training)}


def _show_list(folder: Path, stands: list[Standing]) -> None:
    if not stands:
        print_line(f"no runs in {folder} or below")
        return
    print_table(
        f"{len(stands)} run{'' if len(stands) == 1 else 's'} in {folder}",
        ("run", "searched", "device", "by", "trained", "front", "best", "state"),
        [_row(one, folder) for one in stands],
        texts=4,
    )


def _row(stands: Standing, folder: Path) -> tuple[str, ...]:
    name = str(stands.path.relative_to(folder))
    age = "" if stands.age_s is None else f", {duration(stands.age_s)} ago"
    running = stands.process is not None
    ending = f"running (process {stands.process})" if running else f"{stands.state}{age}"
    config, status = None if stands.run is None else stands.run.config, stands.status
    if config is None or status is None:
        return name, "", "", "", "", "", "", ending
    names = config.names
    aims = [amount(goal.cost, goal.target, names, "g") for goal in status.goals if goal.target is not None]
    where = ", ".join(aims) if names else f"{', '.join(aims)} on {config.device}"
    best = "-" if status.best is None else point(status, status.best, names)
    return (
        name,
        f"{config.space} on {config.dataset}",
        where,
        config.controller,
        f"{len(status.trained)} of {status.trials}",
        str(len(status.front)),
        best,
        ending,
    )


def _show(stands: Standing) -> None:
    from mnas.gaps import in_words

    run, status = stands.run, stands.status
    assert run is not None
    assert status is not None
    assert stands.fits is not None
    config = run.config
    plain = {**_settings(config), **{f"training {k}": v for k, v in config.training.items()}}
    plain |= {f"option {name}": value for name, value in config.settings.items()}
    rows = [
        (name.replace("_", " "), ", ".join(value) if isinstance(value, list) else value)
        for name, value in plain.items()
        if value not in (None, [], {}) and not isinstance(value, dict)
    ]
    for goal in status.goals:
        rows.append((goal.cost, _wanted(goal, config)))
    print_table(f"{run.path}: {_row(stands, run.path)[-1]}", ("setting", ""), rows, texts=2)
    if status.trained:
        show_front(run, status)
    if status.best is not None:
        print_line(f"* best {limits(status.goals, config.names)}: {status.best.architecture}")
    for name, one in stands.fits.items():
        print_line(f"{config.names.get(name, config.device)}: {in_words(one)}")
    for failure in failure_documents(status):
        warn(f"trial {failure['trial']} failed: {failure['message']} ({failure['architecture']})")
    if (after := next_of(stands)) is not None:
        print_line(f"next: {after}")


def _wanted(goal: Any, config: RunConfig) -> str:
    parts = ["objective"] if goal.objective else []
    parts += [] if goal.target is None else [f"target {amount(goal.cost, goal.target, config.names, 'g')}"]
    parts += [] if goal.cap is None else [f"cap {amount(goal.cost, goal.cap, config.names, 'g')}"]
    return ", ".join(parts)
