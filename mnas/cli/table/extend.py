"""`mnas table extend`: add what models from elsewhere need to a table. Opens, calls and prints."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.log import Log, ends, logged
from mnas.cli.options import Bench, Budget, Json, LogFile, Quiet, Wait
from mnas.cli.output import print_json, print_table
from mnas.cli.table.documents import failure_documents
from mnas.cli.table.group import TableFile, group
from mnas.cli.table.working import ItsDevice, at_work

if TYPE_CHECKING:
    from latency_tables.extend import ExtendReport
    from latency_tables.store import LatencyTable

#: characters of a model's name that its network in the table has, before the digest of its content
NAME_LENGTH = 40


@group.command()
def extend(
    table: TableFile,
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help=".tflite files, recipes' names, or architectures."),
    ],
    *,
    device: ItsDevice = None,
    passes: Annotated[int, typer.Option(help="Times every model is measured.")] = 3,
    budget: Budget = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    log: LogFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure the operators that a table lacks of models, in those models, so that it can predict them.

    The table keeps the operators, not the files. Exit code 4 says that some are still missing.

    Example: mnas table extend mnasnet-224.db model.tflite -d pixel
    """
    from latency_tables.build import PLAN
    from latency_tables.extend import extend as extend_by

    plan = replace(PLAN, passes=passes)
    with logged(log) as note:
        reports = []
        with at_work(
            table, device, "measuring models", note=note, bench=bench, wait_s=wait, quiet=quiet
        ) as work:
            address = work.table.address
            contents = [(model, _content(work.table, model)) for model in dict.fromkeys(models)]
            left_s = budget
            for model, content in contents:
                report = extend_by(
                    work.table,
                    work.device,
                    content,
                    _name(model, content),
                    plan,
                    on_progress=work.report,
                    budget_s=left_s,
                )
                left_s = None if left_s is None else max(0.0, left_s - report.seconds)
                reports.append((model, report))
        if as_json:
            print_json({"table": address, "models": [_document(model, report) for model, report in reports]})
        else:
            _show(address, reports)
        for model, report in reports:
            _tell(model, report, note)
        done = all(not report.missing and not report.failures and not report.stale for _, report in reports)
        return ends(note, Exit.DONE if done else Exit.FAILURES)


def _content(table: LatencyTable, model: str) -> bytes:
    """The file of a model; one of a recipe or an architecture is written."""
    from latency_tables import tflite
    from latency_tables.errors import BadModel
    from mnas.tables import model_for

    found = model_for(table, model)
    if not isinstance(found, bytes):
        return tflite.write(found)
    try:
        tflite.read(found)
    except BadModel as error:
        raise BadModel(f"{model}: {error}") from error
    return found


def _name(model: str, content: bytes) -> str:
    """The name of a model's network in the table: the same for the same content."""
    return (
        f"{Path(model).name.removesuffix('.tflite')[:NAME_LENGTH]}-{hashlib.sha256(content).hexdigest()[:12]}"
    )


def _show(address: str, reports: Sequence[tuple[str, ExtendReport]]) -> None:
    print_table(
        f"Latency table {address}",
        ("model", "operators", "added", "of them alone", "missing"),
        [
            (model, report.operators, len(report.added), len(report.alone), len(report.missing))
            for model, report in reports
        ],
    )


def _tell(model: str, report: ExtendReport, note: Log) -> None:
    """List what is still missing, and why."""
    if report.refused is not None:
        note.warn(f"{model}: measured without its profile: {report.refused}")
    for failure in report.failures:
        note.warn(f"{model}: {failure.message}")
    for unit in report.missing:
        why = f": {report.reasons[unit]}" if unit in report.reasons else ""
        note.warn(f"{model}: still without a figure: {unit}{why}")
    if report.budget_over:
        note.warn(f"{model}: the time was over; repeat the command to go on")
    if report.stale:
        note.warn(f"the table is stale, {report.stale}: mnas table anchor")


def _document(model: str, report: ExtendReport) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table extend` for each model."""
    return {
        "model": model,
        "network": report.name,
        "operators": report.operators,
        "added_operators": list(report.added),
        "operators_alone": list(report.alone),
        "missing_operators": [
            {"operator": unit, "reason": report.reasons.get(unit)} for unit in report.missing
        ],
        "no_profile": report.refused,
        "measured_passes": report.measured,
        "stale": report.stale,
        "budget_over": report.budget_over,
        "seconds": report.seconds,
        "failures": failure_documents(report.failures),
    }
