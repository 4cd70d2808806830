"""The run directories below a folder, and how each stands. Reads them only, also while they are searched."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devices.lock import holder
from mnas.errors import BadInput, BadRun
from mnas.gaps import Fit, by_cost, fit, gaps_of
from mnas.results import require_points
from mnas.run import RunDirectory, read_run
from mnas.status import Status, status_of
from mnas.study_log import require_results

State = Literal["running", "finished", "stopped", "unusable"]

#: files by one of which a directory with a config.toml is taken for a run, also a broken one
_SIGNS = frozenset({"lock", "journal.log", "results.jsonl"})
#: what stands for the time when a run was last written to, the first that is there
_TOUCHED = ("log.txt", "results.jsonl", "config.toml")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands.

    Attributes:
        path: its directory.
        state: `running` if a process holds it; `finished` if all its candidates are trained or its space has
            no more; `stopped` if neither; `unusable` if its files cannot be read, or lack results.
        process: number of the process that holds it; None if none does.
        age_s: seconds since it was last written to; None if unknown.
        run: None if its settings cannot be read.
        status: None if it is unusable.
        over: whether all its candidates are trained, or its space has no more.
        fits: what measuring during the search says of the predictions, by cost.
        error: why it is unusable.
    """

    path: Path
    state: State
    process: str | None = None
    age_s: float | None = None
    run: RunDirectory | None = None
    status: Status | None = None
    over: bool = False
    fits: dict[str, Fit] | None = None
    error: str | None = None


def found(folder: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """The run directories below a folder, itself included, by name; none lies within another.

    Args:
        on_error: told of folders that cannot be looked into.

    Raises:
        BadInput: there is no such folder.
    """
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}; runs are where -o of mnas search put them")
    for place, folders, files in os.walk(folder, onerror=on_error):
        signs = _SIGNS & set(files)
        if signs and ("config.toml" in files or len(signs) > 1):
            yield Path(place)
            folders.clear()
        folders.sort()


def standing(path: Path) -> Standing:
    """How the run in a directory stands; what cannot be read of it is a value."""
    age_s = _age_s(path)
    try:
        process = holder(path / "lock")
        run = read_run(path)
    except (BadRun, OSError) as error:
        return Standing(path, "unusable", age_s=age_s, error=_text(error))
    try:
        fits = {cost: fit(gaps) for cost, gaps in by_cost(gaps_of(run)).items()}
        require_results(run)
        status = status_of(run)
        status.front, status.best, status.hypervolume  # noqa: B018 - refused here if results lack a cost
        exhausted = _exhausted(run, status)
    except (BadInput, OSError) as error:
        return Standing(path, "unusable", process, age_s, run, error=_text(error))
    over = exhausted or len(status.trained) >= status.trials
    state: State = "running" if process is not None else "finished" if over else "stopped"
    return Standing(path, state, process, age_s, run, status, over, fits)


def _exhausted(run: RunDirectory, status: Status) -> bool:
    """Whether every point of the space has been looked at; BadRun for points that it does not have."""
    from mnas import spaces
    from mnas.search_costs import space_of

    try:
        space = space_of(run.config)
    except BadInput:  # a space that this version does not have
        return False
    require_points(status.results, space.choices, run.results_file)
    size = spaces.size(space)
    return len({result.choices for result in status.results}) >= size


def _age_s(path: Path) -> float | None:
    for name in _TOUCHED:
        try:
            return max(0.0, time.time() - (path / name).stat().st_mtime)
        except OSError:
            continue
    return None


def _text(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)
