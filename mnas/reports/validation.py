"""A validation as a page to read in a minute: a sentence, a table, a picture. Computes no figure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.measurement import DeviceFacts, Settings
from latency_tables.judging.residuals import Blame, Trend
from latency_tables.judging.validation import Method, Validation
from mnas.jsonl import write_whole
from mnas.reports.validation_json import to_json
from mnas.reports.validation_plot import draw

#: kinds and operators that are listed
LISTED = 5
#: an error is worth a line where it exceeds this many of its standard errors
NOTABLE = 2.0


@dataclass(frozen=True, slots=True)
class Validated:
    """A validation and what it is of."""

    table: str
    facts: DeviceFacts
    settings: Settings
    found: Validation


@dataclass(frozen=True, slots=True)
class Files:
    """What was written."""

    markdown: Path
    json: Path
    png: Path


def write_validation(one: Validated, folder: Path) -> Files:
    """Write `validation.md`, `validation.json` and `validation.png` into a folder; each is replaced whole.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(*(folder / f"validation.{suffix}" for suffix in ("md", "json", "png")))
    document = to_json(one.table, one.facts.address, headline(one.found), one.found)
    draft = files.png.with_name("draft-validation.png")
    draw(one.found, title(one), headline(one.found), [draft])
    draft.replace(files.png)
    write_whole(files.json, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())
    write_whole(files.markdown, to_markdown(one, files.png.name).encode())
    return files


def title(one: Validated) -> str:
    """What the page is about."""
    return f"How far to trust {Path(one.table).name or one.table}"


def headline(found: Validation) -> str:
    """The one sentence."""
    scores, intervals = found.scores, found.intervals
    table = "the table" if found.reanchored else "the table as it is"
    words = (
        f"On {_networks(scores.networks)} that it had not seen, {table} was off by "
        f"{scores.mape_percent:.2f} % on average and by {scores.worst_percent:.1f} % at most"
    )
    if intervals is not None:
        words += (
            f"; {intervals.held} of {intervals.networks} lay within their 90 % interval of "
            f"±{intervals.width_percent / 2:.1f} %"
        )
    return f"{words}; one network measured twice differs by {found.noise.floor_percent:.2f} %."


def older(found: Validation) -> str:
    """That passes are from before the table's last anchoring, and what follows."""
    at = found.circumstances
    count = "1 pass that was kept is" if at.older == 1 else f"{at.older} passes that were kept are"
    return (
        f"{count} older than the table's last anchoring: the table as it is has in its error what has "
        "changed until then, and of drift they say nothing; another folder begins anew"
    )


COLUMNS = ("predictor", "mean error", "bias", "worst", "within 5 %", "within 10 %", "Spearman", "Kendall")


def rows(found: Validation) -> Iterator[tuple[str, ...]]:
    """The table of methods, best known first; cells as texts under `COLUMNS`."""
    for method in found.methods:
        yield _row(method, len(found.details))
    floor = found.noise.floor_percent
    yield ("noise floor", f"{floor:.2f} %", *[""] * (len(COLUMNS) - 2))


def _row(method: Method, networks: int) -> tuple[str, ...]:
    scores = method.scores
    if scores is None:
        return (f"{method.name} ({method.why_not})", *["-"] * (len(COLUMNS) - 1))
    some = f" ({scores.networks} of {networks} networks)" if scores.networks < networks else ""
    return (
        method.name + some,
        f"{scores.mape_percent:.2f} %",
        f"{scores.bias_percent:+.2f} %",
        f"{scores.worst_percent:.1f} %",
        f"{scores.within_5_percent:.0f} %",
        f"{scores.within_10_percent:.0f} %",
        "-" if scores.spearman is None else f"{scores.spearman:.4f}",
        "-" if scores.kendall is None else f"{scores.kendall:.3f}",
    )


def to_markdown(one: Validated, picture: str) -> str:
    """The page.

    Args:
        picture: the file beside it.
    """
    found = one.found
    lines = [f"# {title(one)}", "", f"**{headline(found)}**", ""]
    lines += _table(COLUMNS, list(rows(found)))
    lines += ["", f"![Predicted against measured, and what is left]({picture})", ""]
    lines += [*(f"- {line}" for line in _notes(found)), ""]
    lines += _blamed(found)
    lines += ["## How it was measured", "", *(f"- {line}" for line in _circumstances(one)), ""]
    return "\n".join(lines)


