"""How far off are predictions of latency by a table, and by what one would use instead, on unseen networks?

The `mnasnet` space at 224 and 96 pixels, float32 and int8, one thread of the local device. The first run
builds the four tables; every run validates them on networks that no run before has seen, among which it
measures the anchors, and judges by the same passes: the table re-anchored, the table as it is, the sum of
blocks measured alone (once-for-all's way), the sum of operators measured alone, ridge regression on operator
counts, and multiply-accumulates, each with one factor from the anchors. Runs are kept in a file, and all of
it is judged.

Goals, with 30 networks or more in each line: mean absolute error at most 2 % (224 float32), 2.5 % (int8),
3.5 % (96 float32); all (224 float32) or 95 % of the networks within 10 %; Spearman 0.99 (224 float32), 0.98.
Errors are judged over the networks of all runs together. Where the noise floor of every run is above a
line's goal, it holds with errors of at most 1.2 times that floor, if three runs made at different times stand
in the file. Intervals of 90 %, pooled over two runs at different
times and 200 predictions or more: 85 to 95 % of them hold, at most four times as wide as a perfect
predictor's.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import Verdict, at_least, finish, options, say, start

from devices.device import Device
from devices.errors import DeviceTrouble
from devices.registry import open_device
from latency_tables.build import PLAN as BUILD_PLAN
from latency_tables.build import Adaptive, build
from latency_tables.judging.interleaved import Progress
from latency_tables.store import LatencyTable
from latency_tables.validate import PLAN, Keeping, briefly, validate
from mnas.errors import BadInput
from mnas.journal import Journal
from mnas.jsonl import append_jsonl, read_jsonl
from mnas.reports.validation import Validated, headline, write_validation
from mnas.reports.validation_json import to_json
from mnas.spaces.layers import Layers
from mnas.tables import TableRequest, held_out, open_or_create

SPACE: dict[str, Any] = {"name": "mnasnet"}
TINY_SPACE = {"name": "mnasnet-small-images", "width": 0.05, "classes": 10, "anchors": 2}
#: one run after another counts as made at a different time when it begins this much later
APART_S = 600.0
LEAST_NETWORKS, LEAST_PREDICTIONS = 30, 200
FLOORS, FLOOR_RUNS = 1.2, 3
COVERAGE, WIDTHS = (85.0, 95.0), 4.0


@dataclass(frozen=True, slots=True)
class Line:
    """A table, and what is asked of it."""

    resolution: int
    dtype: str
    mape_percent: float
    within_10_percent: float
    spearman: float

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.resolution}-{self.dtype}"


LINES = (
    Line(224, "float32", 2.0, 100.0, 0.99),
    Line(224, "int8", 2.5, 95.0, 0.98),
    Line(96, "float32", 3.5, 95.0, 0.98),
    Line(96, "int8", 2.5, 95.0, 0.98),
)
TINY = (Line(28, "int8", 100.0, 0.0, -1.0),)


@dataclass(frozen=True, slots=True)
class Entry:
    """One table's validation in one run: the document that `mnas table validate --json` prints."""

    run: int
    line: str
    found: dict[str, Any]

    @property
    def started(self) -> datetime:
        """When its first pass began."""
        return datetime.fromisoformat(self.found["started_at"])


def read(path: Path) -> list[Entry]:
    """The entries of the file of runs, oldest first."""
    return [Entry(one["run"], one["line"], one["found"]) for one in read_jsonl(path)]


def next_run(entries: Sequence[Entry], lines: Sequence[Line]) -> int:
    """The number of the run to make: the last one if it was not ended, else a new one."""
    last = max((one.run for one in entries), default=0)
    done = {one.line for one in entries if one.run == last}
    return last if last and not done >= {line.name for line in lines} else last + 1


def measure(line: Line, run: int, device: Device, arguments: Namespace) -> Entry:
    """Build the line's table where it is not complete, validate it, write the report."""
    request = TableRequest.for_space(**arguments.space, resolution=line.resolution, dtype=line.dtype)
    folder = arguments.folder / f"run-{run}" / line.name
    with open_or_create(arguments.folder / f"{line.name}.db", request, device) as table:
        if not table.ready or table.missing():
            _build(table, device, arguments)
        plan = replace(PLAN, passes=arguments.passes, seed=run)
        where = (device.facts.address, device.settings)
        with (
            Journal.held(folder / "networks.jsonl", *where, plan) as networks,
            Journal.held(folder / "alone.jsonl", *where, briefly(plan)) as alone,
        ):
            found = validate(
                table,
                held_out(table, arguments.networks, run),
                device,
                plan,
                blocks=None if arguments.plain else Layers(request.space_of(), line.dtype),
                keeping=Keeping(networks, alone),
                on_progress=lambda at: _tell(arguments, line, at),
            )
        for failure in found.failures:
            say(arguments, f"{line.name}: {failure.model}: {failure.message}")
        result = Validated(table.address, device.facts, device.settings, found)
    write_validation(result, folder)
    return Entry(run, line.name, to_json(result.table, device.facts.address, headline(found), found))


