from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import BadInput
from mnas.problem import problem_of
from mnas.spaces.sampling import points_of, size
from mnas.spaces.tabular import TableSpace

FRAME = pd.DataFrame(
    {
        "operation": ["ds", "ir", "ir", "ds"],
        "kernel": [5, 3, 5, 11],
        "se": [True, False, True, True],
        "ratio": [0.25, 0.5, 0.25, 0.25],
        "acc": [0.5, 0.6, 0.7, 0.8],
        "ms": [1.0, 2.0, 3.0, 4.0],
    },
    index=[7, 7, 8, 9],
)


def test_all_other_columns_are_choices_with_sorted_options() -> None:
    space = TableSpace(FRAME)
    assert {choice.name: choice.options for choice in space.choices} == {
        "operation": ("ds", "ir"),
        "kernel": (3, 5, 11),
        "se": (False, True),
        "ratio": (0.25, 0.5),
    }
    options = [option for choice in space.choices for option in choice.options]
    assert {type(option) for option in options} == {str, int, bool, float}  # none of NumPy's


def test_rows_are_numbered_from_0_whatever_the_index_is() -> None:
    space = TableSpace(FRAME)
    row = space.decode(space.points[3].tolist())
    assert (str(row), row.accuracy, row.costs) == ("row 3", 0.8, {"ms": 4.0})
    assert row.options == {"operation": "ds", "kernel": 11, "se": True, "ratio": 0.25}
    assert space.evaluate(row) == 0.8
    assert np.array_equal(space.figures, FRAME[["acc", "ms"]])


def test_a_column_of_one_value_is_a_choice_of_one_option() -> None:
    space = TableSpace(FRAME.assign(dataset="digits"))
    assert space.choices[-1].options == ("digits",)
    assert space.decode(space.points[1].tolist()).options["dataset"] == "digits"


def test_ignored_columns_are_no_choices_and_several_latencies_are_costs() -> None:
    space = TableSpace(FRAME.assign(macs=[9, 8, 7, 6]), "acc", ["ms", "macs"], ignore=["ratio", "se"])
    assert [choice.name for choice in space.choices] == ["operation", "kernel"]
    assert [cost.name for cost in space.costs] == ["ms", "macs"]
    assert [cost.predict(space.row(2)).value for cost in space.costs] == [3.0, 7.0]


def test_numbers_come_before_texts_and_are_not_mixed_with_yes_and_no() -> None:
    frame = FRAME.assign(ratio=["none", 0.5, 0.25, 2])
    assert TableSpace(frame).choices[-1].options == (0.25, 0.5, 2, "none")
    with pytest.raises(BadInput, match="'ratio' has yes or no in some rows"):
        TableSpace(FRAME.assign(ratio=[True, 1, 0, False]))


def test_accuracies_in_percent_are_read_as_shares() -> None:
    space = TableSpace(FRAME.assign(acc=[0.8, 50.0, 93.5, 100]))
    assert space.percent
    assert space.figures[:, 0].tolist() == pytest.approx([0.008, 0.5, 0.935, 1.0])
    assert not TableSpace(FRAME.assign(acc=[0, 1, 1, 1])).percent


