"""Whether a search over points that are all known has anything left that its caps allow. Proposes nothing."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import cached_property

from mnas.costs import Cost, Figures, Goal
from mnas.problem import Correction, known_of
from mnas.spaces.base import SearchSpace
from mnas.spaces.sampling import points_of


class Left:
    """The points that exist, by what can be looked up of them.

    Args:
        space: of all combinations of options, nothing is said.
        costs: of its architectures.
        goals: one for each cost, in their order.
        correction: by which caps move as the search goes on.
    """

    def __init__(
        self,
        space: SearchSpace,
        costs: Sequence[Cost],
        goals: Sequence[Goal],
        correction: Correction | None = None,
    ) -> None:
        self._points = points_of(space)
        self._known = known_of(costs, goals, correction)  # what has a cap is known

    def none(self, seen: Set[tuple[int, ...]]) -> bool:
        """Whether each point that the caps allow now is among those seen; False where that is not known."""
        if self._points is None or self._known is None:
            return False
        allowed = self._points[self._known.allowed(self._figures)]
        return all(tuple(point) in seen for point in allowed.tolist())

    @cached_property
    def _figures(self) -> Figures:
        assert self._known is not None  # `none` has looked
        assert self._points is not None
        return self._known.figures(self._points)
