from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.facts import android

TEXTS = Path(__file__).with_name("texts")


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def test_battery_is_in_tenths() -> None:
    assert android.battery(text("battery_samsung")) == android.Battery(100.0, True, True, 30.9)
    assert android.battery(text("battery_pixel_c")) == android.Battery(19.0, True, True, 27.5)


def test_a_battery_that_says_nothing_of_its_temperature() -> None:
    assert android.battery(text("battery_zero")) == android.Battery(89.0, True, True, None)


def test_a_battery_that_somebody_made_up_is_not_believed() -> None:
    assert android.battery(text("battery_made_up")) == android.Battery(made_up=True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"level: 19": "level: -2147483648"}, android.Battery(None, True, True, 27.5)),  # Android TV
        ({"present: true": "present: false"}, android.Battery(None, True, True, 27.5)),
        ({"status: 2": "status: 3"}, android.Battery(19.0, False, True, 27.5)),  # plugged in, yet emptying
        ({"status: 2": "status: 1"}, android.Battery(19.0, True, True, 27.5)),
        ({"scale: 100": "scale: 50"}, android.Battery(38.0, True, True, 27.5)),
        ({"scale: 100": "scale: 0"}, android.Battery(None, True, True, 27.5)),
        ({"temperature: 275": "temperature: 27500"}, android.Battery(19.0, True, True, None)),
        ({"AC powered: true": "AC powered: false"}, android.Battery(19.0, True, False, 27.5)),
    ],
)
def test_batteries(changes: dict[str, str], expected: android.Battery) -> None:
    said = text("battery_pixel_c")
    for old, new in changes.items():
        assert old in said
        said = said.replace(old, new)
    assert android.battery(said) == expected


def test_no_battery() -> None:
    assert android.battery("") == android.Battery()
    assert android.battery("Can't find service: battery\n") == android.Battery()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (text("power_samsung"), True),
        (text("power_android_4"), True),
        ("  mWakefulness=Asleep\n", False),
        ("  mWakefulness=Dozing\n", False),
        ("  mWakefulness=Awake\nDisplay Power: state=OFF\n", False),
        ("  mWakefulness=Awake\nDisplay Power: state=ON\n", True),
        ("  mWakefulness=Dozing\nDisplay Power: state=DOZE_SUSPEND\n", False),
        ("  mHoldingDisplaySuspendBlocker=true\n", None),
        ("Permission Denial: can't dump PowerManagerService\n", None),
    ],
)
def test_screen(said: str, expected: bool | None) -> None:
    assert android.screen_on(said) is expected


def test_stay_on() -> None:
    assert android.stay_on("7\n") == "7"
    assert android.stay_on("0") == "0"
    assert android.stay_on("null\n") == "null"
    assert android.stay_on("Permission Denial") is None
    assert android.stay_on("7; reboot") is None


def test_properties() -> None:
    vivo = android.properties(text("getprop_vivo"))
    assert (android.abi(vivo), android.soc(vivo)) == ("arm64-v8a", "sdm710")
    honor = android.properties(text("getprop_honor"))
    assert (android.soc(honor), android.model(honor)) == ("kirin990", "HUAWEI EBG-AN10")
    nexus = android.properties(text("getprop_nexus5"))
    assert nexus["ro.build.fingerprint"] == (
        "google/hammerhead/hammerhead:5.1/LMY06B/1666863:userdebug/dev-keys"
    )
    assert android.abi(nexus) is None


def test_the_names_of_phones() -> None:
    assert (
        android.model({"ro.product.manufacturer": "Google", "ro.product.model": "Pixel 8"})
        == "Google Pixel 8"
    )
    assert (
        android.model({"ro.product.manufacturer": "OnePlus", "ro.product.model": "OnePlus A1"})
        == "OnePlus A1"
    )
    assert android.soc({"ro.soc.model": "unknown", "ro.board.platform": "taro"}) == "taro"
    assert android.soc({"ro.soc.model": "SM8350", "ro.board.platform": "lahaina"}) == "SM8350"


def test_the_abi_list_is_believed_before_the_one_abi() -> None:
    said = "[ro.product.cpu.abi]: [armeabi-v7a]\n[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]\n"
    assert android.abi(android.properties(said)) == "arm64-v8a"
    assert android.abi({"ro.product.cpu.abi": "$(reboot)"}) is None


def test_values_over_several_lines_do_not_disturb() -> None:
    said = "[persist.odd]: [one\n[ro.soc.model]: [fake]\n]\n[ro.soc.model]: [SM8350]\n"
    assert android.properties(said)["ro.soc.model"] == "SM8350"


@given(st.text())
def test_any_text_is_read(hostile: str) -> None:
    for said in (hostile, f"  level: {hostile}", f"[ro.soc.model]: [{hostile}]", f"mWakefulness={hostile}"):
        android.battery(said)
        android.screen_on(said)
        android.stay_on(said)
        values = android.properties(said)
        android.soc(values), android.abi(values), android.model(values), android.system(values)
