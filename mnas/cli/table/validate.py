"""`mnas table validate`: predicted against measured latency. Opens, calls and prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import opened
from mnas.cli.options import Across, Bench, DeviceName, Json, Quiet, Wait
from mnas.cli.output import Display, keeping, print_json, print_line, print_table, warn
from mnas.cli.table.group import TableFile, group

if TYPE_CHECKING:
    from devices.measurement import Settings
    from devices.plan import Plan
    from latency_tables.validate import Keeping

#: what fits a terminal of the report's table: column and title
BRIEFLY = {0: "predictor", 1: "error", 2: "bias", 4: "≤ 5 %", 5: "≤ 10 %", 6: "Spearman"}


@group.command()
def validate(
    table: TableFile,
    *,
    device: DeviceName = "local",
    networks: Annotated[int, typer.Option(min=1, help="Random networks that the table has not seen.")] = 30,
    passes: Annotated[int, typer.Option(help="Times every network is measured.")] = 5,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Judge other ways to predict by the same run: takes minutes more."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where the report goes, and what is measured, as it comes.",
        ),
    ] = None,
    across: Across = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the networks and of the order of measurement.")] = 0,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare predicted with measured latency, on networks that the table has not seen.

    Every network is measured as two instances, in shuffled passes with the table's anchors. Errors are told
    with the table re-anchored by this run, and as it is; beside them the noise floor: how much the two
    instances differ. The report in FOLDER is a page, a picture and a JSON document; the same command goes on
    where one was ended, another folder begins anew. Exit code 4 says that something could not be measured,
    or that the device has drifted since the table was anchored, which marks the table stale.

    Example: mnas table validate mnasnet-224.db -d local --networks 30 --compare -o validation
    """
    from latency_tables.store import LatencyTable
    from latency_tables.validate import PLAN
    from latency_tables.validate import validate as validate_table
    from mnas.reports.validation import Validated, headline, older, rows, write_validation
    from mnas.reports.validation_json import to_json
    from mnas.spaces.layers import Layers
    from mnas.tables import TableRequest, held_out

    plan = replace(PLAN, passes=passes, seed=seed)
    with LatencyTable.open(table) as given:
        unseen = held_out(given, networks, seed)
        request = TableRequest.of_table(given)
        settings = given.origin.settings
        with (
            opened(device, settings=settings, bench=bench, wait_s=wait, quiet=quiet) as there,
            _journals(output, device, settings, plan, compare) as journals,
            keeping("repeat the command to go on") if output else nullcontext(),
            Display(quiet) as display,
        ):
            found = validate_table(
                given,
                unseen,
                there,
                plan,
                blocks=Layers(request.space_of(), request.dtype) if compare else None,
                keeping=journals,
                across=across or (),
                on_progress=lambda at: display.report("measuring networks", at.done, at.total),
            )
            result = Validated(given.address, there.facts, there.settings, found)
    files = write_validation(result, output) if output else None
    if as_json:
        print_json(to_json(result.table, result.facts.address, headline(found), found))
    else:
        print_line(headline(found))
        print_table("", tuple(BRIEFLY.values()), ([row[at] for at in BRIEFLY] for row in rows(found)))
        if files is not None:
            print_line(f"The report: {files.markdown}")
    for line in () if quiet else found.circumstances.crossed:
        warn(f"in spite of a difference: {line}")
    if found.circumstances.older and not quiet:
        warn(older(found))
    if found.circumstances.drift is not None:
        warn(f"the table is stale: {found.circumstances.drift}; `mnas table anchor` calibrates it anew")
    for failure in found.failures:
        warn(f"{failure.model}: {failure.message}")
    return Exit.FAILURES if found.failures or found.circumstances.drift is not None else Exit.DONE


@contextmanager
def _journals(
    folder: Path | None, device: str, settings: Settings, plan: Plan, compare: bool
) -> Iterator[Keeping | None]:
    """Files in a folder that a job goes on from; None without a folder."""
    from latency_tables.validate import Keeping, briefly
    from mnas.journal import Journal

    if folder is None:
        yield None
        return
    with Journal.held(folder / "networks.jsonl", device, settings, plan) as networks:
        if not compare:
            yield Keeping(networks)
            return
        with Journal.held(folder / "alone.jsonl", device, settings, briefly(plan)) as alone:
            yield Keeping(networks, alone)
