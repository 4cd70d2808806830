"""`mnas demo`: the whole way from a latency table to a plot, in minutes. Opens, calls and prints."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from devices.plan import Plan
from mnas.cli.app import Exit, errors
from mnas.cli.finalize import Display, finalized
from mnas.cli.report import present
from mnas.cli.search import searched

if TYPE_CHECKING:
    from mnas.run import RunDirectory

SPACE, RESOLUTION, WIDTH, DATASET = "mnasnet-small-images", 32, 0.5, "digits"
TRIALS, STEPS = 12, 40
FINALISTS, EPOCHS, SEEDS = 3, 10, 2
BASELINES = ("mobilenetv2-0.25", "mobilenetv2-0.5")
MEASURING = Plan(passes=8, min_runs=20, min_time_s=0.1)
#: random networks of the space, whose median predicted latency is the target
SAMPLED = 200


def register(app: typer.Typer) -> None:
    """Add `mnas demo`."""
    app.command("demo")(demo)


def demo(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The run's directory; the table goes beside it.")
    ] = Path("runs/demo"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; fields are in docs/json.md.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no warnings.")] = False,
) -> int:
    """Search networks for this machine's own latency, on handwritten digits, in a few minutes and offline.

    Makes a latency table, trains 12 candidates, trains 3 of them longer beside
    MobileNetV2 at 2 widths, exports, measures and tests them, and plots it all.
    The same command goes on where an ended one stopped.

    Example: mnas demo
    """
    from mnas.finalists.finalize import FinalPlan, longer
    from mnas.reports.report import write_report
    from mnas.run import read_run

    began = time.monotonic()
    if (output / "config.toml").exists():
        written = write_report(read_run(output))
        if written.summary.networks and not written.summary.missing:
            _say(f"{output} is complete; remove it to run the demo again", quiet)
            present(written, as_json=as_json, quiet=quiet)
            return Exit.FAILURES if written.summary.troubles else Exit.DONE
    _say(f"1 of 3: measuring the operators of {SPACE} on this machine", quiet)
    table = output.with_name(f"{output.name}-table.db")
    _build(table, quiet)
    with _opened(output, table) as run:
        _say(f"2 of 3: searching networks of at most {run.config.target_ms:g} ms for {DATASET}", quiet)
        searched(run, quiet)
        _say("3 of 3: training the best longer, beside MobileNetV2; exporting, measuring, testing", quiet)
        plan = FinalPlan(
            finalists=FINALISTS,
            seeds=SEEDS,
            baselines=BASELINES,
            training=longer(run.config, epochs=EPOCHS),
            measuring=MEASURING,
        )
        written = finalized(run, plan, quiet=quiet)
    _say(f"done in {time.monotonic() - began:.0f} s", quiet)
    present(written, as_json=as_json, quiet=quiet)
    return Exit.FAILURES if written.summary.troubles else Exit.DONE


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        errors.print(f"[bold]{escape(text)}[/]", highlight=False, soft_wrap=True)


def _build(path: Path, quiet: bool) -> None:
    """Build the latency table, as far as it is not there yet."""
    from devices.registry import open_device
    from latency_tables.build import PLAN, build
    from mnas.data import open_dataset
    from mnas.tables import TableRequest, open_or_create

    dataset = open_dataset(DATASET)
    request = TableRequest.for_space(
        SPACE, resolution=RESOLUTION, width=WIDTH, channels=dataset.channels, classes=len(dataset.labels)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        closing(open_device("local")) as device,
        open_or_create(path, request, device) as table,
        Display(quiet) as display,
    ):
        build(table, device, PLAN, lambda at: display.report("profiling networks", at.done, at.total))


@contextmanager
def _opened(path: Path, table: Path) -> Iterator[RunDirectory]:
    from mnas.job import begin
    from mnas.run import make_run, read_run

    if (path / "config.toml").exists():
        config = read_run(path).config
    else:
        given = {"dataset": DATASET, "table": str(table), "target_ms": _target_ms(table), "trials": TRIALS}
        config = begin(given, {"steps": STEPS})
    with make_run(path, config, table) as run:
        yield run


def _target_ms(path: Path) -> float:
    """A target that half of the space's networks reach, whatever the machine."""
    from statistics import median

    from latency_tables.store import LatencyTable
    from mnas import spaces
    from mnas.latency import TableLatency
    from mnas.tables import TableRequest

    with LatencyTable.open(path) as table:
        space = TableRequest.of_table(table).space_of()
        latency = TableLatency(table)
        rng = random.Random(0)
        drawn = [latency.predict_ms(space.decode(spaces.sample(space, rng))) for _ in range(SAMPLED)]
    return float(f"{median(drawn):.2g}")
