"""A table's figures as a CSV or Parquet file, and back: one row per unit, and the origin. Measures nothing.

The rows are those of `LatencyTable.frame`, and two columns more: `calibrated_ms`, what a unit adds to a
predicted latency, and its standard error. Their sums are predictions; they are what is read back. What the
table was made for and where it was measured stands before them: in CSV as a comment, in Parquet as metadata.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.ops import OpSpec
from latency_tables.records import Given, Origin, origin_from_meta, origin_to_meta
from latency_tables.units import parse_unit

if TYPE_CHECKING:
    import pandas as pd

    from latency_tables.store import LatencyTable

FORMAT = "mnas latency figures"
FORMAT_VERSION = 1
_COMMENT = "# "
_KEY = b"mnas"
#: names under which a column is looked for, the first that is there: ours, then what others may have
_UNIT = ("operator", "unit")
_LATENCY = ("calibrated_ms", "latency_ms")
_ERROR = {"calibrated_ms": "calibrated_std_error_ms", "latency_ms": "std_error_ms"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a file says.

    Attributes:
        figures: as they add up to latencies.
        origin: of the table that was written; None where the file does not say, as one made elsewhere.
        created_at: of that table, ISO 8601; None likewise.
        intercept_ms: what that table adds to each sum besides: no row can say it.
    """

    figures: tuple[Given, ...]
    origin: Origin | None
    created_at: str | None
    intercept_ms: float


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
    found = _described(about, path)
    unit = _column(rows, _UNIT, path)
    latency = _column(rows, _LATENCY, path)
    counts = "observations" if "observations" in rows.columns else None
    figures: dict[str, Given] = {}
    for number, row in enumerate(rows.to_dict("records"), 1):
        try:
            figure = Given(
                str(row[unit]),
                _positive(row[latency], latency),
                _optional(row.get(_ERROR[latency]), _ERROR[latency]),
                _count(row.get(counts)) if counts else None,
                "imported",
            )
            parse_unit(figure.unit)
            if figure.unit in figures:
                raise BadTable(f"{figure.unit} stands there twice")
        except (BadTable, BadOpSpec) as error:
            raise BadTable(f"row {number} of {path}: {error}") from None
        figures[figure.unit] = figure
    if not figures:
        raise BadTable(f"{path} has no rows")
    return Figures(tuple(figures.values()), *found)


def _rows(table: LatencyTable) -> pd.DataFrame:
    predictor = table.predictor()
    rows = table.frame()
    unit = next(name for name in _UNIT if name in rows.columns)
    rows["calibrated_ms"] = [predictor.unit_ms(text) * predictor.scale for text in rows[unit]]
    rows["calibrated_std_error_ms"] = [
        None
        if predictor.figures[text].std_error_ms is None
        else math.sqrt(predictor.variance_ms2(text)) * predictor.scale
        for text in rows[unit]
    ]
    rows["calibrated_std_error_ms"] = rows["calibrated_std_error_ms"].astype(float)
    return rows


def _about(table: LatencyTable) -> dict[str, Any]:
    calibration = table.predictor().calibration
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        **_plain(table.origin),
        "created_at": table.created_at,
        "reanchored_at": table.reanchored_at,
        "stale": table.stale,
        "calibration": {
            "shape": calibration.shape,
            "scale": calibration.scale,
            "intercept_ms": calibration.intercept_ms,
            "factors": dict(calibration.factors),
            "anchors": calibration.anchors,
            "left_out_percent": calibration.left_out_percent,
        },
    }


def _plain(origin: Origin) -> dict[str, Any]:
    meta = origin_to_meta(origin)
    governor = meta.pop("governor", None)
    return {**{name: json.loads(text) for name, text in meta.items()}, "governor": governor}


def _described(text: str | None, path: Path) -> tuple[Origin | None, str | None, float]:
    if text is None:
        return None, None, 0.0
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
        if about.get("governor"):
            meta["governor"] = str(about["governor"])
        created_at = about["created_at"]
        return origin_from_meta(meta, str(path)), created_at, float(about["calibration"]["intercept_ms"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadTable(f"{path} does not say where its figures are from: {error!r}") from error


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
        return pd.read_csv(StringIO(text), float_precision="round_trip"), about
    except ValueError as error:  # pandas' own errors of parsing and of empty files are of this kind
        raise BadTable(f"{path} is no CSV file: {' '.join(str(error).split())[:200]}") from error


def _column(rows: pd.DataFrame, names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in rows.columns:
            return name
    raise BadTable(
        f"{path} has no column {names[0]!r}; a file of figures needs operator (such as "
        f"{OpSpec('relu', 'float32', ((1, 8),), (1, 8))}) and latency_ms, and may have std_error_ms"
    )


def _positive(value: object, name: str) -> float:
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise BadTable(f"{name} is {value!r}: it must be a number above 0")
    return float(value)


def _optional(value: object, name: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadTable(f"{name} is {value!r}: it must be a number of 0 or more, or nothing")
    return float(value)


def _count(value: object) -> int | None:
    found = _optional(value, "observations")
    return int(found) if found else None  # a given figure was seen 0 times: nobody knows how often before


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadTable(f"{path}: {error.strerror or error}") from error
