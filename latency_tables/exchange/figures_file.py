"""A table's figures as a CSV or Parquet file, and back: one row per unit, and the origin. Measures nothing.

The rows are those of `LatencyTable.frame`, and one column more: `calibrated_ms`, what a unit adds to the
predicted latency of a network of typical size. What the table was made for, where it was measured and how it
is calibrated stands before them, in CSV as a comment, in Parquet as metadata, so that a table that is read
back predicts as the first one did.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.exchange import bounds
from latency_tables.exchange.provenance import UNKNOWN, Provenance
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.fitting.imported import calibration_from_plain, calibration_to_plain
from latency_tables.ops import OpSpec
from latency_tables.records import Given, Origin, origin_from_meta, origin_to_meta

if TYPE_CHECKING:
    import pandas as pd

    from latency_tables.store import LatencyTable

FORMAT = "mnas latency figures"
FORMAT_VERSION = 1
_COMMENT = "# "
_KEY = b"mnas"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a file says.

    Attributes:
        origin: of the table that was written; None where the file does not say, as one made elsewhere.
        calibration: that table's, and the sizes of its networks; None likewise.
        provenance: since when that table's figures are, and what is known against them.
    """

    figures: tuple[Given, ...]
    origin: Origin | None
    calibration: tuple[Calibration, Sizes] | None
    provenance: Provenance = UNKNOWN


def write(table: LatencyTable, path: Path) -> int:
    """Write a table's figures, as the suffix says: `.csv` or `.parquet`. Returns the number of rows.

    The file is replaced as a whole, or stays as it was.

    Raises:
        BadTable: another suffix, a table that is not built yet, or a file that cannot be written.
    """
    rows = _rows(table)
    about = json.dumps(_about(table), separators=(",", ":"))
    draft = path.with_name(f"{path.name}.partial")
    with _naming(path):
        try:
            if path.suffix == ".csv":
                with draft.open("w", encoding="utf-8", newline="") as file:
                    file.write(f"{_COMMENT}{about}\n")
                    rows.to_csv(file, index=False)
            elif path.suffix == ".parquet":
                _write_parquet(rows, about, draft)
            else:
                raise BadTable(f"{path}: figures are written to .csv or .parquet, not {path.suffix!r}")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return len(rows)


def read(path: Path) -> Figures:
    """The figures of a CSV or Parquet file: written here, or with the columns `operator` and `latency_ms`.

    Raises:
        BadTable: it is none, of a newer version, or a row says what cannot be; the message names the row.
    """
    with _naming(path):
        if path.suffix == ".parquet":
            rows, about = _read_parquet(path)
        else:
            rows, about = _read_csv(path)
    described = _described(about, path)
    _refuse_other_columns(rows, path)
    figures: dict[str, Given] = {}
    for number, row in enumerate(rows.to_dict("records"), 1):
        try:
            figure = _given({name: _value(value) for name, value in row.items()})
            if figure.unit in figures:
                raise BadTable(f"{figure.unit} stands there twice")
        except (BadTable, BadOpSpec) as error:
            raise BadTable(f"row {number} of {path}: {error}") from None
        figures[figure.unit] = figure
    if not figures:
        raise BadTable(f"{path} has no rows")
    return Figures(tuple(figures.values()), *described)


def _rows(table: LatencyTable) -> pd.DataFrame:
    predictor = table.predictor()
    rows = table.frame()
    rows["calibrated_ms"] = [predictor.unit_ms(text) * predictor.scale for text in rows["operator"]]
    return rows


def _about(table: LatencyTable) -> dict[str, Any]:
    predictor = table.predictor()
    meta = origin_to_meta(table.origin)
    governor = meta.pop("governor", None)
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        **{name: json.loads(text) for name, text in meta.items()},
        "governor": governor,
        **Provenance.of(table).to_plain(),
        "calibration": calibration_to_plain(predictor.calibration, predictor.sizes),
    }


