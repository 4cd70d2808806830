import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.guided.scales import front

ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 4), min_size=width, max_size=width), min_size=1)
)


@settings(deadline=None)
@given(ROWS)
def test_a_front_is_what_no_row_dominates(rows: list[list[int]]) -> None:
    costs = np.array(rows, float)
    dominated = [np.any(np.all(costs <= row, axis=1) & np.any(costs < row, axis=1)) for row in costs]
    assert front(costs).tolist() == [not one for one in dominated]


def test_a_front_of_nothing_of_one_value_and_of_what_is_no_number() -> None:
    assert front(np.zeros((0, 2))).tolist() == []
    assert front(np.zeros((3, 0))).tolist() == [True] * 3
    assert front(np.array([[np.nan, 1.0], [1.0, 2.0], [2.0, 3.0]])).tolist() == [True, True, False]