def _build(table: LatencyTable, device: Device, arguments: Namespace) -> None:
    plan = BUILD_PLAN if not arguments.tiny else replace(BUILD_PLAN, passes=1, min_runs=3, min_time_s=0.0)
    report = build(table, device, plan, adaptive=None if arguments.tiny else Adaptive())
    say(arguments, f"{table.address}: {report.operators} operators in {report.seconds:.0f} s")
    if report.missing:
        raise DeviceTrouble(f"{table.address} lacks {len(report.missing)} operators: {report.missing[0]}")


def _tell(arguments: Namespace, line: Line, at: Progress) -> None:
    if at.total and at.done % max(1, at.total // 4) == 0:
        say(arguments, f"{line.name}: {at.done} of {at.total} passes")


def rows(entries: Sequence[Entry], lines: Sequence[Line]) -> Iterable[str]:
    """The predictors' table in Markdown: a line for each table, run and method."""
    yield "| table | run | predictor | MAPE % | bias % | within 5 % | within 10 % | Spearman | Kendall |"
    yield f"| --- | --- | --- |{' ---: |' * 6}"
    for line in lines:
        for entry in (one for one in entries if one.line == line.name):
            for method in entry.found["methods"]:
                yield _row(line.name, entry.run, method["method"], method)
            floor = entry.found["noise_floor_percent"]
            yield f"| {line.name} | {entry.run} | noise floor | {floor:.2f} | | | | | |"


def _row(name: str, run: int, what: str, scores: dict[str, Any]) -> str:
    keys = ("mape_percent", "bias_percent", "within_5_percent", "within_10_percent", "spearman", "kendall")
    forms = ("{:.2f}", "{:+.2f}", "{:.0f}", "{:.0f}", "{:.4f}", "{:.3f}")
    cells = [
        "-" if scores[key] is None else form.format(scores[key])
        for key, form in zip(keys, forms, strict=True)
    ]
    return f"| {name} | {run} | {what} | {' | '.join(cells)} |"


def judge_line(line: Line, entries: Sequence[Entry]) -> Verdict:
    """Whether a table's predictions are good enough: over the networks of all runs, or each by its floor."""
    mine = [one for one in entries if one.line == line.name]
    if not mine:
        return Verdict(False, f"{line.name}: no run")
    found = [one.found for one in mine]
    counts = [one["networks"] for one in found]
    mape = float(np.average([one["mape_percent"] for one in found], weights=counts))
    within = float(np.average([one["within_10_percent"] for one in found], weights=counts))
    ranked = min(one["spearman"] or 0.0 for one in found) >= line.spearman
    plain = mape <= line.mape_percent and within >= line.within_10_percent and ranked
    by_floor = at_different_times(mine) >= FLOOR_RUNS and all(
        one["noise_floor_percent"] > line.mape_percent
        and one["mape_percent"] <= FLOORS * one["noise_floor_percent"]
        for one in found
    )
    enough = min(counts) >= LEAST_NETWORKS
    rule = ", by the noise floor of each run" if by_floor and not plain else ""
    words = "; ".join(map(_words, found))
    together = f"{mape:.2f} % over {sum(counts)} networks, {within:.0f} % within 10 %"
    goal = f"{line.mape_percent:g} %, {line.within_10_percent:g} % within 10 %, Spearman {line.spearman:g}"
    return Verdict(
        enough and (plain or by_floor),
        f"{line.name}: {together}{rule} (goal: {goal}, {LEAST_NETWORKS} networks in a run); runs: {words}",
    )


def _words(found: dict[str, Any]) -> str:
    return (
        f"{found['mape_percent']:.2f} % (floor {found['noise_floor_percent']:.2f} %), "
        f"{found['within_10_percent']:.0f} % within 10 %, Spearman {found['spearman'] or 0.0:.4f}, "
        f"{found['networks']} networks"
    )


def at_different_times(entries: Iterable[Entry]) -> int:
    """How many of the entries' runs began `APART_S` or more after the one counted before."""
    count = 0
    last: datetime | None = None
    for begin in sorted(one.started for one in entries):
        if last is None or (begin - last).total_seconds() >= APART_S:
            count, last = count + 1, begin
    return count


def judge_intervals(lines: Sequence[Line], entries: Sequence[Entry]) -> Verdict:
    """Whether intervals hold what they promise, pooled over all entries."""
    inside, widths, perfect = [], [], []
    for entry in entries:
        for one in entry.found["details"]:
            if one["low_ms"] is None or one["high_ms"] is None:
                continue
            inside.append(one["low_ms"] <= one["measured_ms"] <= one["high_ms"])
            widths.append(100 * (one["high_ms"] - one["low_ms"]) / one["measured_ms"])
            perfect.append(entry.found["interval"]["perfect_width_percent"])
    if not inside:
        return Verdict(False, "no intervals")
    coverage = 100 * float(np.mean(inside))
    ratio = float(np.mean(widths) / np.mean(perfect)) if np.mean(perfect) > 0 else float("inf")
    least = min(at_different_times(one for one in entries if one.line == line.name) for line in lines)
    met = (
        COVERAGE[0] <= coverage <= COVERAGE[1]
        and ratio <= WIDTHS
        and len(inside) >= LEAST_PREDICTIONS
        and least >= 2
    )
    return Verdict(
        met,
        f"{coverage:.1f} % of {len(inside)} intervals from {least} runs at different times hold (goal: "
        f"{COVERAGE[0]:g} to {COVERAGE[1]:g} % of {LEAST_PREDICTIONS} or more from 2), {ratio:.2f} times as "
        f"wide as a perfect predictor's (goal: {WIDTHS:g})",
    )


def main() -> None:
    """Measure a run, print all of them, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("tables/predictors"), help="tables, reports and runs.jsonl"
    )
    parser.add_argument("--networks", type=at_least(3), default=30, help="in each table's run (default 30)")
    parser.add_argument("--passes", type=at_least(1), default=5, help="over them (default 5)")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="only the table's own predictions: no operators and blocks alone, a quarter of the time",
    )
    parser.add_argument("--judge", action="store_true", help="measure nothing: judge the runs that there are")
    arguments = parser.parse_args()
    arguments.space = SPACE
    if arguments.tiny:
        with TemporaryDirectory() as folder:
            arguments.folder, arguments.space = Path(folder), TINY_SPACE
            arguments.networks, arguments.passes = 3, 1
            run(arguments, TINY)
    run(arguments, LINES)


def run(arguments: Namespace, lines: Sequence[Line]) -> None:
    """Make a run, print the table, judge, and leave."""
    path = arguments.folder / "runs.jsonl"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    entries = read(path)
    if arguments.judge and not entries:
        raise BadInput(f"there are no runs in {path}: leave --judge out to make one")
    if not arguments.judge:
        number = next_run(entries, lines)
        done = {one.line for one in entries if one.run == number}
        with closing(open_device("local")) as device:
            for line in lines:
                if line.name not in done:
                    entry = measure(line, number, device, arguments)
                    append_jsonl(path, {"run": number, "line": entry.line, "found": entry.found})
                    entries.append(entry)
                    say(arguments, f"{line.name}: {entry.found['headline']}")
    for row in rows(entries, lines):
        say(arguments, row)
    verdicts = [*(judge_line(line, entries) for line in lines), judge_intervals(lines, entries)]
    for verdict in verdicts:
        say(arguments, f"{'met' if verdict.met else 'MISSED'}: {verdict.text}")
    missed = [verdict.text for verdict in verdicts if not verdict.met]
    finish(
        arguments,
        {
            "runs": [{"run": one.run, "table": one.line, **_brief(one.found)} for one in entries],
            "goals": [{"met": verdict.met, "text": verdict.text} for verdict in verdicts],
        },
        Verdict(
            not missed,
            f"{len(verdicts) - len(missed)} of {len(verdicts)} goals met"
            + (f"; missed: {'; '.join(missed)}" if missed else ""),
        ),
    )


def _brief(found: dict[str, Any]) -> dict[str, Any]:
    """A validation without what is said network by network."""
    methods = [
        {key: value for key, value in one.items() if key != "predicted_ms"} for one in found["methods"]
    ]
    left_out = {"details", "operators", "methods"}
    return {**{key: value for key, value in found.items() if key not in left_out}, "methods": methods}


if __name__ == "__main__":
    start(main)
