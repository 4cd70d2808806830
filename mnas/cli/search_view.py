"""What is seen of a search while it goes on: a panel on a terminal, else lines. Searches nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mnas.cli.app import errors
from mnas.cli.output import LINE_EVERY_S, duration
from mnas.cli.text import shown

if TYPE_CHECKING:
    from mnas.costs import Goal
    from mnas.run import Result
    from mnas.search import Status
    from mnas.workers import Running

#: running candidates that are shown one by one
SHOWN = 8
_BAR = 30


class SearchView:
    """Shows how a search stands, on standard error.

    Args:
        quiet: show nothing.
        names: of the costs, for people: `latency_ms:pi5` is `pi5`.
    """

    def __init__(self, quiet: bool = False, names: Mapping[str, str] | None = None) -> None:
        self._names = names or {}
        self._status: Status | None = None
        self._facts: list[tuple[str, str]] = []
        self._running: Sequence[Running] = ()
        self._began: tuple[int, float] | None = None
        self._last: float | None = None
        self._reported: float | None = None
        self._lines = not quiet and not errors.is_interactive
        self._live = (
            Live(get_renderable=self._panel, console=errors, refresh_per_second=4, transient=False)
            if not quiet and errors.is_interactive
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = ()
        if self._live is not None:
            self._live.stop()

    def report(self, status: Status) -> None:
        """Show a search's status; told again and again."""
        if self._live is not None:  # drawn more often than it changes
            self._facts = facts(status, self._names)
        self._status = status
        done = len(status.trained)
        if self._began is None:
            self._began = done, time.monotonic()
        if (done == status.trials and done) or _due(self._reported):
            self._line(headline(status, self._names))
            self._reported = self._last

    def running(self, steps: Sequence[Running]) -> None:
        """Show how far the candidates are that are being evaluated; without a terminal, now and then."""
        self._running = tuple(steps)
        if self._running and self._last is not None and _due(self._last):
            self._line(_steps(self._running))

    def _line(self, text: str) -> None:
        if not self._lines or self._status is None:
            return
        self._last = time.monotonic()
        done = f"training: {len(self._status.trained)} of {self._status.trials}"
        words = ", ".join(filter(None, [done, text, self._left()]))
        errors.print(shown(words), highlight=False, markup=False, soft_wrap=True)

    def _left(self) -> str:
        """The time left by the search's pace in this call."""
        if self._status is None or self._began is None:
            return ""
        first, began = self._began
        part = sum(step.done / step.total for step in self._running if step.total)
        done, trials = len(self._status.trained) + part, self._status.trials
        if not first < done < trials:
            return ""
        return f"about {duration((time.monotonic() - began) * (trials - done) / (done - first))} left"

    def _panel(self) -> RenderableType:
        status = self._status
        if status is None:
            return Text("search: beginning")
        done = len(status.trained)
        top = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(status.trials, 1), completed=done, width=_BAR)
        top.add_row(Text(f"trained {done} of {status.trials}", style="bold"), bar, Text(self._left()))
        lines = Table.grid(padding=(0, 2))
        lines.add_column(style="dim")
        lines.add_column(overflow="fold")
        for name, value in self._facts:
            lines.add_row(Text(name), Text(shown(value)))
        if self._running:
            lines.add_row(Text("training"), Text(_steps(self._running)))
        return Group(top, lines)


def _due(last: float | None) -> bool:
    return last is None or time.monotonic() - last > LINE_EVERY_S


def facts(status: Status, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a panel says of a search, by what it is about."""
    share = status.feasible_share
    counts = [f"{share:.0%} feasible"] if share is not None else []
    counts += [f"{count} {state}" for state, count in _apart(status)]
    volume = status.hypervolume
    front = f"{len(status.front)} network{'' if len(status.front) == 1 else 's'}"
    front += f", hypervolume {volume:.4g}" if volume is not None else ""
    found = [
        ("proposals", f"{len(status.results)}" + "".join(f", {text}" for text in counts)),
        ("front", front),
        (
            f"best {limits(status.goals, names)}",
            "none yet" if status.best is None else point(status, status.best, names),
        ),
    ]
    if status.factors:
        found.append(("correction", corrections(status.factors, names)))
    return found


def headline(status: Status, names: Mapping[str, str]) -> str:
    """The same in a line."""
    volume = status.hypervolume
    share = status.feasible_share
    best = status.best
    parts = [
        f"{share:.0%} feasible" if share is not None and status.count("infeasible") else "",
        *(f"{count} {state}" for state, count in _apart(status)),
        f"{len(status.front)} on the front",
        f"hypervolume {volume:.4g}" if volume is not None else "",
        "none under target yet" if best is None else f"best under target {point(status, best, names)}",
        f"correction {corrections(status.factors, names)}" if status.factors else "",
    ]
    return ", ".join(filter(None, parts))


def _apart(status: Status) -> list[tuple[str, int]]:
    counts = (
        ("infeasible", status.count("infeasible")),
        ("failed", status.count("failed")),
        ("repeated", status.repeated),
    )
    return [(state, count) for state, count in counts if count]


def limits(goals: Sequence[Goal], names: Mapping[str, str]) -> str:
    """The targets, in words; those of named devices with their names."""
    texts = [amount(goal.cost, goal.target, names, "g") for goal in goals if goal.target is not None]
    return f"at or under {' and '.join(texts)}" if texts else "of all"


def point(status: Status, result: Result, names: Mapping[str, str]) -> str:
    """A candidate's accuracy and objectives, as they are on the devices."""
    costs = status.corrected(result)
    wanted = [goal.cost for goal in status.goals if goal.objective or goal.target is not None]
    texts = [amount(name, costs[name], names) for name in wanted]
    return f"{status.point(result)[0]:.1%} at {', '.join(texts)}"


def corrections(factors: Mapping[str, float], names: Mapping[str, str]) -> str:
    """By how much predictions are corrected: measured over predicted."""
    return ", ".join(f"{names.get(name, 'latency')} x {factor:.3g}" for name, factor in factors.items())


def amount(cost: str, value: float, names: Mapping[str, str], digits: str = ".3g") -> str:
    """A cost's figure with its unit, and its device where that has a name.

    Args:
        digits: of what is not counted; `g` for what was asked for.
    """
    kind = cost.partition(":")[0]
    unit = {"latency_ms": "ms", "energy_mj": "mJ", "file_bytes": "bytes", "memory_bytes": "bytes of memory"}
    text = f"{figure(cost, value, digits)} {unit.get(kind, kind)}"
    return f"{text} on {names[cost]}" if cost in names else text


def figure(cost: str, value: float, digits: str = ".3g") -> str:
    """A cost's figure without its unit: what is counted to the last one, what is measured to three digits."""
    counted = cost.partition(":")[0] in {"parameters", "file_bytes", "memory_bytes"}
    return f"{value:,.0f}" if counted else f"{value:{digits}}"


def _steps(running: Sequence[Running]) -> str:
    texts = [
        f"#{step.number} {step.done}/{step.total}" if step.total else f"#{step.number} starting"
        for step in running[:SHOWN]
    ]
    more = len(running) - SHOWN
    return "  ".join([*texts, f"and {more} more"] if more > 0 else texts)
