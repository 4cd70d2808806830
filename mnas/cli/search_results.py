"""What a search came to: for people, as JSON, and as an exit code. Searches nothing."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from mnas.cli.app import Exit
from mnas.cli.output import interval, print_line, print_table, warn
from mnas.cli.search_view import amount, figure, limits

if TYPE_CHECKING:
    from mnas.config import RunConfig
    from mnas.run import Result, RunDirectory
    from mnas.search import Status

#: failed candidates that are listed for people; JSON has all
LISTED = 5


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
        "feasible_share": status.feasible_share,
        "stopped": status.stopped,
        "exhausted": status.exhausted,
        "target_ms": run.config.target_ms,
        "cap_ms": run.config.cap_ms,
        "costs": costs_document(run.config, status),
        "controller": run.config.controller,
        "seed": run.config.seed,
        "training_seconds": sum(result.seconds for result in status.results),
        "hypervolume": status.hypervolume,
        "front": [candidate(run.config, status, result) for result in status.front],
        "best_under_target": None if status.best is None else candidate(run.config, status, status.best),
        "failures": failure_documents(status),
        "next": next_command(run, status),
    }


def costs_document(config: RunConfig, status: Status) -> list[dict[str, Any]]:
    """What is wanted of each cost, and by how much its predictions are corrected."""
    return [
        {
            "name": goal.cost,
            "device": config.names.get(goal.cost, config.device if goal.cost == "latency_ms" else None),
            "objective": goal.objective,
            "target": goal.target,
            "cap": goal.cap,
            "correction": status.factors.get(goal.cost, 1.0),
        }
        for goal in status.goals
    ]


def candidate(config: RunConfig, status: Status, result: Result) -> dict[str, Any]:
    """A trained candidate."""
    accuracy, latency_ms = result.point
    predicted, now = status.costs(result), status.corrected(result)
    return {
        "trial": result.number,
        "architecture": result.architecture,
        "accuracy": accuracy,
        "latency_ms": latency_ms,
        "low_ms": result.low_ms,
        "high_ms": result.high_ms,
        "costs": [{"name": name, "predicted": predicted[name], "value": now[name]} for name in predicted],
        "reward": reward_of(config, status, result),
        "training_seconds": result.seconds,
    }


def failure_documents(status: Status) -> list[dict[str, Any]]:
    """Every failed candidate."""
    return [
        {"trial": result.number, "architecture": result.architecture, "message": result.message}
        for result in _failures(status)
    ]


def reward_of(config: RunConfig, status: Status, result: Result) -> float:
    """A trained candidate's reward when it was trained; of older runs, as it would be now."""
    from mnas.reward import Exponents, Reward

    if result.reward is not None:
        return result.reward
    targets = {goal.cost: goal.target for goal in status.goals if goal.target is not None}
    exponents = Exponents.of(config.reward, config.alpha, config.beta)
    return Reward(targets, exponents)(result.point[0], status.corrected(result))


def next_command(run: RunDirectory, status: Status, over: bool | None = None) -> str | None:
    """What to do with a run: go on while candidates are left, then finalize; None if none can be trained.

    Args:
        over: whether there is nothing more to search, if that is known otherwise than by `status`.
    """
    over = status.exhausted if over is None else over
    if not over and len(status.trained) < status.trials:
        return f"mnas search --resume {shlex.quote(str(run.path))}"
    return f"mnas finalize {shlex.quote(str(run.path))}" if status.trained else None


def show(run: RunDirectory, status: Status) -> None:
    """Print a search's front for people, what is best under the target, and what to do next."""
    if status.trained:
        show_front(run, status)
    else:
        print_line(f"nothing is trained ({run.path})")
    names, wanted = run.config.names, limits(status.goals, run.config.names)
    if status.best is not None:
        print_line(f"* best {wanted}: {status.best.architecture}")
    elif status.trained:
        print_line(f"nothing trained is {wanted}")
    for name, factor in status.factors.items():
        print_line(
            f"latencies on {names.get(name, run.config.device)} are given as they were measured, or as "
            f"predicted times {factor:.3g}, which the measured ones take; '90 %' is without that"
        )
    if (after := next_command(run, status)) is not None:
        print_line(f"next: {after}")


def show_front(run: RunDirectory, status: Status) -> None:
    """Print a search's front, least of the first cost first; `*` is the best under the target."""
    others = [goal.cost for goal in status.goals[1:]]
    names = run.config.names
    print_table(
        f"{len(status.trained)} trained, {len(status.front)} on the front ({run.path})",
        (
            "trial",
            "accuracy",
            names.get("latency_ms", "latency"),
            "90 %",
            *map(_heading(names), others),
            "reward",
        ),
        [
            (
                f"{result.number}{' *' if result is status.best else ''}",
                f"{result.point[0]:.2%}",
                f"{status.corrected(result)['latency_ms']:.3g} ms",
                interval(result.low_ms, result.high_ms),
                *(figure(name, status.corrected(result)[name]) for name in others),
                f"{reward_of(run.config, status, result):.3f}",
            )
            for result in status.front
        ],
    )


def _heading(names: dict[str, str]) -> Any:
    def heading(cost: str) -> str:
        kind = cost.partition(":")[0]
        words = {"latency_ms": "ms", "energy_mj": "mJ"}.get(kind, kind.replace("_", " "))
        return f"{names[cost]} {words}" if cost in names else words

    return heading


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
    count = status.count("infeasible")
    if count > len(status.results) / 2 or (count and not status.count("failed")):
        caps = [
            amount(goal.cost, goal.cap, run.config.names, "g")
            for goal in status.goals
            if goal.cap is not None
        ]
        raised = "it" if len(caps) == 1 else "one of them"
        advice = (
            f"{count} proposals were above the cap of {' or '.join(caps)}: raise {raised} in a new search"
        )
        if run.config.settings.get("screened", "no") == "no":
            advice += ", or begin one that passes over them, --controller-option screened=ruled_out"
        return advice
    return f"The trace of each failure is in {run.log_file}; the same command goes on"


def _failures(status: Status) -> list[Result]:
    return [result for result in status.results if result.state == "failed" and result.repeats is None]
