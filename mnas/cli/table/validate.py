"""`mnas table validate`: predicted against measured latency. Opens, calls and prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.opening import opened
from mnas.cli.options import Bench, DeviceName, Json, Quiet, Wait
from mnas.cli.output import Display, print_json, print_table, warn
from mnas.cli.table.group import TableFile, group

if TYPE_CHECKING:
    from latency_tables.validate import Validation


@group.command()
def validate(
    table: TableFile,
    *,
    device: DeviceName = "local",
    networks: Annotated[int, typer.Option(min=1, help="Random networks that the table has not seen.")] = 30,
    passes: Annotated[int, typer.Option(help="Times every network is measured.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the networks and of the order of measurement.")] = 0,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare predicted with measured latency, on networks that the table has not seen.

    Every network is measured as two instances; their mean difference is the noise floor. The prediction is
    compared with both together, so that a perfect one would be off by about half the noise floor.

    Example: mnas table validate mnasnet-224.db -d local --networks 30
    """
    from latency_tables.store import LatencyTable
    from latency_tables.validate import PLAN
    from latency_tables.validate import validate as validate_table
    from mnas.tables import held_out

    plan = replace(PLAN, passes=passes, seed=seed)
    with LatencyTable.open(table) as given:
        unseen = held_out(given, networks, seed)
        settings = given.origin.settings
        with (
            opened(device, settings=settings, bench=bench, wait_s=wait, quiet=quiet) as there,
            Display(quiet) as display,
        ):
            result = validate_table(
                given,
                unseen,
                there,
                plan,
                lambda at: display.report("measuring networks", at.done, at.total),
            )
    if as_json:
        print_json(validate_document(given.address, result))
    else:
        rank = "too few networks" if result.spearman is None else f"{result.spearman:.4f}"
        print_table(
            f"{result.networks} held-out networks",
            ("what", "figure"),
            [
                ("MAPE", f"{result.mape_percent:.2f} %"),
                ("noise floor", f"{result.noise_floor_percent:.2f} %"),
                ("bias", f"{result.bias_percent:+.2f} %"),
                ("within 5 %", f"{result.within_5_percent:.0f} %"),
                ("within 10 %", f"{result.within_10_percent:.0f} %"),
                ("Spearman", rank),
            ],
        )
    for failure in result.failures:
        warn(f"{failure.model}: {failure.message}")
    return Exit.FAILURES if result.failures else Exit.DONE


def validate_document(address: str, result: Validation) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table validate`."""
    return {
        "table": address,
        "mape_percent": result.mape_percent,
        "within_5_percent": result.within_5_percent,
        "within_10_percent": result.within_10_percent,
        "spearman": result.spearman,
        "noise_floor_percent": result.noise_floor_percent,
        "bias_percent": result.bias_percent,
        "networks": result.networks,
        "details": [
            {
                "network": one.name,
                "predicted_ms": one.predicted_ms,
                "measured_ms": one.measured_ms,
                "instances_ms": list(one.instances_ms),
            }
            for one in result.details
        ],
        "failures": [
            {"network": one.model, "error": one.error, "message": one.message} for one in result.failures
        ],
    }
