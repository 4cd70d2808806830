from __future__ import annotations

from dataclasses import replace

import pytest

from devices.checks import Check, checks, worst
from devices.facts import DeviceState, MachineFacts, Policy
from devices.inventory.entry import Entry
from devices.measurement import Cluster
from devices.speed_checks import spans

NOW_S = 1_800_000_000
SMALL = Policy("cpufreq/policy0", (0, 1, 2, 3), "schedutil", ("performance", "schedutil"))
BIG = Policy("cpufreq/policy4", (4, 5, 6, 7), "schedutil", ("performance", "schedutil"))
PHONE = MachineFacts(
    machine="aarch64",
    abi="arm64-v8a",
    soc="GS101",
    model="Google Pixel 6",
    cpu_model="2x Cortex-X1",
    cores=8,
    clusters=(Cluster((0, 1, 2, 3), 1_800_000), Cluster((4, 5, 6, 7), 2_800_000)),
    memory_bytes=8 * 2**30,
    operating_system="Android 14",
    os_build="google/oriole/oriole:14",
    android=True,
)
FINE = DeviceState(
    processor_c=33.0,
    skin_c=29.0,
    thermal_status=0,
    throttled_now=False,
    policies=(SMALL, BIG),
    online=tuple(range(8)),
    battery_percent=80.0,
    charging=True,
    plugged_in=True,
    battery_c=28.0,
    screen_on=True,
    free_bytes=20 * 2**30,
    clock_s=NOW_S + 2,
    privilege=None,
)
BOARD = replace(
    PHONE, abi=None, android=False, model="Raspberry Pi 5", clusters=(Cluster((0, 1, 2, 3)),), cores=4
)
BOARD_FINE = DeviceState(
    processor_c=48.0,
    throttled_now=False,
    throttled_since_boot=True,
    undervoltage_now=False,
    policies=(replace(SMALL, governor="performance"),),
    online=(0, 1, 2, 3),
    free_bytes=2**33,
    clock_s=NOW_S,
    privilege="sudo",
)
ENTRY = Entry("pixel", "adb://1A2B")


def found(name: str, state: DeviceState = FINE, entry: Entry = ENTRY, machine: MachineFacts = PHONE) -> Check:
    return next(one for one in checks(entry, machine, state, NOW_S) if one.name == name)


def test_a_phone_that_is_fit_has_nothing_but_good_findings() -> None:
    all_of_it = checks(ENTRY, PHONE, FINE, NOW_S)
    assert [one.name for one in all_of_it if one.level != "ok"] == []
    assert len(all_of_it) == 11
    assert worst(all_of_it) == "ok"
    assert found("battery").said == "80 %, 28 °C"
    assert found("temperature").said == "processor 33 °C, skin 29 °C, battery 28 °C; limit 65 °C"
    assert found("cores").said == "8 of 8 online, measuring on cores 4-7"
    assert found("governor").said == "schedutil on cores 4-7; without root it stays, and is recorded"


def test_a_board_that_is_fit_has_none_of_a_phones_findings() -> None:
    entry = Entry("pi", "ssh://pi")
    names = [one.name for one in checks(entry, BOARD, BOARD_FINE, NOW_S)]
    assert not {"battery", "charging", "screen"} & set(names)
    assert worst(checks(entry, BOARD, BOARD_FINE, NOW_S)) == "ok"
    assert found("throttling", BOARD_FINE, entry, BOARD).said.endswith("it was since it was started")
    assert found("root", BOARD_FINE, entry, BOARD).said.startswith("by sudo")


