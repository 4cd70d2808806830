"""`mnas demo`: the whole way from a latency table to a plot, in minutes. Opens, calls and prints."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from devices.plan import Plan
from mnas.cli import search
from mnas.cli.app import Exit, errors
from mnas.cli.finalize import finalized
from mnas.cli.opening import opened
from mnas.cli.options import Bench, DeviceName, Json, Quiet, Wait
from mnas.cli.output import Display, keeping, warn
from mnas.cli.report import present
from mnas.cli.table.build import outcome
from mnas.cli.text import escape

if TYPE_CHECKING:
    from latency_tables.build import BuildReport
    from mnas.reports.report import Report
    from mnas.run import RunDirectory

DEFAULT = Path("runs/demo")
SPACE, RESOLUTION, WIDTH, DATASET = "mnasnet-small-images", 32, 0.5, "digits"
TRIALS, STEPS = 12, 40
FINALISTS, EPOCHS, SEEDS = 3, 10, 2
#: half of what a table has that is to be relied upon, which also has every operator in two networks
ANCHORS = 10
BASELINES = ("mobilenetv2-0.25", "mobilenetv2-0.5")
MEASURING = Plan(passes=8, min_runs=20, min_time_s=0.1)
#: random networks of the space, whose median predicted latency is the target
SAMPLED = 200


class _Where(NamedTuple):
    """The device to measure on, the inventory it is looked up in, and how long it is waited for."""

    device: str
    bench: Path | None
    wait_s: float


def register(app: typer.Typer) -> None:
    """Add `mnas demo`."""
    app.command("demo")(demo)


def demo(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The run's directory; the table goes beside it.")
    ] = DEFAULT,
    device: DeviceName = "local",
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search networks for this machine's latency, or -d's, on handwritten digits: minutes, and offline.

    Makes a latency table, trains 12 candidates, trains 3 of them longer beside
    MobileNetV2 at 2 widths, exports, measures and tests them, and plots it all.
    The same command goes on where an ended one stopped.

    Example: mnas demo
    """
    place, beside = _places(output)
    where = _Where(device, bench, wait)
    given = "" if device == "local" else f" -d {shlex.quote(device)}"
    given += "" if bench is None else f" --bench {shlex.quote(str(bench))}"
    given += "" if output == DEFAULT else f" -o {shlex.quote(str(output))}"
    began = time.monotonic()
    with keeping(f"go on with: mnas demo{given}"):
        written, codes = _complete(place) or (None, [])
        if written is not None:
            _say(f"{output} is complete; remove it to run the demo again", quiet)
        else:
            written, codes = _run(place, beside, where, quiet)
            _say(f"done in {time.monotonic() - began:.0f} s", quiet)
    if written is not None:
        present(written, as_json=as_json, quiet=quiet)
        codes += [Exit.FAILURES] if written.summary.troubles else []
    return max(codes, default=Exit.DONE)


def _places(output: Path) -> tuple[Path, Path]:
    """The run's directory and the table beside it.

    Raises:
        BadInput: there can be none; nothing is measured then.
    """
    from mnas.errors import BadInput
    from mnas.run import check_place

    place = output if output.name.strip(".") else output.resolve()
    if not place.name:
        raise BadInput(f"{output} has no place beside it for the table; name a directory, such as {DEFAULT}")
    check_place(place)
    return place, place.with_name(f"{place.name}-table.db")


def _complete(place: Path) -> tuple[Report, list[Exit]] | None:
    """What an earlier demo came to, and its failed candidates, which are listed; None unless it is done."""
    from mnas.reports.report import write_report
    from mnas.run import read_run
    from mnas.status import status_of

    if not (place / "config.toml").exists():
        return None
    run = read_run(place)
    written = write_report(run)
    if not written.summary.networks or written.summary.missing:
        return None
    status = status_of(run)
    return written, [search.outcome(run, status)]


def _run(place: Path, beside: Path, where: _Where, quiet: bool) -> tuple[Report | None, list[Exit]]:
    """The three parts; each lists what failed in it. No report where nothing can be trained for it."""
    from mnas.finalists.finalize import FinalPlan, longer

    _say(f"1 of 3: measuring the operators of {SPACE} on {_named(where.device)}", quiet)
    report, ready = _build(beside, where, quiet)
    codes = [outcome(report)]
    if not ready:
        warn(
            f"the latency table {beside} is incomplete, so nothing can be searched; the same command goes on"
        )
        return None, codes
    with _opened(place, beside, where) as run:
        _say(f"2 of 3: searching networks of at most {run.config.target_ms:g} ms for {DATASET}", quiet)
        status = search.searched(run, quiet, bench=where.bench, wait_s=where.wait_s)
        codes.append(search.outcome(run, status))
        if not status.trained:
            return None, codes
        _say("3 of 3: training the best longer, beside MobileNetV2; exporting, measuring, testing", quiet)
        plan = FinalPlan(
            finalists=FINALISTS,
            seeds=SEEDS,
            baselines=BASELINES,
            training=longer(run.config, epochs=EPOCHS),
            measuring=MEASURING,
        )
        return finalized(run, plan, quiet=quiet, bench=where.bench, wait_s=where.wait_s), codes


def _named(device: str) -> str:
    return "this machine" if device == "local" else device


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        errors.print(f"[bold]{escape(text)}[/]", highlight=False, soft_wrap=True)


def _build(path: Path, where: _Where, quiet: bool) -> tuple[BuildReport, bool]:
    """Build the latency table, as far as it is not there yet; whether it can be predicted from."""
    from latency_tables.build import PLAN, build
    from mnas.data import open_dataset
    from mnas.tables import TableRequest, open_or_create

    dataset = open_dataset(DATASET)
    request = TableRequest.for_space(
        SPACE,
        resolution=RESOLUTION,
        width=WIDTH,
        channels=dataset.channels,
        classes=len(dataset.labels),
        anchors=ANCHORS,
        cover_times=1,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        opened(where.device, bench=where.bench, wait_s=where.wait_s, quiet=quiet) as device,
        open_or_create(path, request, device) as built,
        Display(quiet) as display,
    ):
        report = build(
            built, device, PLAN, lambda at: display.report("profiling networks", at.done, at.total)
        )
        return report, built.ready


@contextmanager
def _opened(path: Path, beside: Path, where: _Where) -> Iterator[RunDirectory]:
    from mnas.run import make_run, read_run
    from mnas.search_settings import begin

    if (path / "config.toml").exists():
        config = read_run(path).config
    else:
        given = {"dataset": DATASET, "table": str(beside), "target_ms": _target_ms(beside), "trials": TRIALS}
        config = begin(given, {"steps": STEPS}, where.bench)
    with make_run(path, config, beside) as run:
        yield run


def _target_ms(path: Path) -> float:
    """A target that half of the space's networks reach, whatever the machine."""
    from statistics import median

    from latency_tables.store import LatencyTable
    from mnas import spaces
    from mnas.latency import TableLatency
    from mnas.tables import TableRequest

    with LatencyTable.open(path) as built:
        space = TableRequest.of_table(built).space_of()
        latency = TableLatency(built)
        rng = random.Random(0)
        drawn = [latency.predict_ms(space.decode(spaces.sample(space, rng))) for _ in range(SAMPLED)]
    return float(f"{median(drawn):.2g}")
