"""The tool's tables of operators, line by line. Knows columns and sections, nothing of latencies.

Two sections, initialisation and regular runs, print the same tables with the same headers: the operators in
execution order, the slowest ones again, and a sum by type. Only the first table of each section is read. Some
versions have a column `[start]`, some do not; tabs may have become spaces on the way.
"""

from __future__ import annotations

import re

from devices.errors import UnreadableOutput
from devices.runners.benchmark_model.lines import figures, number
from devices.runners.benchmark_model.values import Operator

MOST_ROWS = 100_000
_BLANKS = re.compile(r"[ \t]+")
_TIME = r" (-?\d{1,12}\.\d{3})"
_SHARE = r" (-?(?:\d{1,12}\.\d{3}|nan|inf))%"
_REST = rf"{_TIME}{_SHARE}{_SHARE}{_TIME} (\d{{1,12}})(?: |$)"  # average, %, cdf %, memory, times called
_ROW_WITH_START = re.compile(rf"{_TIME}{_TIME}{_REST}")
_ROW = re.compile(rf"{_TIME}{_REST}")
_EXECUTED = re.compile(r"Number of nodes executed: (\d{1,9})")
_TIMINGS = "Timings (microseconds): "


class _Table:
    """One table in execution order, as far as it was printed."""

    def __init__(self, header: str) -> None:
        self.row = _ROW_WITH_START if "[start]" in header else _ROW
        self.rows: list[tuple[str, str, float, float | None, int]] = []
        self.mean_ms: float | None = None

    def take(self, line: str) -> None:
        """Take a line that may be a row."""
        text = _BLANKS.sub(" ", line)
        found = self.row.search(text)
        if not found or not found.start():
            return
        *_, mean, share, _, _, called = found.groups()
        mean_ms = number(mean)
        if mean_ms is None or len(self.rows) >= MOST_ROWS:
            raise UnreadableOutput(f"a row of the table of operators cannot be: {text[:200]}")
        self.rows.append((text[: found.start()], text[found.end() :], mean_ms, number(share), int(called)))

    def close(self, line: str) -> bool:
        """Take a line that may tell what the table sums up to; whether it did."""
        if executed := _EXECUTED.fullmatch(line):
            if int(executed[1]) != len(self.rows):
                raise UnreadableOutput(
                    f"the table of operators has {len(self.rows)} rows that can be read, and should have "
                    f"{executed[1]}"
                )
        elif line.startswith(_TIMINGS):
            told = figures(line.removeprefix(_TIMINGS)) or {}
            mean_us = told.get("avg", told.get("curr"))
            self.mean_ms = None if mean_us is None else mean_us / 1000
        else:
            return False
        return True

    def operators(self, delegates: frozenset[str]) -> tuple[Operator, ...]:
        """The rows as values.

        A version of 2018 counts no call at all; then a call is a run. Elsewhere 0 calls are fewer than one in
        each run, and the row's share of the mean of all runs is its time.
        """
        counted = any(row[4] for row in self.rows)
        found = []
        for index, (kind, name, mean_ms, share, called) in enumerate(self.rows):
            if called:
                total_ms = mean_ms * called
            elif counted and share is not None and self.mean_ms is not None:
                total_ms = share / 100 * self.mean_ms
            else:
                total_ms = mean_ms
            delegated = name.startswith("Delegate/") or kind in delegates or kind.upper() == "DELEGATE"
            found.append(Operator(index, kind, name, mean_ms, called, total_ms, delegated))
        return tuple(found)


class Tables:
    """Takes lines as they come; afterwards has the operators of both sections."""

    def __init__(self) -> None:
        self._section: str | None = "regular"
        self._tables: dict[str, _Table] = {}
        self._collecting = False

    def take(self, line: str) -> None:
        """Take one line, whatever it is.

        Raises:
            UnreadableOutput: a table says that it has more rows, or fewer, than it has.
        """
        if line.endswith(":") and self._heading(line):
            self._collecting = False
        elif line.startswith("[node type]") and "[times called]" in line:
            self._collecting = self._section is not None and self._section not in self._tables
            if self._section is not None and self._collecting:
                self._tables[self._section] = _Table(line)
        elif line.startswith("[Node type]"):
            self._collecting = False
        elif self._section in self._tables:
            table = self._tables[self._section]
            if table.close(line):
                self._collecting = False
            elif self._collecting:
                table.take(line)

    def operators(self, section: str, delegates: frozenset[str] = frozenset()) -> tuple[Operator, ...]:
        """Operators of a section, `regular` or `initialisation`.

        Args:
            section: its name.
            delegates: names of delegates, which are the kinds of the nodes that they run.
        """
        return self._tables[section].operators(delegates) if section in self._tables else ()

    def _heading(self, line: str) -> bool:
        if line.endswith("Profiling Info for Benchmark Initialization:"):
            section: str | None = "initialisation"
        elif line.endswith("Profiling Info for Regular Benchmark Runs:"):
            section = "regular"
        elif line.startswith("Delegate internal"):
            section = None
        else:
            return False
        # what a called graph or a delegate does within is in the time of the node that called it
        self._section = None if line.startswith("Subgraph") else section
        return True