NAN = float("nan")
BAD = {
    "shares above 1": ({"acc": [0.5, 0.6, 1.5, 0.2]}, {}, "'acc' is 1.5 in row 2; .* all be shares"),
    "percent above 100": ({"acc": [50, 60, 70, 101]}, {}, "'acc' is 101 in row 3; .* percentages"),
    "accuracy below 0": ({"acc": [-1, 0.5, 0.5, -2]}, {}, "'acc' is -1 in rows 0, 3; "),
    "no accuracy": ({"acc": [0.1, NAN, 0.3, NAN]}, {}, "'acc' has nothing in row 1; "),
    "accuracy as text": ({"acc": ["0.1", "0.2", "?", "0.3"]}, {}, r"'acc' has '\?' in row 2; "),
    "latency 0": ({"ms": [1.0, 0.0, 2.0, 3.0]}, {}, "'ms' is 0 in row 1; latencies must be above 0"),
    "infinite latency": ({"ms": [1.0, np.inf, 2.0, 3.0]}, {}, "'ms' has inf in row 1; "),
    "no option": ({"kernel": [3, None, 5, None]}, {}, "'kernel' is empty in rows 1, 3; .* ignore the column"),
    "infinite option": ({"ratio": [1.0, 2.0, np.inf, 2.0]}, {}, "'ratio' has inf in row 2; "),
    "an option beyond floats": ({"ratio": [1, 2, 10**400, 2]}, {}, r"'ratio' has 10*\.\.\.0* in row 2; "),
    "list as option": ({"ratio": [[1], [2], [3], [4]]}, {}, r"'ratio' has \[1\] in row 0; "),
    "date as option": ({"ratio": pd.date_range("2020", periods=4)}, {}, "'ratio' has Timestamp"),
    "unknown accuracy": ({}, {"accuracy": "accc"}, r"no column 'accc' as accuracy \(did you mean acc\?\);"),
    "unknown latency": ({}, {"latency": ["ms", "watt"]}, "'watt' as latency; it has: operation, kernel, se,"),
    "unknown ignored": ({}, {"ignore": ["id"]}, "no column 'id' as ignored"),
    "no latency": ({}, {"latency": []}, "no latency column is given; the table has: operation, kernel"),
    "a column twice": ({}, {"ignore": ["ms"]}, "column 'ms' is given more than once"),
    "no choice": ({}, {"ignore": ["operation", "kernel", "se", "ratio"]}, "the table has no choices"),
    "repeated rows": ({}, {"ignore": ["operation", "kernel"]}, "rows 0, 2, 3 have the same options"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_by_row_and_column(name: str) -> None:
    columns, arguments, message = BAD[name]
    with pytest.raises(BadInput, match=message):
        TableSpace(FRAME.assign(**columns), **arguments)


def test_many_bad_rows_are_counted() -> None:
    frame = pd.DataFrame({"a": range(9), "acc": [0.5] * 9, "ms": [0.0] * 9})
    with pytest.raises(BadInput, match=r"in rows 0, 1, 2 and 6 more; "):
        TableSpace(frame)


def test_empty_tables_and_columns_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="has no rows, only columns: operation, kernel"):
        TableSpace(FRAME.iloc[:0])
    with pytest.raises(BadInput, match="more than one column 'ms'"):
        TableSpace(FRAME.set_axis(["a", "b", "c", "ms", "acc", "ms"], axis=1))


def test_what_is_no_row_is_refused_by_its_options() -> None:
    space = TableSpace(FRAME)
    with pytest.raises(BadInput, match=r"no row with operation=ds, kernel=3, se=False, ratio=0\.25"):
        space.decode([0, 0, 0, 0])
    with pytest.raises(BadInput, match="index 3 of choice kernel"):
        space.decode([0, 3, 0, 0])
    with pytest.raises(BadInput, match="row 4; the table has rows 0 to 3"):
        space.row(4)


def test_columns_that_name_rows_are_suspected() -> None:
    frame = pd.DataFrame(list(product(range(3), range(4))), columns=["a", "b"]).assign(acc=0.5, ms=1.0)
    assert TableSpace(frame).naming == ()
    described = frame.assign(architecture=[f"n{at}" for at in range(12)], macs=[1, *range(11)])
    assert TableSpace(described).naming == ("architecture", "macs")
    alone = described[["architecture", "acc", "ms"]]
    assert TableSpace(alone).naming == ()  # without it, rows would be the same


def test_unknown_latencies_are_objectives_that_no_strategy_is_told() -> None:
    known, unknown = TableSpace(FRAME), TableSpace(FRAME, known=False)
    assert problem_of(known, known.costs, known.goals).known is not None
    problem = problem_of(unknown, unknown.costs, unknown.goals)
    assert problem.known is None
    assert problem.size == size(unknown) == 4
    assert points_of(unknown) is unknown.points


@st.composite
def sparse(draw: st.DrawFn) -> pd.DataFrame:
    """Some of the combinations of a few choices, in any order, or rows of many choices."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    every = list(product(*map(range, sizes)))
    rows = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    many = draw(st.sampled_from([0, 50]))  # 4 options in 50 columns more: too many combinations for 64 bits
    frame = pd.DataFrame(rows, columns=[f"c{at}" for at in range(len(sizes))])
    more = {f"d{at}": [hash((at, row)) % 4 for row in rows] for at in range(many)}
    figures = np.random.default_rng(len(rows)).uniform(0.01, 1, (len(rows), 2))
    return pd.concat(
        [frame, pd.DataFrame(more, index=frame.index), pd.DataFrame(figures, columns=["acc", "ms"])], axis=1
    )


@settings(max_examples=50, deadline=None)
@given(sparse())
def test_points_rows_and_figures_agree(frame: pd.DataFrame) -> None:
    space = TableSpace(frame)
    assert space.numbers(space.points).tolist() == list(range(len(frame)))
    assert np.array_equal(space.costs[0].figures(space.points), frame["ms"])
    for number, point in enumerate(space.points.tolist()):
        row = space.decode(point)
        assert row == space.row(number)
        assert list(row.options.values()) == frame.iloc[number, :-2].tolist()
    sizes = [len(choice.options) for choice in space.choices]
    others = np.random.default_rng(0).integers(0, sizes, (20, len(sizes)))
    exist = {tuple(point) for point in space.points.tolist()}
    found = space.costs[0].figures(others)
    assert [np.isfinite(one) for one in found] == [tuple(point) in exist for point in others.tolist()]
