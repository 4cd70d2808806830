"""What commands print: results on standard output, progress and warnings on standard error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from rich import box
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mnas.cli.app import Interrupted, errors
from mnas.cli.text import escape, shown
from mnas.errors import BadInput

#: seconds between two lines of progress where there is no terminal
LINE_EVERY_S = 15.0
#: columns where lines end in a file or another program: more than any line has
_UNWRAPPED = 100_000


def print_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON document on standard output; figures that are not finite are refused, not printed."""
    print_line(json.dumps(document, indent=2, allow_nan=False))


def print_line(text: str) -> None:
    """Print plain text on standard output."""
    with _results():
        sys.stdout.write(f"{shown(text)}\n")
        sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], texts: int = 1) -> None:
    """Print a table on standard output; columns after the first `texts` are aligned to the right."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= texts else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    print_rich(table)


def interval(low_ms: float | None, high_ms: float | None) -> str:
    """A predicted latency's 90 % interval as a cell of a table; `-` where there is none."""
    return "-" if low_ms is None or high_ms is None else f"{low_ms:.2g}-{high_ms:.2g}"


def print_rich(item: RenderableType) -> None:
    """Print what `rich` renders on standard output.

    Where that is no terminal, no line is wrapped or cut, unless COLUMNS says how many there are.
    """
    console = Console(file=sys.stdout, emoji=False)
    with _results():
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = _UNWRAPPED
            if isinstance(item, Table) and item.title:  # which would be wrapped at the table's width
                console.print(item.title, highlight=False)
                item.title = None
        console.print(item, highlight=False)


@contextmanager
def _results() -> Iterator[None]:
    """Say that it is standard output which cannot be written: the system's errors do not name it."""
    try:
        yield
    except BrokenPipeError:  # whoever read has seen enough
        raise
    except OSError as error:
        raise BadInput(f"cannot write to standard output: {error.strerror}") from error


class Display:
    """Progress of named steps on standard error: a bar each on a terminal, else a line now and then.

    Both have the count and the time left; `quiet` shows nothing. Steps may run side by side, in threads.

    Args:
        log: given those lines too, whatever standard error is and also when quiet.
    """

    def __init__(self, quiet: bool = False, log: Callable[[str], None] | None = None) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=errors,
            disable=quiet or not errors.is_interactive,
        )
        on_screen = not quiet and not errors.is_interactive
        self._lines = [say for say, wanted in ((_say, on_screen), (log, log)) if say and wanted]
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}
        self._began: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, step: str, done: float, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of a step are done, and what there is to say of them."""
        described = shown(f"{step}: {note}" if note else step)
        self._bars.update(self._task(step), completed=done, total=total, description=described)
        if not self._lines:
            return
        now = time.monotonic()
        at = self._last.get(step)
        if at is None or now - at > LINE_EVERY_S or (done == total and total > 1):
            self._last[step] = now
            part = f"{done:.1f}".removesuffix(".0")
            words = [f"{step}: {part} of {total}", note, self._left(step, done, total)]
            for say in self._lines:
                say(", ".join(filter(None, words)))

    def part(self, step: str, done: int, total: int) -> None:
        """Show a part of the current step while it lasts; on a terminal only."""
        self._bars.update(self._task(step), completed=done, total=total, visible=done < total)

    def _task(self, step: str) -> TaskID:
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(shown(step), total=None)
        return self._tasks[step]

    def _left(self, step: str, done: float, total: int) -> str:
        """The time left by the step's own pace so far, in this call."""
        first, began = self._began.setdefault(step, (done, time.monotonic()))
        if not first < done < total:
            return ""
        return f"about {duration((time.monotonic() - began) * (total - done) / (done - first))} left"


def _say(line: str) -> None:
    errors.print(shown(line), highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """A time for people: seconds, minutes or hours."""
    minutes = round(seconds / 60)
    return (
        f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    )


@contextmanager
def keeping(how_to_go_on: str) -> Iterator[None]:
    """Around work that is kept as it comes: when it is interrupted, say that, and how to go on.

    Raises:
        Interrupted: in place of KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"everything measured so far is kept; {how_to_go_on}") from None


def warn(text: str) -> None:
    """Print a warning on standard error."""
    errors.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
