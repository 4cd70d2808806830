"""A table of architectures that were evaluated already, as a search space. Knows no file and no strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import isfinite, prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnas.costs import Amount, Goal
from mnas.errors import BadInput
from mnas.spaces.base import Choice, Option, check_indices

if TYPE_CHECKING:
    import pandas as pd

#: rows that a message names before it says how many more there are
NAMED = 3


@dataclass(frozen=True, slots=True)
class Row:
    """An architecture of a table.

    Attributes:
        number: position of the row in the table, from 0.
        options: by choice.
        accuracy: share 0 to 1.
        costs: by latency column.
    """

    number: int
    options: Mapping[str, Option] = field(compare=False)
    accuracy: float = field(compare=False)
    costs: Mapping[str, float] = field(compare=False)

    def __str__(self) -> str:
        return f"row {self.number}"


class TableSpace:
    """A benchmark table, such as NAS-Bench-201's, to search without training.

    Every column that is neither accuracy, nor a latency, nor ignored is a choice; its options are the
    column's values, numbers from small to large, then texts by alphabet. Only combinations that have a row
    exist.

    Args:
        frame: a row for each architecture. Its index does not count: rows are numbered from 0.
        accuracy: column of accuracies, all as shares, 0 to 1, or all in percent. They count as percent where
            more than half of them are above 1.
        latency: one or more columns of what is to be small: latencies, energy, parameters; above 0.
        ignore: columns that are no choices.
        known: whether strategies may look latencies up before they propose.
        name: for people.

    Raises:
        BadInput: a column is not there or is named twice; there is no row, or no choice; a figure is none, or
            out of range; a cell of a choice is empty; two rows have the same options.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        accuracy: str = "acc",
        latency: Sequence[str] | str = ("ms",),
        ignore: Sequence[str] | str = (),
        *,
        known: bool = True,
        name: str = "table",
    ) -> None:
        latency, ignore = _listed(latency), _listed(ignore)
        columns = [str(column) for column in frame.columns]
        _check_columns(columns, accuracy, latency, ignore)
        if not len(frame):
            raise BadInput(f"the table has no rows, only columns: {', '.join(columns)}")
        taken = {accuracy, *latency, *ignore}
        named = dict(zip(columns, (frame.iloc[:, at] for at in range(len(columns))), strict=True))
        menus = {column: _choice(column, values) for column, values in named.items() if column not in taken}
        if not menus:
            raise BadInput(
                f"the table has no choices: all its columns, {', '.join(columns)}, are accuracy, latency or "
                "ignored; the columns that describe an architecture must be left"
            )
        self.name = name
        self.accuracy_name = accuracy
        self.latency_names = latency
        self.ignored = ignore
        self.choices = tuple(choice for choice, _ in menus.values())
        #: the rows' option indices, [n, d]
        self.points: NDArray[np.int64] = np.stack([indices for _, indices in menus.values()], axis=1)
        self._numbers = {tuple(point): number for number, point in enumerate(self.points.tolist())}
        if len(self._numbers) < len(self.points):
            raise BadInput(_repeated(self.points, [choice.name for choice in self.choices]))
        figures = _figures(accuracy, named[accuracy])
        #: whether the table has its accuracies in percent
        self.percent = bool(np.mean(figures > 1) > 0.5)
        top = 100 if self.percent else 1
        _check_range(
            accuracy,
            figures,
            (figures >= 0) & (figures <= top),
            "accuracies must all be percentages, 0 to 100, as most of these are"
            if self.percent
            else "accuracies must all be shares, 0 to 1, or all percentages, 0 to 100",
        )
        shares = figures / 100 if self.percent else figures
        #: the rows' accuracies as shares 0 to 1, then a column for each latency, [n, 1 + k]
        self.figures: NDArray[np.float64] = np.stack(
            [shares, *(_figures(column, named[column]) for column in latency)], axis=1
        )
        for column, values in zip(latency, self.figures.T[1:], strict=True):
            _check_range(column, values, values > 0, "latencies must be above 0")
        self.goals = tuple(Goal(column, known=known) for column in latency)
        self.costs = tuple(ColumnCost(self, at) for at in range(len(latency)))
        self._lookup = _Lookup(self.points, tuple(len(choice.options) for choice in self.choices))

    def __len__(self) -> int:
        return len(self.points)

    def decode(self, indices: Sequence[int]) -> Row:
        """The row of one option index per choice.

        Raises:
            BadInput: a wrong length or index, or no row has these options.
        """
        check_indices(self.choices, indices)
        number = self._numbers.get(tuple(indices))
        if number is None:
            options = ", ".join(f"{name}={option}" for name, option in self._options(indices).items())
            raise BadInput(f"the table has no row with {options}")
        return self.row(number)

    def row(self, number: int) -> Row:
        """The row of a number, 0 to the number of rows less 1."""
        if not 0 <= number < len(self):
            raise BadInput(f"row {number}; the table has rows 0 to {len(self) - 1}")
        accuracy, *costs = self.figures[number].tolist()
        named = dict(zip(self.latency_names, costs, strict=True))
        return Row(number, self._options(self.points[number].tolist()), accuracy, named)

    def evaluate(self, architecture: Row) -> float:
        """A row's accuracy: what a training would tell."""
        return architecture.accuracy

    def numbers(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each point, [n]; -1 where no row has these options. Points as `points`, [n, d]."""
        return self._lookup(points)

    @property
    def naming(self) -> tuple[str, ...]:
        """Choices that look like names of rows, or like figures of them: nearly every row has its own option.

        A strategy learns nothing from such a choice. Only those count without which rows still differ.
        """
        found = []
        for at, choice in enumerate(self.choices):
            rest = np.delete(self.points, at, axis=1)
            many = len(choice.options) > max(2, len(self) / 2)
            if many and rest.shape[1] and len(np.unique(rest, axis=0)) == len(self):
                found.append(choice.name)
        return tuple(found)

    def _options(self, indices: Sequence[int]) -> dict[str, Option]:
        return {
            choice.name: choice.options[index] for choice, index in zip(self.choices, indices, strict=True)
        }


class ColumnCost:
    """A latency column as a cost (mnas.costs)."""

    quick = True
    vectorised = True

    def __init__(self, space: TableSpace, at: int) -> None:
        self.name = self.unit = space.latency_names[at]
        self._space = space
        self._at = at

    def predict(self, architecture: Row) -> Amount:
        """The row's figure, which has no interval."""
        return Amount(architecture.costs[self.name])

    def figures(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """The figures of points [n, d], [n]; infinite where no row has these options."""
        numbers = self._space.numbers(points)
        return np.where(numbers < 0, np.inf, self._space.figures[numbers, 1 + self._at])


class _Lookup:
    """The rows of many points at once."""

    def __init__(self, points: NDArray[np.int64], sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self._numbers: dict[tuple[int, ...], int] | None = None
        if prod(sizes) > np.iinfo(np.int64).max:  # combinations have no number of 64 bits
            self._numbers = {tuple(point): number for number, point in enumerate(points.tolist())}
            return
        keys = np.ravel_multi_index(tuple(points.T), sizes)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def __call__(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._numbers is not None:
            found = [self._numbers.get(tuple(point), -1) for point in points.tolist()]
            return np.array(found, np.int64)
        keys = np.ravel_multi_index(tuple(points.T), self._sizes)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1)


def _listed(columns: Sequence[str] | str) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _check_columns(
    columns: Sequence[str], accuracy: str, latency: Sequence[str], ignore: Sequence[str]
) -> None:
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


def _choice(name: str, column: pd.Series) -> tuple[Choice, NDArray[np.int64]]:
    """A column as a choice, and each row's option."""
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty):
        raise BadInput(
            f"column {name!r} is empty in {_rows(empty)}; a choice needs an option in every row: fill it, "
            "leave these rows out, or ignore the column"
        )
    values = [value.item() if isinstance(value, np.generic) else value for value in column.tolist()]
    for number, value in enumerate(values):
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
            raise BadInput(
                f"column {name!r} has {value!r} in row {number}; an option is a text, yes or no, or a finite "
                "number: convert it, or ignore the column"
            )
    if 0 < sum(isinstance(value, bool) for value in values) < len(values):
        raise BadInput(f"column {name!r} has yes or no in some rows and something else in others; take one")
    options = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    index = {option: at for at, option in enumerate(options)}
    return Choice(name, tuple(options)), np.array([index[value] for value in values], np.int64)


def _figures(name: str, column: pd.Series) -> NDArray[np.float64]:
    """A column as numbers."""
    import pandas as pd

    figures = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    for number in np.flatnonzero(~np.isfinite(figures))[:1]:
        value = column.tolist()[number]
        raise BadInput(
            f"column {name!r} has {'nothing' if pd.isna(value) else repr(value)} in row {number}; every row "
            "needs a finite number: leave rows without one out"
        )
    return figures


def _check_range(name: str, figures: NDArray[np.float64], right: NDArray[np.bool_], rule: str) -> None:
    wrong = np.flatnonzero(~right)
    if len(wrong):
        raise BadInput(f"column {name!r} is {figures[wrong[0]]:g} in {_rows(wrong)}; {rule}")


def _repeated(points: NDArray[np.int64], names: Sequence[str]) -> str:
    """What to say of rows with the same options."""
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
