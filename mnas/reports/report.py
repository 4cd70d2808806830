"""Writes what a run shows: pareto.csv, pictures and summary.json. Trains nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mnas.jsonl import write_whole
from mnas.pareto import front
from mnas.reports import gaps_plot
from mnas.reports.comparison import Bar
from mnas.reports.plot import Chart, Dot, Mark, draw
from mnas.reports.summary import Network, Summary, summarise
from mnas.reports.summary_json import to_json
from mnas.run import RunDirectory

COLUMNS = (
    "kind",
    "name",
    "dtype",
    "trial",
    "accuracy_split",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "seeds",
    "latency_source",
    "latency_ms",
    "latency_q25_ms",
    "latency_q75_ms",
    "predicted_ms",
    "predicted_low_ms",
    "predicted_high_ms",
    "corrected_ms",
    "parameters",
    "macs",
    "on_front",
    "knee",
    "best_under_target",
    "model_file",
    "architecture",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        gaps: pictures of predicted and measured latencies; none where the search measured nothing.
    """

    summary: Summary
    csv: Path
    png: Path
    svg: Path
    json: Path
    gaps: tuple[Path, ...] = ()


def write_report(run: RunDirectory) -> Report:
    """Summarise a run into its directory; files are replaced whole.

    Raises:
        BadRun: the run's files cannot be read.
    """
    summary = summarise(run)
    files = Report(
        summary,
        csv=run.path / "pareto.csv",
        png=run.path / "pareto.png",
        svg=run.path / "pareto.svg",
        json=run.path / "summary.json",
        gaps=tuple(run.path / name for name in ("gaps.png", "gaps.svg") if summary.gaps),
    )
    write_whole(files.csv, to_csv(summary).encode())
    chart = to_chart(summary)
    for path in (files.png, files.svg):
        _replace(path, partial(draw, chart))
    for path in files.gaps:
        _replace(path, partial(gaps_plot.draw, summary.gaps, f"{chart.title}: predicted and measured"))
    write_whole(files.json, (json.dumps(to_json(summary), indent=2, allow_nan=False) + "\n").encode())
    return files


def _replace(path: Path, drawn: Callable[[list[Path]], None]) -> None:
    draft = path.with_name(f"draft-{path.name}")
    drawn([draft])
    draft.replace(path)


def to_csv(summary: Summary) -> str:
    """One row per trained candidate, finalist and baseline; columns that do not apply are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(summary):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _rows(summary: Summary) -> Iterator[dict[str, Any]]:
    config = summary.run.config
    for candidate in summary.candidates:
        accuracy, latency_ms = candidate.result.point
        yield {
            "kind": "trial",
            "name": f"trial-{candidate.result.number}",
            "dtype": config.dtype,
            "trial": candidate.result.number,
            "accuracy_split": "validation",
            "accuracy": accuracy,
            "latency_source": config.latency,
            "latency_ms": latency_ms,
            "predicted_ms": latency_ms if config.latency == "table" else None,
            "predicted_low_ms": candidate.result.low_ms,
            "predicted_high_ms": candidate.result.high_ms,
            "corrected_ms": candidate.corrected_ms,
            "on_front": candidate.on_front,
            "knee": candidate.knee,
            "best_under_target": candidate.best,
            "architecture": candidate.result.architecture,
        }
    for one in summary.networks:
        yield {
            "kind": one.final.role,
            "name": one.final.name,
            "dtype": one.final.dtype,
            "trial": one.final.trial,
            "accuracy_split": "test",
            **_bar("accuracy", one.accuracy, ("", "_low", "_high")),
            "seeds": len(one.final.accuracies),
            "latency_source": "measured",
            **_bar("latency", one.latency_ms, ("_ms", "_q25_ms", "_q75_ms")),
            "predicted_ms": one.final.model.predicted_ms,
            "predicted_low_ms": one.final.model.predicted_low_ms,
            "predicted_high_ms": one.final.model.predicted_high_ms,
            "corrected_ms": one.corrected_ms,
            "parameters": one.parameters,
            "macs": one.macs,
            "knee": one.knee,
            "best_under_target": one.best,
            "model_file": one.final.model.file,
            "architecture": one.final.architecture,
        }


def _bar(name: str, bar: Bar | None, endings: tuple[str, str, str]) -> dict[str, float | None]:
    middle, low, high = endings
    return {
        f"{name}{middle}": None if bar is None else bar.middle,
        f"{name}{low}": None if bar is None else bar.low,
        f"{name}{high}": None if bar is None else bar.high,
    }


def _cell(value: object) -> object:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def to_chart(summary: Summary) -> Chart:
    """What the plot shows."""
    config = summary.run.config
    points = [candidate.result.point for candidate in summary.candidates]
    drawn = set(front(*zip(*points, strict=True)).tolist()) if points else set()  # of the two axes alone
    dots = tuple(
        Dot(latency_ms, accuracy, index in drawn, candidate.knee, candidate.best)
        for index, ((accuracy, latency_ms), candidate) in enumerate(
            zip(points, summary.candidates, strict=True)
        )
    )
    marks = tuple(
        Mark(_label(one), one.final.role, one.final.dtype, one.latency_ms, one.accuracy, one.knee, one.best)
        for one in summary.networks
        if one.latency_ms is not None and one.accuracy is not None
    )
    source = "predicted by the table" if config.latency == "table" else "measured while searching"
    return Chart(
        title=f"{config.space} at {config.resolution} pixels on {config.dataset}",
        subtitle=_subtitle(summary),
        dots=dots,
        marks=marks,
        target_ms=config.target_ms,
        searched=f"{config.dtype}, {source}, lower quartile",
        baselines=_baseline_label(summary.networks),
    )


def _label(one: Network) -> str:
    if one.final.trial is not None:
        return str(one.final.trial)
    return one.final.name.removeprefix("mobilenetv2-") if one.final.name != "mobilenetv2" else "1"


def _baseline_label(networks: Sequence[Network]) -> str:
    names = {one.final.name for one in networks if one.final.role == "baseline"}
    return "MobileNetV2" if all(name.startswith("mobilenetv2") for name in names) else "baseline"


def _subtitle(summary: Summary) -> str:
    config = summary.run.config
    first = f"{len(summary.candidates)} trained candidates, controller {config.controller}"
    measured = next((one.final.measurement for one in summary.networks if one.final.measurement), None)
    if measured is None:
        return f"{first} · {config.device}, {_threads(config.threads)}\nno finalists measured yet"
    context = measured.context
    seeds = sorted({len(one.final.accuracies) for one in summary.networks})
    span = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"{first} · {context.facts.cpu_model}, {_threads(context.settings.threads)}, {context.delegate}\n"
        f"on the right: bars are the range of {span} seed{'' if span == '1' else 's'} and latency quartiles, "
        "numbers are trials and baselines' widths"
    )


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"
