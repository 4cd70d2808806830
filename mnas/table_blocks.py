"""Joins spaces and YAML tables of blocks: the latencies of the layers that a space has. Reads no keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from latency_tables.errors import BadTable, MissingOperators
from latency_tables.exchange import block_yaml
from latency_tables.exchange.provenance import Provenance
from latency_tables.predict import Predictor
from latency_tables.records import Given
from latency_tables.store import LatencyTable
from latency_tables.units import Unit, print_unit
from mnas.spaces.layers import Layers
from mnas.tables import TableRequest


def block_figures(predictor: Predictor, units: list[Unit]) -> list[Given]:
    """The latency of each layer by a table, in a network of typical size; layers that it cannot tell are out.

    A constant of the calibration is in none. The standard error takes an operator that a layer has twice as
    twice the same error.
    """
    found = []
    for unit in units:
        try:
            parts = predictor.units_of(unit)
        except MissingOperators:
            continue
        counts = {part: parts.count(part) for part in parts}
        figures = [predictor.figures[part] for part in counts]
        known = all(one.std_error_ms is not None for one in figures)
        seen = [one.observations for one in figures if one.observations is not None]
        variance = sum(count**2 * predictor.variance_ms2(part) for part, count in counts.items())
        found.append(
            Given(
                print_unit(unit),
                predictor.scale * sum(predictor.unit_ms(part) for part in parts),
                predictor.scale * variance**0.5 if known else None,
                min(seen) if len(seen) == len(figures) else None,
                "imported",
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a table's layers.

    Attributes:
        rows: written.
        left_out: layers without a key, or without a figure.
        lost_ms: the constant of the table's calibration, which belongs to networks and so is in no row: by so
            much less a sum of rows is than the table's own prediction.
    """

    rows: int
    left_out: Sequence[str]
    lost_ms: float


def export_blocks(table: LatencyTable, output: Path, dialect: str) -> Exported:
    """Write the layers of a table's space as a YAML table.

    The file is replaced as a whole, or stays as it was.

    Raises:
        BadInput: the table was not made for a space.
        BadTable: no layer has a key, there is no such dialect, or the file cannot be written.
    """
    request = TableRequest.of_table(table)
    every = Layers(request.space_of(), request.dtype).every()
    predictor = table.predictor()
    figures = block_figures(predictor, every)
    text, left_out = block_yaml.write(figures, dialect, Provenance.of(table))
    known = {one.unit for one in figures}
    left_out += [unit for unit in map(print_unit, every) if unit not in known]
    draft = output.with_name(f"{output.name}.partial")
    try:
        draft.write_text(text)
        draft.replace(output)
    except OSError as error:
        raise BadTable(f"{output}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return Exported(len(every) - len(left_out), left_out, predictor.calibration.intercept_ms)


def lacking_layers(predictor: Predictor, request: TableRequest) -> list[str]:
    """The layers of a space that a table cannot predict, in text form."""
    found = []
    for unit in Layers(request.space_of(), request.dtype).every():
        try:
            predictor.units_of(unit)
        except MissingOperators:
            found.append(print_unit(unit))
    return found
