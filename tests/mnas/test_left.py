"""Whether a cap leaves anything."""

from __future__ import annotations

import pandas as pd

from mnas.costs import Goal, Latency, goals_for
from mnas.left import Left
from mnas.spaces.tabular import TableSpace
from tests.mnas.toy import MacsLatency, ToySpace


class Moving:
    """A device that becomes slower or faster than its table."""

    measured = 1.0

    def factor(self, cost: str) -> float:
        return self.measured


def test_none_is_left_once_all_that_every_cap_allows_was_seen_as_the_correction_moves_them() -> None:
    space = TableSpace(
        pd.DataFrame({"a": [0, 1, 2, 3], "acc": [0.5] * 4, "ms": [1, 2, 3, 4], "mj": [1, 9, 1, 1]}),
        latency=["ms", "mj"],
    )
    goals = goals_for(space.costs, [Goal("ms", cap=3), Goal("mj", objective=False, cap=5)])
    correction = Moving()
    left = Left(space, space.costs, goals, correction)
    assert not left.none({(1,), (3,)})
    assert not left.none({(0,)})
    assert left.none({(0,), (2,)})
    correction.measured = 0.5
    assert not left.none({(0,), (2,)})
    assert left.none({(0,), (1,), (2,), (3,)})


def test_of_spaces_whose_points_are_not_listed_nothing_is_said() -> None:
    space = ToySpace(1)
    cost = Latency(MacsLatency(), space)
    assert not Left(space, [cost], [Goal(cost.name, cap=1e-9)]).none(set())
