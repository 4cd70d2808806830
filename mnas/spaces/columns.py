"""Columns of a table of architectures, read and checked. Knows no space and no file."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnas.errors import BadInput
from mnas.spaces.base import Choice

if TYPE_CHECKING:
    import pandas as pd

#: rows that a message names before it says how many more there are
NAMED = 3


def check_columns(
    columns: Sequence[str], accuracy: str, latency: Sequence[str], ignore: Sequence[str]
) -> None:
    """Refuse columns that are not there, or are named twice, whether in the table or by the roles given.

    Raises:
        BadInput: which one, and what there is.
    """
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise BadInput(f"the table has more than one column {twice[0]!r}; names of columns must differ")
    if not latency:
        raise BadInput(f"no latency column is given; the table has: {', '.join(columns)}")
    for role, column in (
        ("accuracy", accuracy),
        *(("latency", one) for one in latency),
        *(("ignored", one) for one in ignore),
    ):
        if column not in columns:
            near = get_close_matches(column, columns, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise BadInput(
                f"the table has no column {column!r} as {role}{hint}; it has: {', '.join(columns)}"
            )
    given = [accuracy, *latency, *ignore]
    twice = sorted({column for column in given if given.count(column) > 1})
    if twice:
        raise BadInput(
            f"column {twice[0]!r} is given more than once; a column is accuracy, latency or ignored"
        )


def choice_of(name: str, column: pd.Series) -> tuple[Choice, NDArray[np.int64]]:
    """A column as a choice, and each row's option [n].

    Raises:
        BadInput: a cell is empty, or holds what is no option.
    """
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty):
        raise BadInput(
            f"column {name!r} is empty in {_rows(empty)}; a choice needs an option in every row: fill it, "
            "leave these rows out, or ignore the column"
        )
    values = [value.item() if isinstance(value, np.generic) else value for value in column.tolist()]
    for number, value in enumerate(values):
        if not _is_option(value):
            raise BadInput(
                f"column {name!r} has {reprlib.repr(value)} in row {number}; an option is a text, yes or no, "
                "or a finite number of at most 1.8e308: convert it, or ignore the column"
            )
    if 0 < sum(isinstance(value, bool) for value in values) < len(values):
        raise BadInput(f"column {name!r} has yes or no in some rows and something else in others; take one")
    options = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    index = {option: at for at, option in enumerate(options)}
    return Choice(name, tuple(options)), np.array([index[value] for value in values], np.int64)


def _is_option(value: object) -> bool:
    try:
        return isinstance(value, str) or (isinstance(value, int | float) and isfinite(value))
    except OverflowError:  # a whole number that no float can have; Optuna wants one
        return False


def figures_of(name: str, column: pd.Series) -> NDArray[np.float64]:
    """A column as numbers [n].

    Raises:
        BadInput: a cell is not a finite number.
    """
    import pandas as pd

    figures = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    for number in np.flatnonzero(~np.isfinite(figures))[:1]:
        value = column.tolist()[number]
        raise BadInput(
            f"column {name!r} has {'nothing' if pd.isna(value) else repr(value)} in row {number}; every row "
            "needs a finite number: leave rows without one out"
        )
    return figures


def check_range(name: str, figures: NDArray[np.float64], right: NDArray[np.bool_], rule: str) -> None:
    """Refuse figures [n] of a column that are not `right`.

    Raises:
        BadInput: which rows, and the rule.
    """
    wrong = np.flatnonzero(~right)
    if len(wrong):
        raise BadInput(f"column {name!r} is {figures[wrong[0]]:g} in {_rows(wrong)}; {rule}")


def repeated(points: NDArray[np.int64], names: Sequence[str]) -> str:
    """What to say of rows with the same options; some of the points [n, d] must be equal."""
    _, kind, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    kind = kind.ravel()
    first = kind[np.flatnonzero(counts[kind] > 1)[0]]
    others = np.count_nonzero(counts > 1) - 1
    return (
        f"{_rows(np.flatnonzero(kind == first))} have the same options in all of {', '.join(names)}"
        f"{f' (and {others} more such groups)' if others else ''}. Several trainings of an architecture must "
        "be one row, the mean of them; if these rows differ in a column that is ignored, do not ignore it"
    )


def _rows(numbers: NDArray[np.intp]) -> str:
    """`row 4`, or `rows 4, 7, 9 and 12 more`, counted from 0."""
    shown = ", ".join(map(str, numbers[:NAMED].tolist()))
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"row{'s' if len(numbers) > 1 else ''} {shown}{more}"
