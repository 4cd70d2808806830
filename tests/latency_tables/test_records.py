from __future__ import annotations

import json
from dataclasses import replace

import pytest

from devices.measurement import Cluster, DeviceFacts, Settings
from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.records import Origin, graph_from_json, graph_to_json, origin_from_meta, origin_to_meta
from tests.latency_tables.toy_table import SPECS, chain

OLD = DeviceFacts("pi", "aarch64", "Cortex-A72", 4, 2**32, "Debian 12", "3.11.2", "ai-edge-litert", "2.3.0")
NEW = replace(
    OLD,
    runtime_sha256="ab" * 32,
    abi="arm64-v8a",
    soc="BCM2711",
    clusters=(Cluster((0, 1, 2, 3), 1_800_000, "0xd08"),),
    os_build="2026-01-01",
)
SETTINGS = Settings(2, (2, 3), "gpu")


@pytest.mark.parametrize("facts", [OLD, NEW])
@pytest.mark.parametrize("settings", [Settings(), SETTINGS])
def test_an_origin_is_read_back(facts: DeviceFacts, settings: Settings) -> None:
    origin = Origin({"space": "mnasnet", "width": 0.5}, facts, settings)
    assert origin_from_meta(origin_to_meta(origin), "t.db") == origin


def test_an_origin_from_before_there_were_phones_is_read() -> None:
    """Without the facts and settings that came later."""
    meta = origin_to_meta(Origin({}, OLD, Settings(cpus=(3,))))
    facts, settings = json.loads(meta["facts"]), json.loads(meta["settings"])
    for later in ("runtime_sha256", "abi", "soc", "clusters", "os_build"):
        del facts[later]
    del settings["delegate"]
    old = {**meta, "facts": json.dumps(facts), "settings": json.dumps(settings)}
    assert origin_from_meta(old, "t.db") == Origin({}, OLD, Settings(cpus=(3,)))


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"purpose": "{}", "facts": "{}", "settings": "{}"},
        {"purpose": "{}", "facts": "[]", "settings": "{}"},
        {"purpose": "{}", "facts": "null", "settings": "{}"},
        {"purpose": "{", "facts": "{}", "settings": "{}"},
        {**origin_to_meta(Origin({}, OLD, Settings())), "settings": '{"threads": 0}'},
        {**origin_to_meta(Origin({}, OLD, Settings())), "settings": '{"fans": 2}'},
    ],
)
def test_what_is_no_origin_is_refused(meta: dict[str, str]) -> None:
    with pytest.raises(BadTable, match=r"the latency table t.db does not say where it was measured"):
        origin_from_meta(meta, "t.db")


def test_only_what_a_table_knows_can_differ() -> None:
    known, unknown = Origin({}, NEW, SETTINGS), Origin({}, OLD, SETTINGS)
    assert unknown.differences(NEW, SETTINGS) == []
    assert known.differences(NEW, SETTINGS) == []
    assert known.differences(replace(NEW, python_version="3.12", memory_bytes=1), SETTINGS) == []
    assert known.differences(OLD, SETTINGS)[0] == f"runtime_sha256 is None, the table's is {'ab' * 32!r}"
    assert len(known.differences(OLD, SETTINGS)) == 4
    assert known.differences(NEW, Settings(2, (2, 3), "cpu")) == ["delegate is 'cpu', the table's is 'gpu'"]


def test_a_system_is_told_by_its_build_and_else_by_its_name() -> None:
    built, plain = Origin({}, NEW, SETTINGS), Origin({}, replace(NEW, os_build=None), SETTINGS)
    renamed = replace(NEW, operating_system="Debian 13")
    assert built.differences(renamed, SETTINGS) == []
    assert built.differences(replace(NEW, os_build="2027-01-01"), SETTINGS) == [
        "os_build is '2027-01-01', the table's is '2026-01-01'"
    ]
    for mine, theirs in (
        (plain, renamed),
        (plain, replace(renamed, os_build=None)),
        (built, replace(renamed, os_build=None)),
    ):
        assert mine.differences(theirs, SETTINGS) == [
            "operating_system is 'Debian 13', the table's is 'Debian 12'"
        ]


def test_a_device_that_is_known_may_be_reached_by_another_name() -> None:
    known = replace(NEW, identity="0123")
    elsewhere = replace(known, address="adb://192.0.2.7:5555")
    assert Origin({}, known, SETTINGS).differences(elsewhere, SETTINGS) == []
    (said,) = Origin({}, known, SETTINGS).differences(replace(known, identity="4567"), SETTINGS)
    assert said.startswith("identity is '4567'")
    nobody = replace(NEW, identity=None)
    (said,) = Origin({}, nobody, SETTINGS).differences(replace(nobody, address="adb://X"), SETTINGS)
    assert said.startswith("address is 'adb://X'")


def test_a_governor_counts_where_both_know_it() -> None:
    known, unknown = Origin({}, NEW, SETTINGS, "performance"), Origin({}, NEW, SETTINGS)
    assert origin_from_meta(origin_to_meta(known), "t.db") == known
    assert known.differences(NEW, SETTINGS, "performance") == []
    assert known.differences(NEW, SETTINGS) == unknown.differences(NEW, SETTINGS, "powersave") == []
    assert known.differences(NEW, SETTINGS, "powersave") == [
        "governor is 'powersave', the table's is 'performance'"
    ]


def test_an_operator_is_read_once_however_many_networks_have_it() -> None:
    text = graph_to_json(chain(*SPECS, *SPECS))
    first, second = graph_from_json(text), graph_from_json(text)
    assert first == second == chain(*SPECS, *SPECS)
    assert first.specs[0] is first.specs[3] is second.specs[0]


def test_a_block_is_no_operator_of_a_network() -> None:
    text = graph_to_json(chain(SPECS[0])).replace(str(SPECS[0]), " & ".join(map(str, SPECS[:2])))
    with pytest.raises(BadOpSpec, match="is no operator"):
        graph_from_json(text)
