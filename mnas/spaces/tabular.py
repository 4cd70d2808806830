"""A table of architectures that were evaluated already, as a search space. Knows no file and no strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnas.costs import Amount, Goal
from mnas.errors import BadInput
from mnas.spaces.base import Option, check_indices
from mnas.spaces.columns import check_columns, check_range, choice_of, figures_of, repeated

if TYPE_CHECKING:
    import pandas as pd


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
        check_columns(columns, accuracy, latency, ignore)
        if not len(frame):
            raise BadInput(f"the table has no rows, only columns: {', '.join(columns)}")
        taken = {accuracy, *latency, *ignore}
        named = dict(zip(columns, (frame.iloc[:, at] for at in range(len(columns))), strict=True))
        menus = {column: choice_of(column, values) for column, values in named.items() if column not in taken}
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
            raise BadInput(repeated(self.points, [choice.name for choice in self.choices]))
        figures = figures_of(accuracy, named[accuracy])
        #: whether the table has its accuracies in percent
        self.percent = bool(np.mean(figures > 1) > 0.5)
        top = 100 if self.percent else 1
        check_range(
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
            [shares, *(figures_of(column, named[column]) for column in latency)], axis=1
        )
        for column, values in zip(latency, self.figures.T[1:], strict=True):
            check_range(column, values, values > 0, "latencies must be above 0")
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
