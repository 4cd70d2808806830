"""What benchmarks/predictors.py calls met, told from runs that are made up."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.benchmark_modules import loaded


@pytest.fixture(scope="module")
def predictors() -> ModuleType:
    return loaded("predictors")


def entry(
    module: ModuleType,
    run: int,
    line: str = "224-float32",
    *,
    mape: float = 1.5,
    floor: float = 1.0,
    within: float = 100.0,
    spearman: float = 0.995,
    networks: int = 30,
    held: int = 27,
    width: float = 6.0,
    hour: int | None = None,
) -> Any:
    """A run's entry, made at its own hour, in which `held` of the intervals hold."""
    half = width / 200
    details = [
        {"low_ms": 1 - half, "high_ms": 1 + half, "measured_ms": 1.0 if number < held else 2.0}
        for number in range(networks)
    ]
    for one in details[held:]:
        one["low_ms"], one["high_ms"] = 1.9 - half, 1.9 + half
    found = {
        "started_at": f"2026-01-02T{run if hour is None else hour:02}:00:00+00:00",
        "networks": networks,
        "mape_percent": mape,
        "noise_floor_percent": floor,
        "within_10_percent": within,
        "spearman": spearman,
        "interval": {"perfect_width_percent": 2.0},
        "details": details,
    }
    return module.Entry(run, line, found)


@pytest.mark.parametrize(
    ("figures", "met"),
    [
        ({}, True),
        ({"mape": 2.0}, True),
        ({"mape": 2.01}, False),
        ({"within": 97.0}, False),
        ({"spearman": 0.98}, False),
        ({"networks": 29, "held": 27}, False),
    ],
)
def test_a_line_holds_by_all_of_its_goals(predictors: ModuleType, figures: dict[str, Any], met: bool) -> None:
    line = predictors.LINES[0]
    runs = [entry(predictors, 1, **figures), entry(predictors, 2, **figures)]
    assert predictors.judge_line(line, runs).met is met
    assert predictors.judge_line(line, [entry(predictors, 1, "96-int8", **figures)]).met is False  # no run


def test_errors_are_judged_over_the_networks_of_all_runs(predictors: ModuleType) -> None:
    line = predictors.LINES[0]
    runs = [entry(predictors, 1, mape=2.3), entry(predictors, 2, mape=1.9, networks=90)]
    assert predictors.judge_line(line, runs).met
    assert "2.00 % over 120 networks" in predictors.judge_line(line, runs).text
    assert not predictors.judge_line(line, runs[:1]).met


def test_the_noise_floor_excuses_in_three_runs_at_different_times_only(predictors: ModuleType) -> None:
    line = predictors.LINES[0]
    loud = [entry(predictors, run, mape=3.5, floor=3.0, spearman=0.98) for run in (1, 2, 3)]
    assert predictors.judge_line(line, loud).met
    assert "by the noise floor of each run" in predictors.judge_line(line, loud).text
    assert not predictors.judge_line(line, loud[:2]).met
    at_once = [entry(predictors, run, mape=3.5, floor=3.0, hour=1) for run in (1, 2, 3)]
    assert not predictors.judge_line(line, at_once).met
    too_far = [*loud[:2], entry(predictors, 3, mape=3.7, floor=3.0)]
    assert not predictors.judge_line(line, too_far).met
    quiet = [*loud[:2], entry(predictors, 3, mape=2.1, floor=1.9)]  # the floor is no excuse there
    assert not predictors.judge_line(line, quiet).met


@pytest.mark.parametrize(
    ("figures", "met"),
    [({}, True), ({"held": 25}, False), ({"held": 30}, False), ({"width": 8.5}, False), ({"hour": 1}, False)],
)
def test_intervals_hold_pooled_over_two_runs(
    predictors: ModuleType, figures: dict[str, Any], met: bool
) -> None:
    lines = predictors.LINES
    runs = [entry(predictors, run, line.name, **figures) for run in (1, 2) for line in lines]
    verdict = predictors.judge_intervals(lines, runs)
    assert verdict.met is met, verdict.text
    assert "of 240 intervals" in verdict.text
    assert not predictors.judge_intervals(lines, runs[:4]).met  # too few, and at one time


def test_a_run_that_was_not_ended_is_gone_on_with(predictors: ModuleType) -> None:
    lines = predictors.LINES
    whole = [entry(predictors, 1, line.name) for line in lines]
    assert predictors.next_run([], lines) == 1
    assert predictors.next_run(whole[:3], lines) == 1
    assert predictors.next_run(whole, lines) == 2
