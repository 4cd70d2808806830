"""`mnas search --space table:FILE`: search a table of evaluated architectures. Opens, calls and prints."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.cli.app import Exit
from mnas.cli.output import Display, print_json, print_line, print_table, warn
from mnas.errors import BadInput

if TYPE_CHECKING:
    from mnas.costs import Goal
    from mnas.spaces.tabular import TableSpace
    from mnas.status import Status
    from mnas.table_search import TableResult, TableTruth


def search_table(
    file: str,
    *,
    accuracy: str | None,
    latency: Sequence[str],
    ignore: Sequence[str] = (),
    controller: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    settings: Sequence[str] = (),
    latency_known: bool = True,
    targets: Sequence[str] = (),
    caps: Sequence[str] = (),
    reward: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    as_json: bool = False,
    quiet: bool = False,
    foreign: Sequence[str] = (),
) -> Exit:
    """Search a table, print what was found, and say by the exit code whether it came to its end.

    Args:
        file: CSV or Parquet.
        accuracy: its column of accuracies.
        latency: columns of latencies, also several in a text, between commas.
        ignore: columns that are no choices, likewise.
        settings: of the controller, `key=value`.
        targets: `FIGURE`, of the first latency, or `COLUMN=FIGURE`.
        caps: likewise.
        foreign: options that were given and mean nothing here.

    Raises:
        BadInput: the file, or what is asked of it, cannot be used.
        ControllersError: there is no such controller, or it does not take its settings.
    """
    from controllers.registry import create
    from mnas.cli.search_opening import controller_settings
    from mnas.config import TRIALS
    from mnas.reward import Exponents
    from mnas.search_settings import CONTROLLER
    from mnas.table_search import TableTruth, run_table

    if foreign:
        raise BadInput(
            f"a search over a table trains nothing and keeps no run: {', '.join(foreign)} cannot be used; "
            "--json prints all that it finds"
        )
    if not file:
        raise BadInput("--space table: lacks its file; give --space table:FILE, CSV or Parquet")
    space = _space(file, accuracy, latency, ignore, latency_known)
    goals = _goals(space, targets, caps)
    asked = controller_settings(settings)
    name, seed = CONTROLLER if controller is None else controller, seed or 0
    trials = TRIALS if trials is None else trials
    create(name, seed, settings=asked)  # refuses what it does not take before anything is said
    named = not (reward is None and alpha is None and beta is None)
    exponents = Exponents.of(reward or "soft", alpha, beta) if named else None
    truth = TableTruth(space, goals)
    for column in () if quiet else space.naming:
        warn(
            f"column {column} has its own option in nearly every row, so nothing can be learned from it; "
            f"if it describes rows rather than makes them, leave it out: --ignore {column}"
        )
    began = time.perf_counter()
    last: list[Status] = []
    with Display(quiet) as display:

        def progress(status: Status) -> None:
            last[:] = [status]
            display.report("evaluating rows", len(status.trained), status.trials)

        try:
            result = run_table(
                space, name, trials=trials, seed=seed, settings=asked, goals=goals, reward=exponents,
                truth=truth, on_progress=progress,
            )  # fmt: skip
            interrupted = False
        except KeyboardInterrupt:
            if not last:
                raise
            result, interrupted = truth.judge_status(last[0], "interrupted"), True
    seconds = time.perf_counter() - began
    if as_json:
        wanted = {"controller": name, "settings": asked, "seed": seed, "trials": trials}
        print_json({**document(truth, result, goals, wanted), "seconds": seconds})
    else:
        _show(space, goals, result, name)
    if result.stopped is not None and not quiet:
        warn(f"{result.stopped}: {len(result.evaluated)} of {trials} evaluations, {len(space)} rows")
    if interrupted:
        return Exit.INTERRUPTED
    return Exit.DONE if result.stopped is None or result.exhausted else Exit.FAILURES


def document(
    truth: TableTruth, result: TableResult, goals: Sequence[Goal], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas search (a table)`, but for the time that it took.

    Args:
        asked: controller, settings, seed and trials.
    """
    space = truth.space
    return {
        "table": space.name,
        "rows": len(space),
        "choices": {choice.name: len(choice.options) for choice in space.choices},
        "accuracy": space.accuracy_name,
        "percent": space.percent,
        "ignored": list(space.ignored),
        "latencies": [
            {"column": goal.cost, "known": goal.known, "target": goal.target, "cap": goal.cap}
            for goal in goals
        ],
        **asked,
        "evaluated": list(result.evaluated),
        "infeasible": list(result.infeasible),
        "stopped": result.stopped,
        "exhausted": result.exhausted,
        "front": [_row(space, row) for row in result.front],
        "best": None if result.best is None else _row(space, result.best),
        "regret": result.regret,
        "hypervolume_ratio": result.hypervolume_ratio,
        "hypervolume_ratio_lowest": result.hypervolume_ratio_lowest,
        "front_found": result.front_found,
        "front_size": result.front_size,
        "true_front": truth.front.tolist(),
        "curve": None if result.curve is None else result.curve.tolist(),
        "curve_lowest": None if result.curve_lowest is None else result.curve_lowest.tolist(),
    }


