"""Searches over tables: what they evaluate, and how far that is from all there is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import GridSampler, RandomSampler

from controllers import registry
from controllers.errors import MissingExtra
from mnas.costs import Goal
from mnas.errors import BadInput, Infeasible
from mnas.latency import Latency
from mnas.search import search
from mnas.spaces.tabular import Row, TableSpace
from mnas.table_search import TableTruth, run_table

NAMES = registry.names()


def sparse(seed: int, sizes: Sequence[int] = (4, 3, 3, 2), rows: int = 20, latencies: int = 1) -> TableSpace:
    """Some of the combinations of a few choices, in any order; figures have equals."""
    rng = np.random.default_rng(seed)
    every = np.array(list(product(*map(range, sizes))))
    frame = pd.DataFrame(rng.permutation(every)[:rows], columns=[f"c{at}" for at in range(len(sizes))])
    names = [f"ms{at}" for at in range(latencies)]
    accuracy = np.round(0.5 + 0.4 * frame.mean(axis=1) / max(sizes) + rng.uniform(0, 0.1, len(frame)), 2)
    frame = frame.assign(acc=accuracy)
    for name in names:
        frame[name] = np.round(rng.uniform(1, 9, len(frame)) + frame["c0"], 1)
    return TableSpace(frame, latency=names)


def made(name: str, space: TableSpace, **arguments: object) -> tuple[int, ...]:
    """The rows that a strategy evaluates."""
    try:
        return run_table(space, name, **arguments).evaluated  # type: ignore[arg-type]  # a test's values
    except MissingExtra as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gp"])
@pytest.mark.parametrize(("seed", "latencies"), [(0, 1), (1, 2)])
def test_a_strategy_evaluates_every_row_once(name: str, seed: int, latencies: int) -> None:
    space = sparse(seed, latencies=latencies, rows=14 + seed)
    rows = made(name, space, trials=100, seed=seed)
    assert sorted(rows) == list(range(len(space)))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gp"])
def test_a_strategy_repeats_by_its_seed_and_stops_when_told(name: str) -> None:
    space = sparse(2, rows=40)
    first = made(name, space, trials=12, seed=5)
    assert len(set(first)) == 12
    assert first == made(name, space, trials=12, seed=5)
    assert first != made(name, space, trials=12, seed=6)


@pytest.mark.gp
@pytest.mark.skipif("gp" not in NAMES, reason="there is no gp in the registry")
def test_gp_evaluates_every_row_once() -> None:
    space = sparse(0, rows=10)
    assert sorted(made("gp", space, trials=100)) == list(range(10))


def test_all_rows_are_all_there_is_to_find() -> None:
    space = sparse(3)
    result = run_table(space, "random", trials=21, seed=1)
    assert (result.exhausted, result.stopped) == (True, "every point of the space has been looked at")
    assert (result.hypervolume_ratio, result.hypervolume_ratio_lowest) == (1.0, 1.0)
    assert (result.front_found, result.regret) == (result.front_size, 0.0)
    assert result.front == tuple(TableTruth(space).front.tolist())
    assert run_table(space, "random", trials=20, seed=1).stopped is None


def area(points: Sequence[tuple[float, float]], largest: float, lowest: float) -> float:
    """The area that (accuracy, latency) points dominate, counted cell by cell between all their figures."""
    tall = sorted({lowest, *(accuracy for accuracy, _ in points)})
    wide = sorted({largest, *(latency for _, latency in points)})
    return sum(
        (high - low) * (right - left)
        for low, high in pairwise(tall)
        for left, right in pairwise(wide)
        if any(accuracy >= high and latency <= left for accuracy, latency in points)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 19), min_size=1, max_size=12))
def test_the_curves_are_shares_of_the_tables_own_hypervolume(seed: int, rows: list[int]) -> None:
    space = sparse(seed)
    result = TableTruth(space).judge(rows)
    assert result.evaluated == tuple(rows)
    points = [(float(accuracy), float(latency)) for accuracy, latency in space.figures]
    largest, lowest = max(latency for _, latency in points), min(accuracy for accuracy, _ in points)
    for curve, bottom in ((result.curve, 0.0), (result.curve_lowest, lowest)):
        assert curve is not None
        whole = area(points, largest, bottom)
        expected = [
            area([points[row] for row in rows[: at + 1]], largest, bottom) / whole for at in range(len(rows))
        ]
        assert curve.tolist() == pytest.approx(expected)
        assert np.all(np.diff(curve) >= 0)
    front = [
        row
        for row in dict.fromkeys(rows)
        if not any(
            points[other][0] >= points[row][0]
            and points[other][1] <= points[row][1]
            and points[other] != points[row]
            for other in rows
        )
    ]
    assert sorted(result.front) == sorted(front)
    assert [points[row][1] for row in result.front] == sorted(points[row][1] for row in result.front)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gp"])
def test_a_cap_rules_rows_out_before_they_are_evaluated(name: str) -> None:
    space = sparse(4, rows=30)
    cap = float(np.median(space.figures[:, 1]))
    result = run_table(space, name, trials=100, goals=[Goal("ms0", cap=cap)])
    under = np.flatnonzero(space.figures[:, 1] <= cap).tolist()
    assert sorted(result.evaluated) == under
    assert len(result.infeasible) == 1  # by which it was seen that nothing else is left
    assert result.stopped == "every point of the space that the caps allow has been looked at"
    assert result.exhausted
    assert result.hypervolume_ratio == result.hypervolume_ratio_lowest == 1.0
    assert result.front_found == result.front_size


def test_a_search_ends_when_all_that_a_cap_allows_was_found_by_who_proposes_the_rest_too() -> None:
    space = sparse(4, rows=30)
    cap = float(np.sort(space.figures[:, 1])[4])
    goals, settings = [Goal("ms0", cap=cap)], {"screened": "no"}
    result = run_table(space, "random", trials=100, settings=settings, goals=goals)
    assert sorted(result.evaluated) == np.flatnonzero(space.figures[:, 1] <= cap).tolist()
    assert result.exhausted
    assert 0 < len(result.infeasible) < 26


def test_of_rows_that_are_equally_accurate_the_cheapest_is_best() -> None:
    space = TableSpace(pd.DataFrame({"a": [0, 1, 2], "acc": [0.9, 0.9, 0.8], "ms": [5, 3, 1]}))
    result = TableTruth(space).judge([0, 1, 2])
    assert result.best == 1
    assert result.best in result.front


def test_the_best_row_and_its_regret_are_within_the_targets() -> None:
    space = TableSpace(
        pd.DataFrame(
            {"a": [0, 1, 2, 3], "acc": [0.5, 0.6, 0.7, 0.9], "ms": [1, 2, 3, 4], "mj": [9, 8, 1, 9]}
        ),
        latency=["ms", "mj"],
    )
    truth = TableTruth(space, [Goal("ms", target=3)])
    assert (truth.best_accuracy, truth.judge([3]).best, truth.judge([3]).regret) == (0.7, None, None)
    result = truth.judge([3, 0, 1])
    assert (result.best, result.regret) == (1, pytest.approx(0.1))
    assert TableTruth(space, [Goal("ms", target=3), Goal("mj", cap=8)]).judge([1]).regret == pytest.approx(
        0.1
    )
    with pytest.raises(Infeasible, match=r"reaches 1 ms and 8 mj at once, .* has 1 ms and 9 mj: row 0"):
        TableTruth(space, [Goal("ms", target=1), Goal("mj", cap=8)])
    with pytest.raises(BadInput, match="a goal is about watt"):
        TableTruth(space, [Goal("watt")])
    with pytest.raises(BadInput, match="row 4; the table has rows 0 to 3"):
        truth.judge([4])


def test_an_evaluation_without_a_row_counts_but_finds_nothing() -> None:
    truth = TableTruth(sparse(0))
    plain, result = truth.judge([5, 2]), truth.judge([-1, 5, -1, 5, 2])
    assert result.evaluated == (-1, 5, -1, 5, 2)
    assert (result.front, result.front_found, result.best) == (plain.front, plain.front_found, plain.best)
    assert plain.curve is not None
    assert result.curve is not None
    assert result.curve.tolist() == [0.0, *[plain.curve[0]] * 3, plain.curve[1]]


def test_a_latency_that_is_no_objective_has_no_part_in_the_front() -> None:
    space = sparse(5, latencies=2)
    goals = [Goal("ms0"), Goal("ms1", objective=False, cap=1e9)]
    alone = TableTruth(TableSpace(frame(space)[["c0", "c1", "c2", "c3", "acc", "ms0"]], latency=["ms0"]))
    assert TableTruth(space, goals).front.tolist() == alone.front.tolist()
    result = run_table(space, "regularized_evolution", trials=10, goals=goals)
    judged = alone.judge(result.evaluated)
    assert (result.hypervolume_ratio, result.front) == (judged.hypervolume_ratio, judged.front)


def frame(space: TableSpace) -> pd.DataFrame:
    """A table again."""
    names = [choice.name for choice in space.choices]
    return pd.DataFrame(space.points, columns=names).join(
        pd.DataFrame(space.figures, columns=["acc", *space.latency_names])
    )


def test_a_front_without_volume_has_no_ratio() -> None:
    space = TableSpace(pd.DataFrame({"a": [0, 1], "acc": [0.5, 0.6], "ms": [2, 2]}))
    result = TableTruth(space).judge([0])
    assert (result.hypervolume_ratio, result.curve, result.front_found) == (None, None, 0)
    nothing = TableTruth(sparse(0)).judge([])
    assert (nothing.hypervolume_ratio, nothing.front, nothing.best) == (0.0, (), None)


def test_searching_a_table_needs_neither_accuracy_nor_latency() -> None:
    space = sparse(6)
    status = search(space, "regularized_evolution", trials=8, seed=1)
    assert [result.architecture for result in status.trained] == [
        f"row {row}" for row in run_table(space, "regularized_evolution", trials=8, seed=1).evaluated
    ]
    for result in status.trained:
        row = space.decode(result.choices)
        assert (result.accuracy, result.latency_ms) == (row.accuracy, row.costs["ms0"])


def test_any_optuna_sampler_may_search_where_few_combinations_exist() -> None:
    space = sparse(7, sizes=(5, 5, 4), rows=12)
    result = run_table(space, RandomSampler(seed=0), trials=12)
    assert sorted(result.evaluated) == list(range(12))
    assert result.infeasible == ()


@pytest.mark.parametrize("trials", [12, 40])
def test_a_sampler_that_ends_the_study_ends_the_search(trials: int) -> None:
    space = TableSpace(frame(sparse(7, sizes=(3, 2, 2), rows=12)), latency=["ms0"])
    menus = {choice.name: list(choice.options) for choice in space.choices}
    whole = run_table(space, GridSampler(menus, seed=0), trials=trials)
    assert sorted(whole.evaluated) == list(range(12))
    assert whole.exhausted is (trials > 12)
    half = search(space, GridSampler({**menus, "c0": menus["c0"][:1]}, seed=0), trials=trials)
    assert half.stopped == "the strategy has ended the search"
    assert len(half.trained) == 4


def test_a_latency_of_ones_own_goes_before_the_tables() -> None:
    space = sparse(6)

    class Constant:
        name, quick = "mine", True

        def predict(self, row: Row) -> Latency:
            return Latency(1.0 + row.number)

        def predict_ms(self, row: Row) -> float:
            return self.predict(row).latency_ms

    status = search(space, "random", latency=Constant(), trials=3)
    assert status.objectives == ("latency_ms",)
    assert [one.latency_ms for one in status.trained] == [
        1.0 + space.decode(one.choices).number for one in status.trained
    ]


def test_a_strategy_that_is_told_no_latency_searches_as_if_it_were_unknown() -> None:
    known = sparse(8, rows=40)
    unknown = TableSpace(frame(known), latency=["ms0"], known=False)
    screened = {"screened": "front"}
    with_latency, without = (
        run_table(space, "random", trials=15, settings=screened).evaluated for space in (known, unknown)
    )
    assert without == run_table(known, "random", trials=15).evaluated
    assert with_latency != without
