from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mnas.costs import Goal
from mnas.errors import BadRun
from mnas.gaps import Gap, keep
from mnas.run import Result, make_run
from mnas.status import Status, goals_of, read_reference, status_of, values
from mnas.wanted import OtherCost
from tests.mnas.toy import config

GOALS = (
    Goal("latency_ms", target=10.0),
    Goal("latency_ms:pi5", target=40.0, cap=80.0),
    Goal("parameters", objective=False),
)


def result(number: int, accuracy: float, latency_ms: float, pi5: float, **changes: object) -> Result:
    costs = {"latency_ms:pi5": pi5, "parameters": 1e6}
    trained = Result(number, (number,), f"a{number}", accuracy, latency_ms, "trained", 1.0, costs=costs)
    return replace(trained, **changes)  # type: ignore[arg-type]  # any field


RESULTS = (
    result(0, 0.70, 5.0, 30.0),
    result(1, 0.80, 9.5, 39.0),
    result(2, 0.78, 9.0, 45.0),  # fast here, slow there
    result(3, 0.69, 6.0, 29.0),
    result(4, 0.60, 6.0, 31.0),  # beaten by 0 in everything
    replace(result(5, 0.95, 9.0, 20.0), state="infeasible", accuracy=None, message="as told"),
    result(6, 0.80, 9.5, 39.0, repeats=1),
    replace(result(7, 0.80, 9.5, 39.0), state="failed", accuracy=None, latency_ms=None),
)


def status(**changes: object) -> Status:
    whole = Status(RESULTS, 10, GOALS, reference={"latency_ms": 20.0, "latency_ms:pi5": 80.0})
    return replace(whole, **changes)  # type: ignore[arg-type]  # any field


def test_the_front_is_over_all_objectives() -> None:
    assert [one.number for one in status().front] == [0, 3, 2, 1]
    assert status().point(RESULTS[2]) == (0.78, 9.0, 45.0)
    assert status().objectives == ("latency_ms", "latency_ms:pi5")
    assert Status((), 10, GOALS).front == []


def test_the_best_is_under_every_target_as_the_devices_have_it() -> None:
    assert status().best is RESULTS[1]
    assert status(factors={"latency_ms:pi5": 1.1}).best is RESULTS[0]
    assert status(factors={"latency_ms:pi5": 0.85, "latency_ms": 1.06}).best is RESULTS[2]
    assert status(factors={"latency_ms": 3.0}).best is None
    assert status(goals=(Goal("latency_ms"), *GOALS[1:])).best is RESULTS[1]
    measured = result(8, 0.9, 12.0, 39.0, measured_ms={"latency_ms": 9.9})
    assert status(results=(*RESULTS, measured), factors={"latency_ms": 1.05}).best is measured
    assert status().corrected(measured) == {"latency_ms": 9.9, "latency_ms:pi5": 39.0, "parameters": 1e6}


def test_what_was_measured_later_on_the_front_counts_rather_than_the_factor() -> None:
    seen = {"latency_ms": {"a1": 10.5, "a2": 9.9}, "latency_ms:pi5": {"a2": 39.9}}
    found = status(measured=seen, factors={"latency_ms": 0.5})
    assert found.corrected(RESULTS[1])["latency_ms"] == 10.5
    assert found.corrected(RESULTS[0])["latency_ms"] == 2.5
    assert found.best is RESULTS[2]
    before = replace(RESULTS[1], measured_ms={"latency_ms:pi5": 38.0})
    assert found.measured_of(before) == {"latency_ms": 10.5, "latency_ms:pi5": 38.0}


def test_a_run_has_factors_and_what_was_measured_in_its_gaps(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", config(target_ms=10.0)) as run:
        for one in RESULTS[:4]:
            run.record(one)
        assert status_of(run).best == RESULTS[1]
        for why, network, predicted_ms in (("front", "a1", 9.5), ("anchor", "anchor-1", 9.0)):
            keep(
                run.gaps,
                Gap("now", "latency_ms", why, network, None, 4, 1, predicted_ms, None, None, 10.2, 5),
            )
        found = status_of(run)
        assert found.corrected(RESULTS[1])["latency_ms"] == 10.2
        assert found.factors["latency_ms"] > 1.05
        assert found.best == RESULTS[2]  # 9 ms, times a factor of at most 10 / 9
        assert status_of(run, {}).corrected(RESULTS[2])["latency_ms"] == 9.0


def test_a_result_without_the_cost_of_a_target_is_refused() -> None:
    goals = (Goal("latency_ms"), Goal("energy_mj", objective=False, target=3.0))
    with pytest.raises(BadRun, match="result 0 has no energy_mj"):
        _ = Status(RESULTS[:1], 1, goals).best


def test_counts_and_the_feasible_share() -> None:
    assert (status().count("trained"), status().count("infeasible"), status().repeated) == (5, 1, 1)
    assert [one.number for one in status().trained] == [0, 1, 2, 3, 4]
    assert status().feasible_share == pytest.approx(1 - 1 / 6)  # of six whose costs are known
    assert status(results=()).feasible_share is None


def test_the_hypervolume_goes_to_the_reference_and_only_grows() -> None:
    one = status(results=RESULTS[:1])
    assert one.hypervolume == pytest.approx(0.70 * 15 * 50)
    grown = [status(results=RESULTS[:count]).hypervolume for count in range(len(RESULTS) + 1)]
    assert grown[0] == 0
    assert grown == sorted(grown)
    assert status(factors={"latency_ms": 5.0}).hypervolume == grown[-1]  # the table's own milliseconds
    assert status(reference={"latency_ms": 20.0}).hypervolume is None


def test_a_result_of_a_search_for_other_costs_is_refused() -> None:
    with pytest.raises(BadRun, match="result 0 has no energy_mj"):
        values(RESULTS[0], (*GOALS, Goal("energy_mj")))


def test_a_run_has_its_status_in_its_files(tmp_path: Path) -> None:
    pi5 = OtherCost(objective=False, cap=80.0, table="pi5.db", device="pi5", threads=4)
    wanted = config(target_ms=10.0, cap_ms=12.0, also={"latency_ms:pi5": pi5})
    with make_run(tmp_path / "x", wanted) as run:
        assert goals_of(run.config) == (
            Goal("latency_ms", target=10.0, cap=12.0),
            Goal("latency_ms:pi5", objective=False, cap=80.0),
        )
        for one in RESULTS:
            run.record(one)
        run.reference_file.write_text('{"latency_ms": 12.0}')
        found = status_of(run, {"latency_ms": 1.01})
    assert found.results == RESULTS
    assert [one.number for one in found.front] == [0, 2, 1]  # the other device is no objective
    assert found.best == RESULTS[1]
    assert found.hypervolume == pytest.approx(0.70 * 4 + 0.78 * 0.5 + 0.80 * 2.5)


def test_a_reference_file_that_is_none(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", config()) as run:
        assert read_reference(run) == {}
        for text in ("nonsense", "[1]", '{"latency_ms": "far"}'):
            run.reference_file.write_text(text)
            with pytest.raises(BadRun, match=r"reference\.json: no reference point"):
                read_reference(run)
