from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.facts import thermal

TEXTS = Path(__file__).with_name("texts")


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "celsius", "status", "held"),
    [
        ("thermalservice_qcs", (36.2, 33.136, 29.0), 0, False),
        ("thermalservice_hot", (48.2, 44.637, 43.8), 2, True),
        ("thermalservice_samsung_aidl", (34.6, 28.2, 25.2), 0, None),
        ("thermalservice_samsung_a52", (25.6, 24.7, 23.8), 0, None),
        ("thermalservice_samsung_sdhms", (24.0, 25.3, 24.4), 0, False),
        ("thermalservice_pixel6", (27.0, 24.833, 22.1), 0, None),
        ("thermalservice_emulator", (None, 30.8, None), 0, None),
        ("thermalservice_shield", (None, None, None), 0, None),
        ("thermalservice_not_ready", (None, None, None), None, None),
    ],
)
def test_current_temperatures_of_real_phones(
    name: str, celsius: tuple[float | None, ...], status: int, held: bool | None
) -> None:
    """Of processor, skin and battery; never a kept one, which stands above, and never a voltage."""
    service = thermal.thermal_service(text(name))
    kinds = (thermal.ON_DIE, ("skin",), ("battery",))
    assert tuple(thermal.hottest_c(service.temperatures, one) for one in kinds) == celsius
    assert (service.status, service.held) == (status, held)


def test_what_is_no_temperature_is_left_out() -> None:
    names = {one.name for one in thermal.thermal_service(text("thermalservice_pixel6")).temperatures}
    assert names == {"TPU", "G3D", "BIG", "LITTLE", "MID", "cellular-emergency", "VIRTUAL-SKIN", "battery"}
    names = {one.name for one in thermal.thermal_service(text("thermalservice_samsung_aidl")).temperatures}
    assert names == {"AP", "BAT", "PA", "SKIN", "USB"}
    names = {one.name for one in thermal.thermal_service(text("thermalservice_samsung_sdhms")).temperatures}
    assert "TYPE_POWER_AMPLIFIER" not in names


@pytest.mark.parametrize(
    "value", ["NaN", "nan", "Infinity", "-99.9", "-128.0", "1e99", "0.0", "3900.0", "s", "٣٦.0", "151"]
)
def test_figures_that_are_no_temperature(value: str) -> None:
    line = f"\tTemperature{{mValue={value}, mType=0, mName=cpu0, mStatus=0}}\n"
    service = thermal.thermal_service(f"Current temperatures from HAL:\n{line}")
    assert service.temperatures == ()


def test_a_status_set_by_hand_is_none() -> None:
    assert thermal.thermal_service("IsStatusOverride: true\nThermal Status: 3\n").status is None
    assert thermal.thermal_service("IsStatusOverride: false\nThermal Status: 3\n").status == 3
    assert thermal.thermal_service("Thermal Status: 9\n").status is None
    assert thermal.thermal_service("Permission Denial: can't dump").status is None


def test_a_service_without_sensors_knows_no_status() -> None:
    assert thermal.thermal_service("Thermal Status: 0\nHAL Ready: false\n").status is None
    said = "Thermal Status: 0\nHAL Ready: true\nHAL connection:\n\tThermalHAL 1.1 connected: "
    assert thermal.thermal_service(f"{said}no\n").status is None
    assert thermal.thermal_service(f"{said}yes\n").status == 0


def test_the_socs_own_sensor_is_one() -> None:
    said = "Current temperatures from HAL:\n\tTemperature{mValue=47.5, mType=13, mName=soc, mStatus=0}\n"
    assert [one.kind for one in thermal.thermal_service(said).temperatures] == ["soc"]


def test_a_sensor_that_cannot_be_read_hides_no_other() -> None:
    said = (
        "Current temperatures from HAL:\n"
        "\tTemperature{mValue=47.5, mName=odd}\n"
        "\tTemperature{mValue=48.5, mType=0, mName=cpu0}\n"
    )
    assert [one.celsius for one in thermal.thermal_service(said).temperatures] == [48.5]


