"""`mnas finalize`: train, export, measure and test a run's best. Opens, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import teller
from mnas.cli.options import Bench, Json, Quiet, Wait
from mnas.cli.output import Display, keeping
from mnas.cli.report import present

if TYPE_CHECKING:
    from mnas.finalists.finalize import FinalPlan
    from mnas.reports.report import Report
    from mnas.run import RunDirectory

BASELINES = "mobilenetv2-0.25,mobilenetv2-0.5,mobilenetv2-0.75"


def register(app: typer.Typer) -> None:
    """Add `mnas finalize`."""
    app.command("finalize")(finalize)


def finalize(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    *,
    finalists: Annotated[int, typer.Option(help="Candidates to take from the front.")] = 5,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the images; four times the search's if left out.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 3,
    baselines: Annotated[
        str, typer.Option(help="Known networks to set beside them, by commas; '' for none.")
    ] = BASELINES,
    batch_size: Annotated[int | None, typer.Option(help="Images in a training step.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", help="Where to measure; the search's if left out.")
    ] = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    int8_table: Annotated[
        Path | None,
        typer.Option(help="Latency table of int8, to predict int8 models where the search's is of float32."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start again; what an earlier one made is put aside.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a run's best longer, export them, measure them, and test them beside baselines.

    Finalists are spread along the front; the best under the target and the knee
    are always among them. Each is exported as float32 and int8. The same command
    goes on where an ended one stopped; more --finalists, --seeds or --baselines
    add to what is there. Stop other programs while it measures.

    Example: mnas finalize runs/digits --finalists 3 --epochs 60 --seeds 3
    """
    from mnas.finalists.finalize import FinalPlan, longer
    from mnas.run import open_run

    names = tuple(name.strip() for name in baselines.split(",") if name.strip())
    with open_run(run) as opened:
        plan = FinalPlan(
            finalists=finalists,
            seeds=seeds,
            baselines=names,
            training=longer(opened.config, epochs, batch_size),
            int8_table=int8_table,
        )
        again = "repeat the command, without --fresh, to go on" if fresh else "repeat the command to go on"
        with keeping(again):
            written = finalized(opened, plan, device, quiet, fresh, bench=bench, wait_s=wait)
    present(written, as_json=as_json, quiet=quiet)
    return Exit.FAILURES if written.summary.troubles else Exit.DONE


def finalized(
    run: RunDirectory,
    plan: FinalPlan,
    device: str | None = None,
    quiet: bool = False,
    fresh: bool = False,
    *,
    bench: Path | None = None,
    wait_s: float = 0.0,
) -> Report:
    """Finalize with progress on standard error, and write the report."""
    from mnas.data import open_dataset
    from mnas.finalists.finalize import finalize as run_finalize
    from mnas.reports.report import write_report
    from mnas.search_costs import device_of

    tell = teller(quiet)
    with Display(quiet) as display:
        run_finalize(
            run,
            plan,
            open_dataset(run.config.dataset),
            lambda: device_of(run.config, device, bench=bench, wait_s=wait_s, on_event=tell),
            display.report,
            fresh=fresh,
        )
    return write_report(run)