def _notes(found: Validation) -> Iterator[str]:
    intervals, noise = found.intervals, found.noise
    if intervals is not None:
        ratio = (
            ""
            if intervals.width_ratio is None
            else f", {intervals.width_ratio:.1f} times a perfect predictor's"
        )
        yield (
            f"**Intervals**: {intervals.coverage_percent:.0f} % of the networks lie within theirs (promised: "
            f"90 %); they are {intervals.width_percent:.1f} % wide on average{ratio}."
        )
    yield (
        f"**Noise floor**: two instances of a network, alike but for their weights, differ by "
        f"{noise.floor_percent:.2f} %. Errors are told from both together, so that a perfect predictor would "
        "be off by about half of that."
    )
    if found.speed_percent is not None:
        word = "slower" if found.speed_percent > 0 else "faster"
        yield (
            f"**Re-anchored**: by its {found.anchors} anchors, measured again in this run, the device was "
            f"{abs(found.speed_percent):.1f} % {word} than when the table was anchored. The table as it is "
            "has that in its error, re-anchored it has not."
        )
    yield f"**Depth**: {_trend(found.depth, 'from the shallowest to the deepest network')}"
    yield f"**Size**: {_trend(found.size, 'from the fewest to the most multiply-accumulates')}"


def _trend(trend: Trend | None, across: str) -> str:
    if trend is None:
        return "too few networks to tell."
    half = abs(trend.across_percent) * (
        (trend.high_percent - trend.low_percent) / 2 / abs(trend.slope_percent)
        if trend.slope_percent
        else 0.0
    )
    words = f"the error changes by {trend.across_percent:+.1f} ± {half:.1f} points {across}"
    return f"{words}: a trend." if trend.clear else f"{words}: no trend that can be told from chance."


def _blamed(found: Validation) -> list[str]:
    kinds, operators = _notable(found.kinds), _notable(found.operators)
    lines = ["## Whose figures seem off", ""]
    if not kinds and not operators:
        return [*lines, f"No kind and no operator by more than {NOTABLE:g} standard errors.", ""]
    lines += [
        "Judged by the errors of whole networks: hints, not measurements. Positive: the table's figures are "
        "too high. An operator's error is beyond that of its kind.",
        "",
    ]
    columns = (
        "kind or operator",
        "networks",
        "share of time",
        "figures off by",
        "adds to a prediction's error",
    )
    cells = [
        (
            f"`{one.of}`",
            str(one.networks),
            f"{one.share_percent:.1f} %",
            f"{one.error_percent:+.0f} ± {one.std_error_percent:.0f} %",
            f"{one.effect_percent:.2f} %",
        )
        for one in (*kinds, *operators)
    ]
    return [*lines, *_table(columns, cells), ""]


def _notable(blamed: Sequence[Blame]) -> list[Blame]:
    return [one for one in blamed if abs(one.error_percent) > NOTABLE * one.std_error_percent][:LISTED]


def _circumstances(one: Validated) -> Iterator[str]:
    found, facts = one.found, one.facts
    at = found.circumstances
    threads = f"{one.settings.threads} thread{'s' if one.settings.threads > 1 else ''}"
    yield (
        f"`{facts.address}`: {facts.cpu_model}, {facts.operating_system}, "
        f"{facts.runtime} {facts.runtime_version}, {one.settings.delegate}, {threads}."
    )
    passes = "1 pass" if at.passes == 1 else f"{at.passes} shuffled passes"
    yield (
        f"{_networks(len(found.details))} and {found.anchors} anchors as two instances each, in {passes}, "
        f"from {at.started_at} to {at.ended_at}. A latency is the median over passes of each one's lower "
        "quartile."
    )
    for line in at.crossed:
        yield f"In spite of a difference: {line}."
    if at.older:
        yield f"{older(found)}."
    if at.drift is not None:
        yield f"**The table is stale**: {at.drift}."
    for failure in at.failures:
        yield f"Not measured: {failure.model}: {failure.message}"


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    def line(parts: Sequence[str]) -> str:
        return f"| {' | '.join(part.replace('|', '&#124;') for part in parts)} |"

    ruler = ["---", *["---:"] * (len(columns) - 1)]
    return [line(columns), line(ruler), *map(line, cells)]


def _networks(count: int) -> str:
    return "1 network" if count == 1 else f"{count} networks"