def test_thresholds_are_not_temperatures() -> None:
    service = thermal.thermal_service(
        "Current temperatures from HAL:\n"
        "\tTemperature{mValue=34.5, mType=0, mName=CPU, mStatus=0}\n"
        "Temperature static thresholds from HAL:\n"
        "\tTemperature{mValue=99.0, mType=0, mName=CPU, mStatus=0}\n"
    )
    assert [one.celsius for one in service.temperatures] == [34.5]


@pytest.mark.parametrize(
    ("line", "kind", "celsius"),
    [
        ("zone0 cpu-thermal 48312", "cpu", 48.312),  # Raspberry Pi
        ("zone1 cpu-1-0-usr 36800", "cpu", 36.8),  # Qualcomm
        ("zone2 cpu0-silver-usr 44100", "cpu", 44.1),
        ("zone3 mtktscpu 51000", "cpu", 51.0),  # MediaTek
        ("zone4 BIG 61000", "cpu", 61.0),  # Pixel
        ("zone5 tsens_tz_sensor4 38", "soc", 38.0),  # old Qualcomm: whole degrees
        ("zone6 battery 309", "battery", 30.9),  # tenths
        ("zone7 bms 30500", "battery", 30.5),
        ("zone8 soc0-thermal 47281", "soc", 47.281),  # Jetson
        ("zone9 tj-thermal 50218", "soc", 50.218),
        ("zone10 gpuss-0-usr 35000", "gpu", 35.0),
        ("zone11 PMIC-Die 100000", "other", 100.0),  # a constant on the Jetson Nano
        ("zone12 quiet_therm 31200", "skin", 31.2),
        ("zone13 x86_pkg_temp 55000", "cpu", 55.0),
        ("zone15 battery 98", "battery", 9.8),  # tenths of a cold phone
        ("zone16 tsens_tz_sensor1 98", "soc", 98.0),
        ("zone17 cluster1 51000", "cpu", 51.0),  # Kirin
        ("zone18 shell_frame 36000", "skin", 36.0),
        ("zone14 bigcore0-thermal 40666", "soc", 40.666),  # Rockchip
    ],
)
def test_zones(line: str, kind: str, celsius: float) -> None:
    (found,) = thermal.zones(line)
    assert (found.kind, found.celsius) == (kind, celsius)


@pytest.mark.parametrize(
    "line",
    [
        "zone0 soc 95",  # the battery's charge
        "zone1 vbat 4284",
        "zone2 pm8150b-ibat-lvl0 512000",
        "zone3 pmi8998_bcl_vbat 4100",
        "zone4 ocp_cpu1 6900",
        "zone5 cpu-thermal -274000",
        "zone6 mtktsbtsmdpa -127000",
        "zone7 gpu-thermal -256000",
        "zone8 cpu-thermal 0",
        "zone9 cpu-thermal 2147483647",
        "zone10 cpu thermal 48000",
        "zone11 cpu-thermal many",
        "",
    ],
)
def test_zones_without_a_temperature(line: str) -> None:
    assert thermal.zones(line) == ()


def test_a_kind_is_taken_from_the_first_source_that_has_it() -> None:
    service = thermal.Temperature("skin", "skin", 30.0)
    zones = (thermal.Temperature("skin-zone", "skin", 90.0), thermal.Temperature("cpu", "cpu", 40.0))
    assert thermal.merged((service,), zones) == (service, zones[1])


def test_cooling_devices() -> None:
    assert thermal.held_by_cooling("cooling0 cpufreq-cpu0 3\ncooling1 cpufreq-cpu4 0\n") is True
    assert thermal.held_by_cooling("cooling0 thermal-cpufreq-0 0\ncooling1 thermal-devfreq-0 2\n") is False
    assert thermal.held_by_cooling("cooling0 pwm-fan 3\n") is None
    assert thermal.held_by_cooling("") is None


@given(st.text())
def test_any_text_is_read(hostile: str) -> None:
    thermal.zones(hostile)
    thermal.held_by_cooling(hostile)
    thermal.thermal_service(f"Current temperatures from HAL:\n{hostile}")
    for one in thermal.thermal_service(hostile).temperatures:
        assert thermal.COLDEST_C <= one.celsius <= thermal.HOTTEST_C
