"""Files of tables to search: CSV and Parquet, read as frames. Knows nothing of choices and figures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

from mnas.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

#: a larger file is refused: as a frame it would take several times its size of memory
LARGEST_BYTES = 2**30
#: what an empty cell of a column of figures may hold; in a column of choices such a word is an option
_NOTHING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "-")


def read_table(path: Path | str, figures: Collection[str] = ()) -> pd.DataFrame:
    """A table from a file; `.parquet` is Parquet, all else is CSV with a line of column names.

    Columns without a name, such as a frame's index, are left out.

    Args:
        figures: columns of numbers, where words such as `nan` mean that there is none.

    Raises:
        BadInput: there is no such file, or it is no table.
    """
    if "://" in str(path):
        raise BadInput(f"{path} is a URL; a table to search is a file: download it first")
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise BadInput(f"{path} is a folder; a table to search is a CSV or Parquet file")
        if size > LARGEST_BYTES:
            raise BadInput(
                f"{path} has {size / 2**30:.1f} GiB; a table to search may have {LARGEST_BYTES / 2**30:g}: "
                "keep the columns and rows that are searched"
            )
        frame = _parquet(path) if path.suffix == ".parquet" else _csv(path, figures)
    except FileNotFoundError:
        raise BadInput(f"there is no file {path} to search") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError:
        raise BadInput(
            f"{path} does not fit into memory: keep the columns and rows that are searched"
        ) from None
    return frame


def _csv(path: Path, figures: Collection[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        names = [name.strip() for name in head.iloc[0].tolist()]
        if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
            raise BadInput(f"the columns of {path} are not separated by commas: {names[0]!r}")
        twice = [name for name in names if name and names.count(name) > 1]
        if twice:
            raise BadInput(f"{path} has more than one column {twice[0]!r}; names of columns must differ")
        places = [str(at) for at in range(len(names))]
        with catch_warnings():
            simplefilter("error", pd.errors.ParserWarning)  # a row of more cells than columns would be cut
            body = pd.read_csv(
                path,
                header=0,
                names=places,
                index_col=False,
                keep_default_na=False,
                na_values={
                    place: list(_NOTHING) if name in figures else [""]
                    for place, name in zip(places, names, strict=True)
                },
                low_memory=False,
                encoding="utf-8-sig",
            )
    except pd.errors.EmptyDataError:
        raise BadInput(f"{path} is empty") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise BadInput(f"{path} is no CSV file: {str(error).strip()}") from error
    kept = [at for at, name in enumerate(names) if name]
    return body.iloc[:, kept].set_axis([names[at] for at in kept], axis=1)


def _parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        import pyarrow
    except ImportError:
        raise BadInput(
            f"{path} is Parquet, which needs pyarrow: pip install 'mnas[parquet]', or take CSV"
        ) from None
    try:
        return pd.read_parquet(path)
    except (pyarrow.ArrowException, ValueError) as error:
        raise BadInput(f"{path} is no Parquet file: {str(error).strip()}") from error
