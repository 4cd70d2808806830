"""What a strategy may be told of a search beyond what its study says. Knows no strategy and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from controllers.errors import BadSetting

Option = str | int | float
#: one option index per choice, in the order of the choices
Point = tuple[int, ...]
Points = NDArray[np.int64]
Figures = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Figures that are known of a point before it is evaluated, such as a latency from a table.

    Attributes:
        figures: points [n, d] to figures [n, k]; less is better.
        objectives: for each of the k columns its position among the study's objectives; None for a figure
            that is no objective. The study's values are these figures.
        allowed: figures [n, k] to which of the n points may be evaluated at all. The answer may change as the
            search goes on.
        pool: how many points a strategy may have looked up for one proposal.
    """

    figures: Callable[[Points], Figures]
    objectives: tuple[int | None, ...]
    allowed: Callable[[Figures], NDArray[np.bool_]]
    pool: int = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What a search chooses from, and what is known of it.

    Attributes:
        choices: options by name, in the order in which a controller decides.
        known: what is known before a point is evaluated; None if nothing is.
        reward: of a finished trial, more is better: what strategies that learn from one number learn from.
            None lets them make one from the study's values (controllers.replay).
        points: the points that exist, [n, d]; None if every combination of options does.
        trials: how many are to be made, for strategies that plan ahead; None if nobody knows. It stays as it
            is where a search is made longer, or what is proposed would change.
        existing: the same as a set.
        distributions: the choices in Optuna's words.

    Raises:
        BadSetting: points of another shape.
    """

    choices: Mapping[str, Sequence[Option]]
    known: Known | None = None
    reward: Callable[[FrozenTrial], float] | None = None
    points: Points | None = None
    trials: int | None = None
    existing: frozenset[Point] | None = field(init=False)
    distributions: Mapping[str, CategoricalDistribution] = field(init=False)

    def __post_init__(self) -> None:
        if self.points is not None and (
            self.points.ndim != 2 or self.points.shape[1] != len(self.choices) or not len(self.points)
        ):
            raise BadSetting(
                f"points of shape {self.points.shape}; expected (points, {len(self.choices)}), at least one, "
                "an option index for each choice"
            )
        rows = None if self.points is None else frozenset(map(tuple, self.points.tolist()))
        object.__setattr__(self, "existing", rows)
        menus = {name: CategoricalDistribution(tuple(options)) for name, options in self.choices.items()}
        object.__setattr__(self, "distributions", menus)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of options of each choice."""
        return tuple(len(options) for options in self.choices.values())

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.existing) if self.existing is not None else prod(self.sizes)
