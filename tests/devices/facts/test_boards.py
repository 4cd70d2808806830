from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.facts import boards
from devices.facts.thermal import ON_DIE, hottest_c

TEXTS = Path(__file__).with_name("texts")


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def test_throttled_now_is_told_from_once() -> None:
    now = boards.get_throttled(text("vcgencmd_undervoltage"))
    once = boards.get_throttled(text("vcgencmd_once"))
    soft = boards.get_throttled(text("vcgencmd_soft_limit"))
    fine = boards.get_throttled(text("vcgencmd_fine"))
    assert now == boards.Throttled(True, False, True, False, since_boot=True)
    assert once == boards.Throttled(False, False, False, False, since_boot=True)
    assert soft == boards.Throttled(False, False, False, True, since_boot=True)
    assert fine == boards.Throttled(False, False, False, False, since_boot=False)
    assert [one.now for one in (now, once, soft, fine)] == [True, False, True, False]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "VCHI initialization failed\n",
        "Can't open device file: /dev/vcio\nTry creating a device file with: sudo mknod /dev/vcio c 100 0\n",
        'error=1 error_msg="Command not registered"\n',
        "throttled=0xffffffffffff\n",
    ],
)
def test_a_board_that_does_not_tell(said: str) -> None:
    assert boards.get_throttled(said) is None
    assert boards.measure_temp(said) == ()


def test_measure_temp() -> None:
    assert [one.celsius for one in boards.measure_temp(text("vcgencmd_fine"))] == [62.3]
    assert boards.measure_temp("temp=NaN'C\n") == ()


@pytest.mark.parametrize(
    ("name", "processor"),
    [
        ("tegrastats_nano", 41.0),
        ("tegrastats_tx1", 39.0),
        ("tegrastats_tx2", 50.5),
        ("tegrastats_xavier", 42.0),
        ("tegrastats_orin_nano", 53.968),
        ("tegrastats_agx_orin", 42.593),
    ],
)
def test_tegrastats(name: str, processor: float) -> None:
    """Without the power chip's constant 100 and the -256 of a part that is switched off."""
    found = boards.tegrastats(text(name))
    assert hottest_c(found, ON_DIE) == processor
    assert all(-20 < one.celsius < 60 for one in found)


def test_tegrastats_before_2018_has_no_temperatures() -> None:
    said = "RAM 1689/3994MB (lfb 463x4MB) cpu [0%,0%,off,2%]@1734 EMC 0%@800 GR3D 0%@76\n"
    assert boards.tegrastats(said) == ()


def test_power_modes() -> None:
    assert boards.power_mode(text("nvpmodel_nano")) == "MAXN"
    assert boards.power_mode(text("nvpmodel_orin")) == "25W"
    assert boards.power_mode(text("nvpmodel_verbose")) == "MAXN"
    assert boards.power_mode("NV Power Mode: MODE_30W_ALL\n3\n") == "MODE_30W_ALL"
    assert boards.power_mode("NVPM ERROR: Error opening /sys/kernel: 13\n") is None


def test_clocks() -> None:
    clocks = boards.jetson_clocks(text("jetson_clocks_orin_nano"))
    assert len(clocks) == 6
    assert clocks[1] == boards.Clock(1, True, "schedutil", 729600, 1344000, 1344000)
    assert boards.jetson_clocks(text("jetson_clocks_snap"))[0].governor == "ondemand"
    assert boards.clocks_locked(text("jetson_clocks_nano")) is False
    assert boards.clocks_locked(text("jetson_clocks_nano_locked")) is True
    assert boards.clocks_locked("Please run as root\n") is None


def test_cores_that_are_off_and_newer_lines_without_online() -> None:
    said = (
        "cpu10: Online=0 Governor=schedutil MinFreq=729600 MaxFreq=2201600 CurrentFreq=2201600\n"
        "cpu2:  Governor=schedutil MinFreq=1510400 MaxFreq=1510400 CurrentFreq=1510400 IdleStates: WFI=1\n"
    )
    assert [(one.cpu, one.online) for one in boards.jetson_clocks(said)] == [(2, True), (10, False)]
    assert boards.clocks_locked(said) is True


@given(st.text())
def test_any_text_is_read(hostile: str) -> None:
    for said in (hostile, f"RAM 1/2MB {hostile}", f"cpu0: {hostile}", f"throttled=0x{hostile}"):
        boards.tegrastats(said)
        boards.jetson_clocks(said)
        boards.clocks_locked(said)
        boards.power_mode(f"NV Power Mode: {said}")
        boards.get_throttled(said)
        boards.measure_temp(said)