@pytest.mark.parametrize(
    ("name", "state", "level", "said"),
    [
        ("free space", {"free_bytes": 10 * 2**20}, "fault", "10 MiB free"),
        ("free space", {"free_bytes": 300 * 2**20}, "warning", "300 MiB free"),
        ("free space", {"free_bytes": None}, "warning", "does not tell"),
        ("battery", {"battery_percent": 5.0}, "fault", "5 %"),
        ("battery", {"battery_percent": 20.0}, "warning", "20 %"),
        ("battery", {"battery_c": 45.0}, "warning", "80 %, 45 °C"),
        ("battery", {"battery_made_up": True}, "warning", "somebody told the phone"),
        ("charging", {"plugged_in": False, "charging": False}, "warning", "not plugged in"),
        ("charging", {"charging": False}, "ok", "plugged in, not charging"),
        ("temperature", {"skin_c": 66.0}, "warning", "skin 66 °C"),
        ("temperature", {"processor_c": None, "skin_c": None, "battery_c": None}, "warning", "tells none"),
        ("throttling", {"thermal_status": 3, "throttled_now": True}, "fault", "thermal status 3"),
        ("throttling", {"throttled_now": True}, "warning", "right now"),
        ("throttling", {"throttled_now": None, "thermal_status": None}, "ok", "does not tell"),
        ("power supply", {"undervoltage_now": True}, "fault", "too weak"),
        ("governor", {"privilege": "su"}, "warning", "schedutil on cores 4-7: the clock moves"),
        ("governor", {"policies": ()}, "ok", "does not tell"),
        (
            "cores",
            {"online": (0, 1, 2, 3, 4, 5)},
            "fault",
            "6 of 8 online, measuring on cores 4-7: 6-7 switched off",
        ),
        ("cores", {"online": (1, 2, 3, 4, 5, 6, 7)}, "warning", "7 of 8 online"),
        ("clock", {"clock_s": NOW_S - 300}, "warning", "5 min behind this host's"),
        ("clock", {"clock_s": NOW_S + 5 * 86400}, "warning", "5 days ahead of this host's"),
        ("screen", {"screen_on": False}, "ok", "off; kept awake"),
        ("root", {"privilege": "su 0"}, "ok", "by su 0"),
    ],
)
def test_what_is_wrong_is_found(name: str, state: dict[str, object], level: str, said: str) -> None:
    check = found(name, replace(FINE, **state))
    assert (check.level, said in check.said) == (level, True), check
    assert (check.remedy is None) == (level == "ok")


@pytest.mark.parametrize(
    ("name", "entry", "level", "said"),
    [
        ("governor", {"governor": "performance"}, "warning", "performance cannot be set without root"),
        ("governor", {"governor": "powersave"}, "fault", "powersave, which pixel asks for, is not there"),
        ("cores", {"cpus": (0, 9)}, "fault", "8 of 8 online"),
        ("cores", {"cpus": (0, 1)}, "ok", "measuring on cores 0-1"),
        ("root", {"frequency_khz": 1_800_000}, "warning", "none, so 1800000 kHz cannot be set"),
        ("temperature", {"temperature_limit_c": 30.0}, "warning", "limit 30 °C"),
        ("temperature", {"temperature_limit_c": 34.0}, "ok", "limit 34 °C"),
    ],
)
def test_what_an_entry_asks_for_counts(name: str, entry: dict[str, object], level: str, said: str) -> None:
    check = found(name, entry=replace(ENTRY, **entry))
    assert (check.level, said in check.said) == (level, True), check


@pytest.mark.parametrize(
    ("name", "state", "level", "said", "remedy"),
    [
        ("power mode", {"power_mode": "MAXN"}, "ok", "MAXN", None),
        ("power mode", {"power_mode": "MAXN_SUPER"}, "ok", "MAXN_SUPER", None),
        ("power mode", {"power_mode": "15W"}, "warning", "15W: it limits", "sudo nvpmodel -m 0"),
        ("clocks", {"clocks_locked": True}, "ok", "locked by jetson_clocks", None),
        ("clocks", {"clocks_locked": False}, "warning", "not locked", "sudo jetson_clocks"),
        ("clocks", {"power_mode": "15W"}, "ok", "does not tell", None),
    ],
)
def test_what_a_jetson_says_of_its_power_and_clocks(
    name: str, state: dict[str, object], level: str, said: str, remedy: str | None
) -> None:
    check = found(name, replace(BOARD_FINE, **state), Entry("nano", "ssh://nano"), BOARD)
    assert (check.level, said in check.said) == (level, True), check
    assert (check.remedy is None) if remedy is None else remedy in str(check.remedy)


def test_clocks_that_are_locked_do_not_move_whatever_the_governor_is() -> None:
    moving = replace(BOARD_FINE, policies=(SMALL,))
    entry = Entry("nano", "ssh://nano")
    assert found("governor", moving, entry, BOARD).level == "warning"
    assert found("governor", replace(moving, clocks_locked=True), entry, BOARD).level == "ok"


def test_a_sleeping_screen_counts_where_nobody_wakes_it() -> None:
    check = found("screen", replace(FINE, screen_on=False), replace(ENTRY, stay_awake=False))
    assert check.level == "warning"


@pytest.mark.parametrize("abi", ["armeabi-v7a", "armhf"])
def test_half_a_processor_is_pointed_out(abi: str) -> None:
    assert found("ABI", machine=replace(PHONE, abi=abi)).level == "warning"


def test_a_device_that_tells_nothing_raises_no_alarm_of_a_fault() -> None:
    silent = MachineFacts("unknown", None, None, None, "unknown", None, (), None, "unknown", None, True)
    assert worst(checks(ENTRY, silent, DeviceState(), NOW_S)) == "warning"


def test_cores_are_written_as_people_write_them() -> None:
    assert spans((7, 0, 1, 2, 5)) == "0-2,5,7"