def _space(
    file: str, accuracy: str | None, latency: Sequence[str], ignore: Sequence[str], known: bool
) -> TableSpace:
    from mnas.spaces.table_files import read_table
    from mnas.spaces.tabular import TableSpace

    words = {word for text in latency for word in (text, *text.split(","))}
    frame = read_table(file, words | {accuracy or ""})
    columns = [str(column) for column in frame.columns]
    missing = [option for option, given in (("--accuracy", accuracy), ("--latency", latency)) if not given]
    if missing or accuracy is None:
        raise BadInput(
            f"a search over a table needs {' and '.join(missing)}, a column of {file}, which has: "
            f"{', '.join(columns)}"
        )
    latency, ignore = _columns(latency, columns), _columns(ignore, columns)
    return TableSpace(frame, accuracy, latency, ignore, known=known, name=Path(file).name)


def _columns(texts: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Columns between commas; a text that is a column as a whole is one."""
    found = []
    for text in texts:
        found += [text] if text in columns else [part.strip() for part in text.split(",") if part.strip()]
    return list(dict.fromkeys(found))


def _goals(space: TableSpace, targets: Sequence[str], caps: Sequence[str]) -> tuple[Goal, ...]:
    from dataclasses import replace

    aims, limits = _figures("--target-ms", targets, space), _figures("--cap", caps, space)
    return tuple(replace(goal, target=aims.get(goal.cost), cap=limits.get(goal.cost)) for goal in space.goals)


def _figures(option: str, texts: Sequence[str], space: TableSpace) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, figure = text.rpartition("=")
        column = name if equals else space.latency_names[0]
        if column not in space.latency_names:
            raise BadInput(
                f"{option} {text}: {column} is no latency column; there are: {', '.join(space.latency_names)}"
            )
        if column in found:
            raise BadInput(f"{option} is given twice for {column}; give one figure")
        try:
            found[column] = float(figure)
        except ValueError:
            raise BadInput(
                f"{option} {text}: {figure!r} is no number; give FIGURE or COLUMN=FIGURE, such as 20"
            ) from None
    return found


def _row(space: TableSpace, number: int) -> dict[str, Any]:
    row = space.row(number)
    return {
        "row": number,
        "accuracy": row.accuracy,
        "latency": dict(row.costs),
        "options": dict(row.options),
    }


def _show(space: TableSpace, goals: Sequence[Goal], result: TableResult, controller: str) -> None:
    rows = [(space.row(number), number == result.best) for number in result.front]
    print_table(
        f"{len(result.evaluated)} of {len(space)} rows evaluated by {controller}, "
        f"{len(result.front)} on the front ({space.name})",
        ("row", "accuracy", *space.latency_names, "options"),
        [
            (
                f"{row.number}{' *' if best else ''}",
                f"{row.accuracy:.2%}",
                *(f"{figure:.4g}" for figure in row.costs.values()),
                ", ".join(f"{name}={option}" for name, option in row.options.items()),
            )
            for row, best in rows
        ],
    )
    limits = [f"{goal.cost} <= {goal.target:g}" for goal in goals if goal.target is not None]
    within = f" with {' and '.join(limits)}" if limits else ""
    if result.best is not None and result.regret is not None:
        behind = f"{result.regret:.2%} below the best there is" if result.regret else "the best there is"
        print_line(f"* most accurate{within}: row {result.best}, {behind}")
    elif result.evaluated:
        print_line(f"nothing evaluated{within}")
    print_line(f"{result.front_found} of the {result.front_size} rows of the table's own front are found")
    if result.hypervolume_ratio is not None:
        lowest = result.hypervolume_ratio_lowest
        above = "" if lowest is None else f"; {lowest:.2%} above the table's lowest accuracy"
        print_line(f"hypervolume: {result.hypervolume_ratio:.2%} of that front's{above}")
