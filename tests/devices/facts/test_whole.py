"""What is made of a whole survey."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from devices.facts import DeviceState, MachineFacts, Temperature, big_cores, machine, state
from devices.measurement import Cluster
from devices.runners.device_facts import device_facts, unsurveyed
from devices.survey import Survey

TEXTS = Path(__file__).with_name("texts")


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def test_a_phone() -> None:
    survey = Survey(
        {
            "uname": "aarch64\n5.4.61-qgki\n",
            "cpuinfo": text("cpuinfo_oneplus_9pro"),
            "getprop": "[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\n[ro.soc.model]: [SM8350]\n"
            "[ro.product.manufacturer]: [OnePlus]\n[ro.product.model]: [LE2123]\n"
            "[ro.build.version.release]: [13]\n[ro.build.version.sdk]: [33]\n"
            "[ro.build.fingerprint]: [OnePlus/OnePlus9Pro/x:13/SKQ1/1:user/release-keys]\n",
            "meminfo": "MemTotal:       11473912 kB\n",
        }
    )
    found = machine(survey)
    assert found == MachineFacts(
        machine="aarch64",
        abi="arm64-v8a",
        soc="SM8350",
        model="OnePlus LE2123",
        cpu_model="1x Cortex-X1 + 3x Cortex-A78 + 4x Cortex-A55",
        cores=8,
        clusters=(
            Cluster((0, 1, 2, 3), None, "Cortex-A55"),
            Cluster((4, 5, 6), None, "Cortex-A78"),
            Cluster((7,), None, "Cortex-X1"),
        ),
        memory_bytes=11473912 * 1024,
        operating_system="Android 13 (API 33), Linux 5.4.61-qgki",
        os_build="OnePlus/OnePlus9Pro/x:13/SKQ1/1:user/release-keys",
        android=True,
    )
    assert big_cores(found.clusters, 1) == (7,)


@pytest.mark.parametrize(
    ("texts", "number"),
    [
        ({"getprop": "[ro.serialno]: [1A2B3C]\n[ro.boot.serialno]: [other]\n"}, "1A2B3C"),
        ({"getprop": "[ro.serialno]: [unknown]\n[ro.boot.serialno]: [1A2B3C]\n"}, "1A2B3C"),
        ({"getprop": "[ro.serialno]: [0123456789ABCDEF]\n", "machine_id": "a1\n"}, None),
        ({"serial": "10000000a1b2c3d4\0", "machine_id": "a1\n"}, "10000000a1b2c3d4"),
        ({"serial": "0000000000000000\0", "machine_id": "a1\n"}, "a1"),
        ({"machine_id": "uninitialized\n"}, None),
        ({}, None),
    ],
)
def test_a_device_is_told_from_another_of_its_kind(texts: dict[str, str], number: str | None) -> None:
    found = machine(Survey({"uname": "aarch64\n6.1\n", "cpuinfo": text("cpuinfo_pi5"), **texts}))
    assert found.identity == (None if number is None else hashlib.sha256(number.encode()).hexdigest()[:16])
    facts = device_facts(found, "pi", runtime="r", runtime_version="1")
    assert facts.identity == found.identity
    here = unsurveyed("x86_64", lambda path: "processor : 0\n" if path == "/proc/cpuinfo" else "")
    assert device_facts(here, "local", runtime="r", runtime_version="1").identity is None


def test_a_raspberry_pi() -> None:
    survey = Survey(
        {
            "uname": "aarch64\n6.1.47-v8+\n",
            "cpuinfo": text("cpuinfo_pi5"),
            "model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
            "os_release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            "bits": "64\n",
        }
    )
    found = machine(survey)
    assert (found.soc, found.model, found.abi) == ("bcm2712", "Raspberry Pi 5 Model B Rev 1.0", None)
    assert (found.cpu_model, found.cores, found.android) == ("4x Cortex-A76", 4, False)
    assert found.operating_system == "Debian GNU/Linux 12 (bookworm), Linux 6.1.47-v8+"


def test_a_64_bit_kernel_under_32_bit_programs() -> None:
    assert machine(Survey({"uname": "aarch64\n6.1\n", "bits": "32\n"})).abi == "armhf"
    assert machine(Survey({"uname": "armv7l\n6.1\n", "bits": "32\n"})).abi is None


def test_a_jetson() -> None:
    survey = Survey(
        {
            "uname": "aarch64\n4.9.201-tegra\n",
            "cpuinfo": text("cpuinfo_jetson_nano"),
            "nv_tegra_release": text("nv_tegra_release"),
            "nvpmodel": text("nvpmodel_nano"),
            "jetson_clocks": text("jetson_clocks_nano_locked"),
            "tegrastats": text("tegrastats_nano"),
            "zones": "zone0 AO-therm 46000\nzone1 CPU-therm 40500\nzone4 PMIC-Die 100000\n",
        }
    )
    assert machine(survey).os_build == "L4T R32.5.1"
    now = state(survey)
    assert (now.power_mode, now.clocks_locked, now.processor_c) == ("MAXN", True, 41.0)


def test_a_machine_that_says_nothing() -> None:
    found = machine(Survey())
    assert (found.machine, found.cpu_model, found.cores, found.clusters) == ("unknown", "unknown", None, ())
    assert state(Survey()) == DeviceState()


def test_names_from_a_device_are_fit_to_be_printed() -> None:
    said = (
        f"[ro.product.model]: [\x1b]0;evil\x07\x1b[31mPhone\x1b[0m{'x' * 400}]\n[ro.soc.model]: [a\x9b1mb]\n"
    )
    found = machine(Survey({"getprop": said}))
    assert found.model is not None
    assert found.model.startswith("Phonexxx")
    assert len(found.model) == 120
    assert found.soc is not None
    assert "\x9b" not in found.soc


def test_the_state_of_a_phone() -> None:
    survey = Survey(
        {
            "dumpsys_thermalservice": text("thermalservice_hot"),
            "dumpsys_battery": text("battery_samsung"),
            "dumpsys_power": "  mWakefulness=Asleep\n",
            "stay_on": "0\n",
            "cpufreq": "policy0/related_cpus=0 1\npolicy0/scaling_governor=schedutil\n"
            "policy0/scaling_cur_freq=691200\n",
            "online": "0-1\n",
            "clock": "1795615940\n",
            "uptime": "17074.17 15742.89\n",
            "boot_id": "e55b887b-9485-4524-a723-f6ea5d0409c3\n",
            "df": "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
            "/dev/block/dm-53 124000000 64000000 60000000  52% /data\n",
            "privilege": "su\n",
        }
    )
    now = state(survey)
    assert (now.processor_c, now.skin_c, now.hottest_c) == (48.2, 44.637, 48.2)
    assert (now.thermal_status, now.throttled_now) == (2, True)
    assert (now.battery_percent, now.charging, now.battery_c) == (100.0, True, 30.9)
    assert now.stays_awake is False
    assert (now.screen_on, now.stay_on) == (False, "0")
    assert (now.governors, now.frequencies_khz) == (
        {0: "schedutil", 1: "schedutil"},
        {0: 691200, 1: 691200},
    )
    assert (now.online, now.clock_s, now.uptime_s) == ((0, 1), 1795615940, 17074.17)
    assert now.boot_id == "e55b887b-9485-4524-a723-f6ea5d0409c3"
    assert (now.free_bytes, now.privilege) == (60000000 * 1024, "su")


def test_without_a_service_the_kernels_zones_are_read() -> None:
    survey = Survey(
        {
            "dumpsys_thermalservice": text("thermalservice_not_ready"),
            "zones": "zone0 cpu-0-0-usr 51000\nzone1 skin-therm 38000\nzone2 soc 95\n",
        }
    )
    assert (state(survey).processor_c, state(survey).skin_c) == (51.0, 38.0)


def test_a_phone_without_a_processors_sensor_is_judged_by_its_battery() -> None:
    now = state(Survey({"dumpsys_battery": text("battery_pixel_c")}))
    assert (now.processor_c, now.hottest_c) == (None, 27.5)


def test_a_pi_that_was_hot_once_is_not_throttled_now() -> None:
    once = state(Survey({"get_throttled": text("vcgencmd_once"), "measure_temp": text("vcgencmd_once")}))
    assert (once.throttled_now, once.throttled_since_boot, once.processor_c) == (False, True, 39.2)
    now = state(Survey({"get_throttled": text("vcgencmd_undervoltage")}))
    assert (now.throttled_now, now.undervoltage_now) == (True, True)


def test_hostile_figures() -> None:
    now = state(
        Survey(
            {
                "clock": "9" * 400,
                "uptime": "9" * 400,
                "boot_id": "$(reboot)",
                "df": "x 1 2 99999999999999999999999 3% /",
                "privilege": "su; reboot",
                "stay_on": "9999999",
                "online": "0-99999999",
            }
        )
    )
    assert now == DeviceState()


def test_df_with_a_long_device_on_its_own_line() -> None:
    said = (
        "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/a/long/name\n  100 40 60 40% /data dir\n"
    )
    assert state(Survey({"df": said})).free_bytes == 60 * 1024


def test_temperatures_have_names_for_people() -> None:
    now = state(Survey({"zones": "zone0 cpu-thermal 48312\n"}))
    assert now.temperatures == (Temperature("cpu-thermal", "cpu", 48.312),)


@pytest.mark.parametrize(
    "piece", ["\n", " ", "1 ", "[a]: [", "cpu0: ", "0,", "Temperature{mValue=1, ", "\x1b["]
)
def test_a_text_without_end_is_read_in_no_time(piece: str) -> None:
    names = (
        "cpuinfo",
        "cpufreq",
        "getprop",
        "zones",
        "cooling",
        "df",
        "dumpsys_thermalservice",
        "tegrastats",
    )
    others = ("dumpsys_battery", "dumpsys_power", "jetson_clocks", "nvpmodel", "get_throttled", "os_release")
    survey = Survey(dict.fromkeys((*names, *others), piece * (100_000 // len(piece))))
    begin = time.process_time()
    machine(survey)
    state(survey)
    assert time.process_time() - begin < 10