def _described(
    text: str | None, path: Path
) -> tuple[Origin | None, tuple[Calibration, Sizes] | None, Provenance]:
    if text is None:
        return None, None, UNKNOWN
    try:
        about = json.loads(text)
        if about["format"] != FORMAT:
            raise ValueError(f"it is a {about['format']}")
        if about["version"] != FORMAT_VERSION:
            raise BadTable(
                f"{path} is of version {about['version']} of its format, and this program reads "
                f"{FORMAT_VERSION}: use the program that wrote it, or a newer one"
            )
        meta = {name: json.dumps(about[name]) for name in ("purpose", "facts", "settings")}
        _refuse_other_purpose(about["purpose"])
        if (governor := about.get("governor")) is not None:
            if not isinstance(governor, str):
                raise ValueError(f"governor is {governor!r}: it must be a text or null")
            meta["governor"] = governor
        return (
            origin_from_meta(meta, str(path)),
            calibration_from_plain(about["calibration"]),
            Provenance.from_plain(about),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise BadTable(f"{path} does not say where its figures are from: {why[:300]}") from error


def _refuse_other_purpose(purpose: object) -> None:
    if not isinstance(purpose, dict):
        raise ValueError(f"purpose is {purpose!r}: it must be an object")  # noqa: TRY004 - all alike above
    for name, value in purpose.items():
        known = value is None or isinstance(value, str | int | float)
        if not known or isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{name} of the purpose is {value!r}: it must be a text, a number or null")


def _write_parquet(rows: pd.DataFrame, about: str, draft: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    found = pa.Table.from_pandas(rows, preserve_index=False)
    parquet.write_table(found.replace_schema_metadata({**(found.schema.metadata or {}), _KEY: about}), draft)


def _read_parquet(path: Path) -> tuple[pd.DataFrame, str | None]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        found = parquet.read_table(path)
    except pa.ArrowException as error:
        raise BadTable(f"{path} is no Parquet file: {' '.join(str(error).split())[:200]}") from error
    about = (found.schema.metadata or {}).get(_KEY)
    return found.to_pandas(), None if about is None else about.decode()


def _read_csv(path: Path) -> tuple[pd.DataFrame, str | None]:
    import pandas as pd

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadTable(f"{path} is no text: {error}") from error
    about = None
    if text.startswith(_COMMENT):
        first, _, text = text.partition("\n")
        about = first.removeprefix(_COMMENT)
    try:
        # as texts: how exactly pandas reads figures differs between its versions
        rows = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors of parsing and of empty files are of this kind
        raise BadTable(f"{path} is no CSV file: {' '.join(str(error).split())[:200]}") from error
    return rows, about


def _refuse_other_columns(rows: pd.DataFrame, path: Path) -> None:
    if not {"operator", "latency_ms"} <= set(rows.columns):
        raise BadTable(
            f"{path} needs the columns operator (texts such as "
            f"{OpSpec('relu', 'float32', ((1, 8),), (1, 8))}) and latency_ms, and may have std_error_ms"
        )


def _given(row: Mapping[Any, object]) -> Given:
    """The figure of a row.

    Raises:
        BadTable: one of its values cannot be; the message names the column.
        BadOpSpec: its operator is none.
    """
    unit = str(row["operator"])
    bounds.operators(unit)
    error, seen, exponent = (row.get(name) for name in ("std_error_ms", "observations", "size_exponent"))
    latency_ms = bounds.latency_ms(row.get("latency_ms"), "latency_ms")
    return Given(
        unit,
        latency_ms,
        None if error is None else bounds.figure_error_ms(error, latency_ms, "std_error_ms"),
        None if seen in (None, 0) else bounds.count(seen, "observations"),
        "imported",
        0.0 if exponent is None else bounds.exponent(exponent, "size_exponent"),
    )


def _value(value: object) -> object:
    """A text's figure, None of an empty one and of what is missing; what is no figure stays as it is."""
    if not isinstance(value, str):
        import pandas as pd

        return None if value is pd.NA or (isinstance(value, float) and math.isnan(value)) else value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # pyarrow's own texts name the draft
        code = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno
        raise BadTable(f"{path}: {os.strerror(code) if code else error}") from error
