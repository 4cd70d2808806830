"""once-for-all's and ProxylessNAS' YAML tables as figures of blocks, and back. Knows no device and no store.

A row is `key: {mean: ms, std or var, count}`: the mean latency of a layer measured alone, its standard
deviation or variance over `count` runs. Both projects' readers take `mean` only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.exchange import bounds
from latency_tables.exchange.block_keys import (
    ACTIVATIONS,
    DIALECTS,
    ONCE_FOR_ALL,
    PROXYLESSNAS,
    BlockKey,
    Dialect,
    key_of,
    operators,
)
from latency_tables.exchange.provenance import UNKNOWN, Provenance
from latency_tables.ops import DTYPES
from latency_tables.records import Given
from latency_tables.units import Unit, parse_unit, print_unit

#: the first line of a file written here: what its keys mean, for the reader below; a comment to others
_NOTE = "# blocks: "
#: milliseconds in one of them
UNITS_MS = {"ms": 1.0, "us": 1e-3, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Blocks:
    """What a file says.

    Attributes:
        figures: of blocks, in milliseconds, in the order of the file.
        unread: rows that are none, each with the reason.
        dialect: by whose meaning they were read.
        provenance: since when figures are that were written here, and what is known against them.
    """

    figures: tuple[Given, ...]
    unread: tuple[tuple[str, str], ...]
    dialect: Dialect
    dtype: str
    provenance: Provenance = UNKNOWN


def read(
    text: str,
    name: str,
    *,
    dialect: str | None = None,
    activation: str | None = None,
    dtype: str | None = None,
    unit: str = "ms",
) -> Blocks:
    """The figures of a YAML table.

    Args:
        text: the file's.
        name: the file, for messages.
        dialect: one of `DIALECTS`; None takes what the file says, else `once-for-all` where keys have `se`
            and `hs`, else `proxylessnas`.
        activation: of layers whose key does not say, in place of the dialect's.
        dtype: None takes what the file says, else float32.
        unit: of `mean`, one of `UNITS_MS`; the format does not say, its makers had milliseconds.

    Raises:
        BadTable: it is no YAML, no mapping of blocks, or no row of it can be read; or an option is none of
            those allowed.
    """
    for what, given, allowed in (
        ("blocks of", dialect, DIALECTS),
        ("activation", activation, ACTIVATIONS),
        ("element type", dtype, DTYPES),
        ("unit", unit, UNITS_MS),
    ):
        if given is not None and given not in allowed:
            raise BadTable(f"{what} {given!r}; allowed: {', '.join(sorted(allowed))}")
    rows = _load(text, name)
    noted = _noted(text)
    if dialect not in (None, noted.get("dialect")):  # what the file says is not believed: none of it
        noted = {}
    dtype = dtype or noted.get("dtype", "float32")
    meaning = DIALECTS.get(dialect or noted.get("dialect", "")) or _dialect_of(rows)
    meaning = replace(
        meaning,
        activation=activation or noted.get("activation", meaning.activation),
        frame_activation=activation or noted.get("frame_activation", meaning.frame_activation),
    )
    figures: dict[str, Given] = {}
    unread = []
    for key, row in rows.items():
        try:
            block = BlockKey.parse(key)
            figure = _figure(print_unit(operators(block, meaning, dtype)), key, row, UNITS_MS[unit])
            if figure.unit in figures:
                raise BadTable(f"{key!r} stands for the same operators as a row before it")
        except (BadTable, BadOpSpec) as error:
            unread.append((str(key), str(error)))
        else:
            figures[figure.unit] = figure
    if not figures:
        first = f", the first: {unread[0][1]}" if unread else ""
        raise BadTable(f"{name} has no row that can be read as a block's latency{first}")
    return Blocks(tuple(figures.values()), tuple(unread), meaning, dtype, _provenance(text, name))


def write(
    figures: Sequence[Given], dialect: str = "mnasnet", provenance: Provenance = UNKNOWN
) -> tuple[str, list[str]]:
    """The YAML text of figures, and the units that no key of the dialect stands for.

    Args:
        figures: of whole layers; latencies as they are to be added up, the table's calibration included.
        dialect: one of `DIALECTS`. `proxylessnas` writes the variance, the others the standard deviation.
        provenance: since when they are, and what is known against them, for the reader here.

    Raises:
        BadTable: there is no such dialect, or none of the figures has a key.
    """
    import yaml

    if dialect not in DIALECTS:
        raise BadTable(f"blocks of {dialect!r}; allowed: {', '.join(DIALECTS)}")
    rows: dict[str, dict[str, float | int]] = {}
    left_out = []
    meaning = dtype = None
    for figure in figures:
        unit = parse_unit(figure.unit)
        found = _keyed(unit, DIALECTS[dialect], meaning)
        if found is None or (dtype is not None and unit[0].dtype != dtype):
            left_out.append(figure.unit)
            continue
        key, meaning = found
        dtype = unit[0].dtype
        rows[str(key)] = _row(figure, variance=dialect == PROXYLESSNAS.name)
    if not rows or meaning is None:
        raise BadTable(f"none of {len(figures)} layers has a key in the form of {dialect}")
    note = {
        "dialect": dialect,
        "activation": meaning.activation,
        "frame_activation": meaning.frame_activation,
        "dtype": dtype,
        **provenance.to_plain(),
    }
    return f"{_NOTE}{json.dumps(note)}\n{yaml.safe_dump(rows, sort_keys=False)}", left_out


def _keyed(unit: Unit, dialect: Dialect, settled: Dialect | None) -> tuple[BlockKey, Dialect] | None:
    """A unit's key, and the dialect with the activation by which it has one: the first unit settles that."""
    tried = (
        [settled]
        if settled
        else [dialect, *(replace(dialect, activation=a, frame_activation=a) for a in ACTIVATIONS)]
    )
    for meaning in tried:
        key = key_of(unit, meaning)
        if key is not None:
            return key, meaning
    return None


