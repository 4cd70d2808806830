"""`mnas report`: what a run has shown so far, as a plot, tables and JSON. Opens, calls and prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json, Quiet
from mnas.cli.output import interval, print_json, print_line, print_table, warn

if TYPE_CHECKING:
    from mnas.reports.comparison import Bar, Comparison
    from mnas.reports.report import Report
    from mnas.reports.summary import Candidate, Summary


def register(app: typer.Typer) -> None:
    """Add `mnas report`."""
    app.command("report")(report)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Plot and summarise a run: its search, and its finalists beside the baselines.

    Writes pareto.csv, pareto.png, pareto.svg and summary.json into the run's
    directory, and gaps.png and gaps.svg if the search measured networks: how
    they were predicted. Works at any time, also while a search is running, and
    says what is missing.

    Example: mnas report runs/digits
    """
    from mnas.reports.report import write_report
    from mnas.run import read_run

    written = write_report(read_run(run))
    present(written, as_json=as_json, quiet=quiet)
    return Exit.FAILURES if written.summary.troubles else Exit.DONE


def present(written: Report, *, as_json: bool, quiet: bool) -> None:
    """Print a report: JSON, or tables and the paths to open; warnings on standard error."""
    from mnas.reports.summary_json import to_json

    summary = written.summary
    if as_json:
        print_json(to_json(summary))
    else:
        show(written)
    if not quiet:
        for note in summary.notes:
            warn(note)
    for trouble in summary.troubles:
        warn(f"{trouble.name}: {trouble.step} failed: {trouble.message}")


def show(written: Report) -> None:
    """Print a report for people."""
    from mnas.reports import gaps

    summary = written.summary
    if any(one.rated for one in summary.networks):
        _show_networks(summary)
    else:
        _show_candidates(summary)
    for line in gaps.lines(summary.gaps):
        print_line(line)
    for line in summary.missing:
        print_line(f"missing: {line}")
    for path in (written.png, written.svg, *written.gaps, written.csv, written.json):
        print_line(str(path))


def _show_candidates(summary: Summary) -> None:
    from mnas.reports.summary_json import by_latency

    front = [candidate for candidate in by_latency(summary.candidates) if candidate.on_front]
    print_table(
        f"Front of {len(summary.candidates)} trained candidates, {summary.run.config.dtype}",
        (
            "trial",
            "validation accuracy",
            "ms",
            "90 %",
            *(("x factor", "measured") if summary.gaps else ()),
            "",
        ),
        [
            (
                candidate.result.number,
                f"{candidate.result.point[0]:.2%}",
                f"{candidate.result.point[1]:.3g}",
                interval(candidate.result.low_ms, candidate.result.high_ms),
                *((_ms(candidate.corrected_ms), _ms(candidate.measured_ms)) if summary.gaps else ()),
                _marks(candidate, summary),
            )
            for candidate in front
        ],
    )


def _show_networks(summary: Summary) -> None:
    compared = {(comparison.network.name, dtype): comparison for dtype, comparison in summary.comparisons}
    measured = {
        one.final.measurement.context.facts.address for one in summary.networks if one.final.measurement
    }
    print_table(
        f"Test accuracy of the .tflite files in %, latency measured on {', '.join(sorted(measured))} in ms",
        (
            *("network", "type", "accuracy", "range", "ms", "pred.", "90 %"),
            *(("x factor",) if summary.gaps else ()),
            "vs base",
        ),
        [
            (
                one.final.name,
                one.final.dtype,
                "-" if one.accuracy is None else f"{100 * one.accuracy.middle:.2f}",
                _range(one.accuracy, len(one.final.accuracies)),
                "-" if one.latency_ms is None else f"{one.latency_ms.middle:.3g}",
                "-" if one.final.model.predicted_ms is None else f"{one.final.model.predicted_ms:.2g}",
                interval(one.final.model.predicted_low_ms, one.final.model.predicted_high_ms),
                *((_ms(one.corrected_ms),) if summary.gaps else ()),
                _difference(compared.get((one.final.name, one.final.dtype))),
            )
            for one in summary.networks
        ],
    )
    for line in _footnotes(summary):
        print_line(line)


def _footnotes(summary: Summary) -> Iterator[str]:
    target_ms = summary.run.config.target_ms
    for one in summary.networks:
        if one.best:
            yield f"best under {target_ms:g} ms: {one.final.name} {one.final.dtype}"
        if one.knee:
            yield f"knee of the finalists: {one.final.name} {one.final.dtype}"
    if not any(one.best for one in summary.networks):
        yield f"nothing measured takes {target_ms:g} ms or less"
    verdicts = {comparison.verdict for _, comparison in summary.comparisons}
    if any(comparison.baseline for _, comparison in summary.comparisons):
        yield "vs base: points of accuracy above the baselines at equal measured latency; * beyond the bars"
    if "no difference larger than the bars" in verdicts:
        yield "without *: no difference larger than the bars (range over seeds, latency quartiles)"
    if "no bars" in verdicts:
        yield "one seed gives no bars, so no difference is claimed"
    if "no baseline at this latency" in verdicts:
        yield "none: the baselines are all faster or all slower"
    correlation = summary.correlation
    figure = f"none ({correlation.reason})" if correlation.spearman is None else f"{correlation.spearman:.2f}"
    yield f"rank correlation of search and final accuracy (Spearman): {figure}, n = {correlation.n}"


def _marks(candidate: Candidate, summary: Summary) -> str:
    best = f"best under {summary.run.config.target_ms:g} ms" if candidate.best else ""
    return ", ".join(filter(None, (best, "knee" if candidate.knee else "")))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _range(bar: Bar | None, seeds: int) -> str:
    return "-" if bar is None or seeds < 2 else f"{100 * bar.low:.1f}-{100 * bar.high:.1f}"


def _difference(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    if comparison.difference is None:
        return "none"
    mark = " *" if comparison.verdict in {"higher", "lower"} else "  "
    return f"{100 * comparison.difference:+.2f}{mark}"
