"""The journal of a run's study, read line by line: whether it is whole, and which trials ended.

Knows Optuna's format, so that Optuna need not be imported, nor lines behind a damaged one be written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.errors import BadRun

if TYPE_CHECKING:
    from mnas.run import RunDirectory

#: Optuna's codes of operations, and what each needs
_NEEDED: dict[int, tuple[str, ...]] = {
    0: ("study_name", "directions"),
    1: ("study_id",),
    2: ("study_id", "user_attr"),
    3: ("study_id", "system_attr"),
    4: ("study_id", "datetime_start"),
    5: ("trial_id", "param_name", "param_value_internal", "distribution"),
    6: ("trial_id", "state"),
    7: ("trial_id", "step", "intermediate_value"),
    8: ("trial_id", "user_attr"),
    9: ("trial_id", "system_attr"),
}
_NEW_TRIAL, _STATE, _NOTE = 4, 6, 8
#: Optuna's states of trials that ended: complete, pruned, failed
_ENDED, _FAILED = frozenset({1, 2, 3}), 3


def ended_trials(path: Path) -> set[int]:
    """Numbers of the trials that the study was told a result of; none if there is no file.

    A torn last line is left out. What a killed process was evaluating has no result, though it is closed.

    Raises:
        BadRun: a complete line is no operation of a study, which no kill leaves behind; the message names it.
    """
    ended: set[int] = set()
    told: set[int] = set()
    trials = 0
    if not path.exists():
        return ended
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            operation = _operation(line, trials)
            if operation is None:
                raise BadRun(
                    f"{path}, line {number}, is no operation of a study: {line[:60]!r}; restore that line, "
                    "or remove it and all after it: what they told is brought back from results.jsonl"
                )
            code, notes = operation["op_code"], operation.get("user_attr", {})
            trial = operation.get("trial_id", trials)
            if code == _NEW_TRIAL:
                trials += 1
                notes = operation.get("user_attrs") or {}
            if code in (_NEW_TRIAL, _STATE) and operation.get("state") in _ENDED:
                ended.add(trial)
                if operation["state"] != _FAILED:
                    told.add(trial)
            if code in (_NEW_TRIAL, _NOTE) and "state" in notes:  # as `RunStudy.tell` notes it
                told.add(trial)
    return ended & told


def require_results(run: RunDirectory) -> None:
    """See that all results are there that a run's journal was told.

    Raises:
        BadRun: one is missing, or a file is damaged.
    """
    ended = ended_trials(run.journal)  # first: what is told is in the results by then
    if lost := ended - {result.number for result in run.results()}:
        raise BadRun(lost_result(run, min(lost)))


def lost_result(run: RunDirectory, number: int) -> str:
    """What is the matter where a trial that ended has no result, and what to do."""
    return (
        f"{run.journal} has trial {number} finished, but its result is missing; restore {run.results_file}, "
        "or begin another run"
    )


def _operation(line: bytes, trials: int) -> dict[str, Any] | None:
    """A line as an operation on so many trials; None if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    code, trial = found.get("op_code"), found.get("trial_id", 0)
    if not isinstance(code, int) or not isinstance(trial, int):
        return None
    if code not in _NEEDED or not all(name in found for name in _NEEDED[code]):
        return None
    if "trial_id" in _NEEDED[code] and not 0 <= trial < trials:
        return None
    notes = [found.get(name) or {} for name in ("user_attr", "system_attr", "user_attrs", "system_attrs")]
    return found if all(isinstance(one, dict) for one in notes) else None
