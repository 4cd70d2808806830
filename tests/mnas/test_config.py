"""A search's settings: their text form, and how two of them differ in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mnas.config import MEASURE_EVERY, RunConfig, differences
from mnas.errors import BadInput, BadRun
from mnas.wanted import OtherCost
from tests.mnas.toy import config

ALSO = {
    "latency_ms:pi5": OtherCost(
        target=60.0, cap=80.0, table="b.db", table_sha256="ab", device="pi5", threads=4, dtype="int8"
    ),
    "energy_mj:pi5": OtherCost(objective=False, cap=5.0),
}
FULL = config(
    label="pixel6",
    latency="table",
    table="p.db",
    table_sha256="cd",
    also=ALSO,
    reward="hard",
    alpha=-0.1,
    beta=-0.5,
    settings={"batch": 5, "learning_rate": 0.001, "policy": "recurrent", "quick": True},
    measure_every=7,
    across=("os_build", "governor"),
    training={"steps": 40},
)


@pytest.mark.parametrize("made", [FULL, config()])
def test_its_text_form_is_read_back_as_it_was(made: RunConfig) -> None:
    again = RunConfig.from_toml(made.to_toml())
    assert again == made
    kinds = {name: type(value) for name, value in again.settings.items()}
    assert kinds == {name: type(value) for name, value in made.settings.items()}


def test_what_searches_of_before_lack_is_as_it_was_for_them() -> None:
    new = ("measure_every", "reward", "label", "also", "settings", "across")
    text = "\n".join(line for line in config().to_toml().splitlines() if not line.startswith(new))
    found = RunConfig.from_toml(text)
    assert (found.measure_every, found.reward, found.settings, found.also) == (0, "soft", {}, {})
    assert config().measure_every == MEASURE_EVERY


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("measure_every = 7", 'measure_every = "often"', "field measure_every is 'often'; it must be int"),
        ("measure_every = 7", "measure_every = -1", "measure_every is -1"),
        ("batch = 5", "batch = [5]", r"field settings.batch is \[5\]; it must be a number or a word"),
        ("threads = 4", "threads = true", "field also.latency_ms:pi5.threads is True; it must be int"),
        ("cap = 80.0", "ceiling = 80.0", "unknown field 'also.latency_ms:pi5.ceiling'"),
        ("cap = 80.0", "cap = 50.0", "cap is 50, below the target of 60"),
        ('"energy_mj:pi5"', '"energy:pi5"', "there is no cost 'energy:pi5'"),
        ('"os_build",', "3,", "field across is .*a list of words"),
        ('reward = "hard"', 'reward = "steep"', "reward 'steep'; allowed: soft, hard"),
        ("alpha = -0.1", "alpha = 0.1", "alpha is 0.1; it must be 0 or less"),
    ],
)
def test_a_file_that_says_something_else_is_refused(old: str, new: str, message: str) -> None:
    text = FULL.to_toml()
    assert old in text
    with pytest.raises(BadRun, match=message):
        RunConfig.from_toml(text.replace(old, new))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reward": "steep"}, "reward 'steep'; allowed: soft, hard"),
        ({"beta": float("nan")}, "beta is nan; it must be 0 or less"),
        ({"measure_every": -1}, "it must be 0, for never, or more"),
        ({"also": {"weight": OtherCost()}}, "there is no cost 'weight'"),
    ],
)
def test_what_no_search_can_have_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        config(**values)


def test_what_differs_is_named_as_it_was_asked_for() -> None:
    other = replace(FULL, settings={**FULL.settings, "batch": 3})
    assert differences(FULL, other) == ("controller option batch is 5, not 3",)
    before = replace(FULL, settings={})
    assert differences(before, replace(before, settings={"batch": 3})) == (
        "controller option batch is not set, not 3",
    )
    # of another strategy, other options are no news
    assert differences(FULL, replace(other, controller="tpe")) == ("controller is random, not tpe",)
    assert differences(replace(FULL, training={}), FULL) == ("training is not set, not (steps=40)",)
    assert differences(FULL, replace(FULL, trials=1)) == ("trials is 12, not 1; trials may only grow",)
    assert differences(FULL, replace(FULL, trials=13)) == ()


def test_a_whole_cost_that_differs_is_one_line() -> None:
    less = replace(FULL, also={"energy_mj:pi5": ALSO["energy_mj:pi5"]})
    assert differences(FULL, less) == ("latency_ms:pi5 is a cost of it, and now left out",)
    assert differences(less, FULL) == ("latency_ms:pi5 is none of its costs",)
    lower = {**ALSO, "latency_ms:pi5": replace(ALSO["latency_ms:pi5"], cap=70.0, table="moved.db")}
    assert differences(FULL, replace(FULL, also=lower)) == ("cap of latency_ms:pi5 is 80.0, not 70.0",)
