"""The bench on an emulated phone: what a killed job and a pulled cable leave there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devices.bench import watch, worklist
from devices.bench.limits import Limits
from devices.bench.wanted import Wanted
from devices.emulator import EmulatedPhone, known_latency_ms
from devices.measurement import Pass
from tests.devices.bench_job import PLAN, models, open_phone
from tests.devices.phones import emulated_phone, make_key

GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy7/scaling_governor"
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(watch, "WARM_S", 0.05)
    monkeypatch.setattr(worklist, "BATCH_S", 0.5)
    make_key(tmp_path / ".android/adbkey")


def governor(phone: EmulatedPhone) -> str:
    return phone.read(GOVERNOR).decode().strip()


def eventually(holds: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_killed_job_leaves_the_phone_as_it_found_it() -> None:
    with emulated_phone(rooted=True, latency="known") as phone:
        before = governor(phone)
        job = subprocess.Popen(
            [sys.executable, "-m", "tests.devices.bench_job", phone.host, str(phone.port), "2.0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert job.stdout is not None
        assert job.stdout.readline().endswith(b"True\n")
        assert before != governor(phone) == "performance"
        job.kill()
        job.communicate()
        assert eventually(lambda: governor(phone) == before and not phone.processes(), 60.0)


def test_a_cable_that_stays_pulled_has_everything_put_back_without_the_job() -> None:
    """And when it is plugged in again, the job goes on: every visit once, none wrong."""
    with emulated_phone(rooted=True, latency="known") as phone:
        before = governor(phone)
        device = open_phone(phone.host, phone.port, expiry_s=1.5)
        files = {model.name: model for model in models()}
        rows = []
        for row in device.stream(list(files.values()), replace(PLAN, passes=4)):
            if not rows:
                phone.unplug(6.0)
                assert eventually(lambda: governor(phone) == before, 5.8)
            rows.append(row)
        device.close()
        passes = [row for row in rows if isinstance(row, Pass)]
        assert sorted((row.model, row.index) for row in passes) == sorted(
            (name, index) for name in files for index in range(4)
        )
        for row in passes:
            assert row.distribution_ms[0] == pytest.approx(known_latency_ms(row.sha256), rel=0.05)
        fences = [row.context.fence or 0 for row in passes]
        assert fences == sorted(fences)
        assert len(set(fences)) >= 2
        assert eventually(lambda: governor(phone) == before and not phone.processes(), 10.0)


def test_a_cool_phone_that_says_it_is_slowed_down_is_waited_for_and_then_marked() -> None:
    with emulated_phone(latency="known") as phone:
        said = phone.read("/.emulator/dumpsys/thermalservice")
        slowed = said.replace(b"Thermal Status: 0", b"Thermal Status: 3").replace(
            b"CoolingDevice{mValue=0, mType=2", b"CoolingDevice{mValue=3, mType=2"
        )
        assert slowed != said
        phone.write("/.emulator/dumpsys/thermalservice", slowed)
        limits = Limits(65.0, cooldown_s=0.5)
        device = open_phone(phone.host, phone.port, 30.0, limits=limits)
        begin = time.monotonic()
        rows = [row for row in device.stream(models(), replace(PLAN, passes=1)) if isinstance(row, Pass)]
        device.close()
    assert time.monotonic() - begin > 0.5
    assert len(rows) == len(models())
    for row in rows:
        assert row.context.suspect == "the device was slowed down, by heat or a weak supply"
        assert row.context.throttled is True
        assert (row.context.temperature_before_c or 99) < 65.0


def test_a_frequency_that_the_job_holds_is_no_heat() -> None:
    wanted = Wanted(frequency_khz=1_200_000)
    with emulated_phone(rooted=True, latency="known") as phone:
        device = open_phone(phone.host, phone.port, 30.0, wanted=wanted)
        rows = [row for row in device.stream(models(), replace(PLAN, passes=1)) if isinstance(row, Pass)]
        device.close()
    assert any("kHz" in note for note in rows[0].context.conditions)
    assert {(row.context.throttled, row.context.suspect) for row in rows} == {(False, None)}
