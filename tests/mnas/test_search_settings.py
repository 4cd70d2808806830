"""What a search begins and goes on with: all settings of its strategy, frozen, and words that change none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from controllers import registry
from controllers.errors import BadSetting
from mnas.config import RunConfig, differences
from mnas.errors import BadInput
from mnas.search_settings import begin, resume
from tests.controllers.contract import NAMES
from tests.mnas import measured_table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another machine, so that none is opened."""
    return Path(measured_table.make(tmp_path_factory.mktemp("tables") / "small.db"))


def begun(table: Path, **given: object) -> RunConfig:
    return begin({"dataset": "digits", "target_ms": 1.0, "table": str(table), **given}, {})


def other_default(monkeypatch: pytest.MonkeyPatch, name: str, **defaults: registry.Setting) -> None:
    """As another version would have it."""
    now = registry.describe(name)
    there: Mapping[str, registry.Controller] = {
        **registry._CONTROLLERS,
        name: replace(now, settings={**now.settings, **defaults}),
    }
    monkeypatch.setattr(registry, "_CONTROLLERS", there)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_keeps_every_setting_of_its_strategy(table: Path, name: str) -> None:
    config = begun(table, controller=name, trials=7)
    wanted = {**registry.COMMON, **registry.describe(name).settings}
    planned = {"trials": 7} if wanted.get("trials") == 0 else {}
    assert config.settings == {**wanted, **planned}
    assert RunConfig.from_toml(config.to_toml()) == config


def test_what_is_asked_for_is_kept_by_its_type(table: Path) -> None:
    config = begun(table, controller="nsga2", settings={"population": "4"})
    assert config.settings["population"] == 4
    with pytest.raises(BadSetting, match="nsga2 has no setting 'size'"):
        begun(table, controller="nsga2", settings={"size": "4"})
    with pytest.raises(BadSetting, match="population of nsga2 is 'many'"):
        begun(table, controller="nsga2", settings={"population": "many"})


def test_other_defaults_change_nothing_of_a_run(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = begun(table, controller="nsga2")
    population = config.settings["population"]
    other_default(monkeypatch, "nsga2", population=77)
    again = resume(config, {}, {})
    assert again == config
    assert registry.settled("nsga2", again.settings)["population"] == population
    asked = resume(config, {"settings": {"population": "77"}}, {})
    assert differences(config, asked) == (f"controller option population is {population}, not 77",)


def test_more_trials_change_no_schedule(table: Path) -> None:
    config = begun(table, controller="q_learning", trials=9)
    assert config.settings["trials"] == 9
    longer = resume(config, {"trials": 30}, {})
    assert (longer.trials, longer.settings["trials"]) == (30, 9)
    assert begun(table, controller="q_learning", settings={"trials": "50"}).settings["trials"] == 50


def test_a_run_of_before_goes_on_by_the_settings_that_it_has(table: Path) -> None:
    config = replace(begun(table, controller="nsga2"), settings={})
    assert resume(config, {"trials": 50}, {}).settings == {}
    text = replace(config, settings={"population": "4"})  # as they were kept
    same = resume(text, {"settings": {"population": "4"}}, {})
    assert (differences(text, same), same.settings) == ((), {"population": "4"})
    other = resume(text, {"settings": {"population": "5"}}, {})
    assert differences(text, other) == ("controller option population is 4, not 5",)


def test_the_same_words_for_a_strategy_change_nothing(table: Path) -> None:
    config = begun(table, controller="nsga2", settings={"population": "4"})
    assert resume(config, {"controller": "nsga2", "settings": {"population": "4"}}, {}) == config
    other = resume(config, {"controller": "tpe", "settings": {"startup": "3"}}, {})
    assert differences(config, other) == ("controller is nsga2, not tpe",)
    with pytest.raises(BadSetting, match="has no setting 'size'"):
        resume(config, {"settings": {"size": "4"}}, {})


def test_a_search_without_a_target_is_told_what_one_is_for() -> None:
    with pytest.raises(BadInput, match=r"needs --target-ms;.* where only a cap counts, give its figure"):
        begin({"dataset": "digits", "table": "a.db", "cap_ms": 3.0}, {})
    with pytest.raises(BadInput) as refused:
        begin({"table": "a.db", "target_ms": 3.0}, {})
    assert "cap" not in str(refused.value)
