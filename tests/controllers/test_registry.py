"""Strategies by name, and their settings."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from controllers import registry
from controllers.errors import BadSetting, MissingExtra, UnknownController
from controllers.problem import Problem
from tests.controllers.contract import EXTRAS, NAMES

PROBLEM = Problem({"kernel": (3, 5), "channels": (8, 16, 24)})


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_says_what_it_is(name: str) -> None:
    assert str(registry.create(name, 7)) == f"{name}(seed=7)"
    about = registry.describe(name)
    assert about.summary
    assert about.source
    assert "screened" not in about.settings


def test_there_are_those_that_were_promised() -> None:
    """Ours may grow; none may go."""
    assert {
        "random", "nsga2", "nsga3", "tpe", "gp", "qmc", "regularized_evolution", "predictor_guided", "ppo",
        "reinforce", "q_learning",
    } <= set(registry.names())  # fmt: skip


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UnknownController, match=r"'none'; there are: random, nsga2"):
        registry.create("none", 0)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("random", {"population": 3}, r"random has no setting 'population'; it has: screened"),
        ("nsga2", {"population": "many"}, r"population of nsga2 is 'many'; it must be a whole number"),
        ("nsga2", {"population": 2.5}, r"population of nsga2 is 2\.5; it must be a whole number"),
        ("nsga2", {"population": True}, r"population of nsga2 is True; it must be a whole number"),
        ("nsga2", {"population": 1}, r"population of nsga2 is 1; allowed: 2 to"),
        ("nsga3", {"population": "1"}, r"population of nsga3 is 1; allowed: 2 to"),
        ("nsga3", {"divisions": 0}, r"divisions of nsga3 is 0; allowed: 1 to"),
        ("tpe", {"startup": 0}, r"startup of tpe is 0; allowed: 1 to"),
        ("gp", {"startup": 0}, r"startup of gp is 0; allowed: 1 to"),
        ("tpe", {"screened": "maybe"}, r"screened of tpe is 'maybe'; allowed: no, ruled_out, front"),
        ("tpe", {"screened": True}, r"screened of tpe is True; it must be a word, such as its default"),
        ("ppo", {"batch": float("inf")}, r"batch of ppo is inf; it must be a whole number"),
        ("ppo", {"batch": "inf"}, r"batch of ppo is 'inf'; it must be a whole number"),
        ("ppo", {"aims": 101}, r"aims of ppo is 101; it must be 1 to 100"),
        ("nsga2", {"population": 10_001}, r"population of nsga2 is 10001; allowed: 2 to 10000"),
        ("nsga3", {"divisions": 51}, r"divisions of nsga3 is 51; allowed: 1 to 50"),
        ("regularized_evolution", {"population": 10_001}, r"is 10001; allowed: 2 to 10000"),
        ("regularized_evolution", {"population": 1}, r"population of regularized_evolution is 1; allowed: 2"),
        (
            "regularized_evolution",
            {"tournament": 0},
            r"tournament of regularized_evolution is 0; allowed: 1 to",
        ),
        ("regularized_evolution", {"tournament": 99}, r"is 99; allowed: 1 to its population"),
    ],
)
def test_a_setting_that_is_not_taken_is_refused_at_once(
    name: str, settings: dict[str, Any], message: str
) -> None:
    for problem in (None, PROBLEM):
        with pytest.raises(BadSetting, match=message):
            registry.create(name, 0, problem, settings)


def test_texts_are_read_as_what_the_default_is() -> None:
    registry.create("nsga2", 0, PROBLEM, {"population": "8", "screened": "front"})
    for text in ("2", "2.0"):
        registry.create("ppo", 0, PROBLEM, {"aims": text, "gain": text} if text == "2" else {"gain": text})


@pytest.mark.parametrize("seed", [-1, 1.5, "3", True, None, np.float64(2)])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(BadSetting, match=r"the seed is .*; it must be a whole number, 0 or more"):
        registry.create("random", seed)


def test_a_seed_may_come_from_any_library() -> None:
    assert str(registry.create("ppo", np.int64(7))) == "ppo(seed=7)"


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_package_is_named_with_what_brings_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXTRAS[name], None)
    monkeypatch.setattr("controllers.optunas.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'mnas\[{name}\]'"):
        registry.create(name, 0)


def test_the_names_cost_no_library() -> None:
    code = (
        "import controllers.registry, sys; print({'optuna', 'sklearn', 'scipy', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ppo", {}), ("ppo", {"policy": "independent"}), ("reinforce", {}), ("q_learning", {})],
)
def test_a_choice_of_more_options_than_can_be_learned_is_refused_at_once(
    name: str, settings: dict[str, Any]
) -> None:
    few, many = (Problem({"kernel": (3, 5), "id": tuple(range(count))}) for count in (5000, 5001))
    registry.create(name, 0, few, settings)
    with pytest.raises(BadSetting, match=f"'id' has 5001 options; {name} .* at most 5000: .* --ignore id"):
        registry.create(name, 0, many, settings)
