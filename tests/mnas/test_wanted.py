from __future__ import annotations

from dataclasses import replace

import pytest

from mnas import wanted
from mnas.config import RunConfig, differences
from mnas.errors import BadInput
from mnas.wanted import OtherCost
from tests.mnas.toy import config

TWO = ("pixel6=p.db", "pi5=b.db")


def test_one_table_without_a_name_is_the_search_of_one_device() -> None:
    assert wanted.read(["a.db"], ["20"], ["30"]) == {"table": "a.db", "target_ms": 20.0, "cap_ms": 30.0}
    assert wanted.read() == {}


def test_names_tie_devices_to_tables_targets_and_caps() -> None:
    found = wanted.read(TWO, ["pixel6=20"], ["pi5=80", "parameters=2e6"])
    assert found == {
        "label": "pixel6",
        "table": "p.db",
        "target_ms": 20.0,
        "also": {
            "latency_ms:pi5": OtherCost(objective=False, cap=80.0, table="b.db"),
            "parameters": OtherCost(objective=False, cap=2e6),
        },
    }


def test_the_first_device_is_the_first_with_a_target() -> None:
    found = wanted.read(TWO, ["pi5=80"], ["pixel6=20", "energy_mj:pi5=5", "energy_mj:pixel6=7"])
    assert (found["label"], found["table"], found["target_ms"]) == ("pi5", "b.db", 80.0)
    assert found["also"] == {
        "latency_ms:pixel6": OtherCost(objective=False, cap=20.0, table="p.db"),
        "energy_mj": OtherCost(objective=False, cap=5.0),
        "energy_mj:pixel6": OtherCost(objective=False, cap=7.0),
    }


@pytest.mark.parametrize(
    ("targets", "caps", "objectives", "objective"),
    [
        ((), (), (), True),
        (("pi5=80",), (), (), True),
        ((), ("pi5=80",), (), False),
        (("pi5=70",), ("pi5=80",), (), True),
        ((), ("pi5=80",), ("pi5",), True),
        ((), ("energy_mj:pi5=3",), (), False),
        ((), (), ("energy_mj:pi5",), False),
    ],
)
def test_a_device_that_only_has_a_cap_is_no_objective(
    targets: tuple[str, ...], caps: tuple[str, ...], objectives: tuple[str, ...], objective: bool
) -> None:
    found = wanted.read(TWO, ["pixel6=20", *targets], caps, objectives)
    assert found["also"]["latency_ms:pi5"].objective is objective


def test_objectives_besides_latency() -> None:
    found = wanted.read(["a.db"], ["20"], ["parameters=1e6"], ["parameters", "energy_mj"])
    assert found["also"] == {
        "energy_mj": OtherCost(objective=True),
        "parameters": OtherCost(objective=True, cap=1e6),
    }


@pytest.mark.parametrize(
    ("tables", "targets", "caps", "message"),
    [
        (TWO, ["pixel7=20"], [], r"pixel7 is neither .* named pixel6, pi5 \(--table pixel7=FILE names one\)"),
        (TWO, ["20"], [], r"does not say of which device; .* --target-ms pixel6=20"),
        (["a.db"], ["pixel6=20"], [], "no table has a name"),
        (["a.db", "b.db"], ["20"], [], "two latency tables without a device's name, a.db and b.db"),
        (["a.db", "pi5=b.db"], ["20"], [], "not each has the name"),
        (["pi5=a.db", "pi5=b.db"], ["pi5=20"], [], "two latency tables of pi5"),
        (["pi5="], [], [], "no file"),
        (["parameters=a.db"], [], [], "parameters is a cost"),
        (TWO, ["pixel6=fast"], [], "'fast' is no number"),
        (TWO, ["pixel6=20", "pixel6=30"], [], "given twice"),
        (TWO, ["parameters=20"], [], "only latencies have targets"),
        (TWO, ["pixel6=20"], ["energy_mj=4"], "neither"),
        (TWO, ["pixel6=20"], ["weight=4"], "costs are parameters, file_bytes, memory_bytes, energy_mj"),
        (TWO, ["pixel6=20", "pi5=90"], ["pi5=80"], "below the target of 90"),
        (TWO, ["pixel6=20"], ["pi5=0"], "must be a number above 0"),
        (TWO, ["pixel6=20"], ["parameters=nan"], "must be a number above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tables: list[str], targets: list[str], caps: list[str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        wanted.read(tables, targets, caps)


def two_devices() -> RunConfig:
    found = wanted.read(TWO, ["pixel6=20"], ["pi5=80", "parameters=2e6"])
    known = {"table_sha256": "ab", "device": "pi5", "threads": 4, "dtype": "int8"}
    also = {**found["also"], "latency_ms:pi5": replace(found["also"]["latency_ms:pi5"], **known)}
    return config(**{**found, "also": also, "latency": "table", "table_sha256": "cd"})


def test_the_same_words_change_nothing_of_a_run() -> None:
    run = two_devices()
    assert wanted.read(TWO, ["pixel6=20"], ["pi5=80", "parameters=2e6"], run=run) == {"table": "p.db"}
    assert wanted.read(["pixel6=p.db"], run=run) == {"table": "p.db"}
    assert wanted.read(caps=["pi5=80"], run=run) == {}
    one = config(latency="table", table="a.db")
    assert wanted.read(["a.db"], ["1.5"], run=one) == {"table": "a.db"}


@pytest.mark.parametrize("other", ["energy_mj:pi5=3", "parameters=2e6"])
def test_a_run_with_other_costs_of_a_device_knows_its_table(other: str) -> None:
    found = wanted.read(TWO, ["pixel6=20"], ["pi5=80", other])
    run = config(**{**found, "latency": "table"})
    assert wanted.Wishes.of_run(run).tables == {"pixel6": "p.db", "pi5": "b.db"}
    assert wanted.read(caps=["pi5=80", other], run=run) == {}
    changed = replace(run, **wanted.read(caps=["pi5=70"], run=run))
    assert differences(run, changed) == ("cap of latency_ms:pi5 is 80.0, not 70.0",)


def test_other_words_say_what_they_would_change_in_a_run() -> None:
    run = two_devices()
    other = replace(run, **wanted.read(targets=["pixel6=25"], caps=["pi5=90", "file_bytes=1e6"], run=run))
    assert differences(run, other) == (
        "target_ms is 20.0, not 25.0",
        "file_bytes is none of its costs",
        "cap of latency_ms:pi5 is 80.0, not 90.0",
    )
    with pytest.raises(BadInput, match="pixel7"):
        wanted.read(caps=["pixel7=90"], run=run)


def test_a_run_of_several_devices_survives_toml() -> None:
    run = replace(two_devices(), settings={"population": 8}, reward="hard", beta=-0.5, measure_every=7)
    assert RunConfig.from_toml(run.to_toml()) == run


def test_a_run_of_before_opens_and_does_not_measure() -> None:
    text = "\n".join(line for line in config().to_toml().splitlines() if "measure" not in line)
    assert RunConfig.from_toml(text) == config(measure_every=0)