def _row(figure: Given, *, variance: bool) -> dict[str, float | int]:
    row: dict[str, float | int] = {"mean": float(figure.latency_ms)}
    if figure.std_ms is not None:  # a standard error: of `count` runs with the deviation that is written
        deviation = float(figure.std_ms * math.sqrt(figure.count or 1))
        row["var" if variance else "std"] = deviation**2 if variance else deviation
    if figure.count is not None:
        row["count"] = figure.count
    return row


def _figure(unit: str, key: object, row: object, factor: float) -> Given:
    if isinstance(row, int | float) and not isinstance(row, bool):
        row = {"mean": row}
    if not isinstance(row, Mapping) or "mean" not in row:
        raise BadTable(f"{key!r} has no mean: a row is {{mean: ..., std: ... or var: ..., count: ...}}")
    bounds.operators(unit)
    mean = bounds.latency_ms(row["mean"], f"the mean of {key!r}")
    mean_ms = bounds.latency_ms(mean * factor, f"the mean of {key!r}, in milliseconds,")
    count = None if row.get("count") is None else bounds.count(row["count"], f"the count of {key!r}")
    deviation = None
    if row.get("std") is not None:
        deviation = bounds.error_ms(row["std"], f"the std of {key!r}")
    elif row.get("var") is not None:
        deviation = math.sqrt(bounds.variance_ms2(row["var"], f"the var of {key!r}"))
    error_ms = None
    if deviation is not None:
        error = deviation * factor / math.sqrt(count or 1)
        error_ms = bounds.error_ms(error, f"the standard error of {key!r}, in milliseconds,")
    return Given(unit, mean_ms, error_ms, count, "imported")


def _load(text: str, name: str) -> dict[Any, Any]:
    import yaml

    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the public tables have thousands of rows
    try:
        loader = kind(text)
        try:
            node = loader.get_single_node()
            _refuse_repeated(node, name)
            found = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise BadTable(f"{name} is no YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, dict):
        raise BadTable(f"{name} is no table of blocks: it must be a mapping of keys to {{mean: ...}}")
    return {key if isinstance(key, str) else repr(key): row for key, row in found.items()}


def _refuse_repeated(node: Any, name: str) -> None:
    """Raise BadTable for a key that stands twice in a table or in a row of it: YAML would take the last."""
    rows = [node, *(value for _, value in _pairs(node))]
    for row in rows:
        lines: dict[str, int] = {}
        for key, _ in _pairs(row):
            text, line = key.value, key.start_mark.line + 1
            if not isinstance(text, str):
                continue
            if text in lines:
                raise BadTable(f"{name} has {text!r} twice, in lines {lines[text]} and {line}: remove one")
            lines[text] = line


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    value = getattr(node, "value", None)
    return [pair for pair in value if isinstance(pair, tuple)] if isinstance(value, list) else []


def _provenance(text: str, name: str) -> Provenance:
    try:
        return Provenance.from_plain(_note(text))
    except ValueError as error:
        raise BadTable(f"{name} does not say where its figures are from: {error}") from error


def _note(text: str) -> dict[str, Any]:
    """What stands in the first line of a file that was written here; empty for others."""
    first = text.partition("\n")[0]
    if not first.startswith(_NOTE):
        return {}
    try:
        found = json.loads(first.removeprefix(_NOTE))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _noted(text: str) -> dict[str, str]:
    """What a file that was written here says of its keys; empty for others."""
    found = _note(text)
    allowed = {
        "dialect": DIALECTS,
        "activation": ACTIVATIONS,
        "frame_activation": ACTIVATIONS,
        "dtype": DTYPES,
    }
    return {
        name: found[name]
        for name, values in allowed.items()
        if isinstance(found.get(name), str) and found[name] in values
    }


def _dialect_of(rows: Mapping[str, object]) -> Dialect:
    return ONCE_FOR_ALL if any("-se:" in key for key in rows) else PROXYLESSNAS
