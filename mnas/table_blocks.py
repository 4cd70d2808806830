"""Joins spaces and YAML tables of blocks: which layers a space has, and their latencies. Reads no keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path

from latency_tables.errors import BadTable, MissingOperators
from latency_tables.exchange import block_yaml
from latency_tables.exchange.provenance import Provenance
from latency_tables.ops import OpSpec, Shape
from latency_tables.predict import Predictor
from latency_tables.records import Given
from latency_tables.store import LatencyTable
from latency_tables.units import Unit, print_unit
from mnas.errors import BadInput
from mnas.lower import Segment, lower_block, lower_classifier
from mnas.spaces import Space, StagedSpace
from mnas.tables import TableRequest


def layers(space: Space, dtype: str) -> list[Unit]:
    """Every different layer that networks of the space can have: stem, layers of stages, head, classifier.

    Raises:
        BadInput: the space does not say what its stages are (`StagedSpace`).
    """
    if not isinstance(space, StagedSpace):
        raise BadInput(f"the space {space.name} is no StagedSpace: its layers cannot be enumerated")
    frame = space.frame
    stem, head = frame.blocks
    first = lower_block(stem, (1, frame.height, frame.width, frame.channels), dtype)
    found: dict[Unit, None] = dict.fromkeys(_layers(first))
    shapes: list[Shape] = [first.output]
    for number, positions in enumerate(space.stages):
        every = list(product(*(range(len(space.choices[position].options)) for position in positions)))
        onward: dict[Shape, None] = {}
        for shape in shapes:
            for options in every:
                segment = lower_block(space.block(number, options, shape[-1]), shape, dtype)
                found.update(dict.fromkeys(_layers(segment)))
                onward[segment.output] = None
        shapes = list(onward)
    for shape in shapes:
        last = lower_block(head, shape, dtype)
        found.update(dict.fromkeys(_layers(last)))
        found[tuple(node.spec for node in lower_classifier(last.output, frame.classes, dtype).nodes)] = None
    return list(found)


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
    every = layers(request.space_of(), request.dtype)
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
    for unit in layers(request.space_of(), request.dtype):
        try:
            predictor.units_of(unit)
        except MissingOperators:
            found.append(print_unit(unit))
    return found


def _layers(segment: Segment) -> list[Unit]:
    """A block's layers: `layer0_expand` and `layer0_project` are of one."""
    named = zip(segment.names, segment.nodes, strict=True)
    return [
        tuple[OpSpec, ...](node.spec for _, node in layer)
        for _, layer in groupby(named, lambda one: one[0].partition("_")[0])
    ]
