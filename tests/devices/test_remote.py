"""Phones and boards put together, and measured on: an emulated phone and a real SSH server."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from devices.adb import direct_tcp
from devices.bench.canary import canary_model
from devices.bench.device import BenchDevice
from devices.bench.lease import Lease
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.errors import BadSettings, DeviceBusy, DeviceNotFound, RuntimeMissing
from devices.inventory.entry import Entry
from devices.measurement import Pass, Settings
from devices.plan import Plan
from devices.registry import open_device, settings_for
from devices.setup.setting_up import set_up
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import emulated_phone
from tests.devices.sshd import Sshd, running_sshd

QUICK = Plan(min_runs=5, warmup_runs=1)


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedPhone]:
    """A rooted phone that was set up, on which a model always takes the same time."""
    with pytest.MonkeyPatch.context() as patch, emulated_phone(rooted=True, latency="known") as phone:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MNAS_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        set_up(Entry("pixel", phone.address), program=BENCHMARK_MODEL)
        yield phone


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a home of its own, and no adb server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    (tmp_path / "home/.ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("MNAS_BENCH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(folder: Path, text: str) -> Path:
    path = folder / "bench.toml"
    path.write_text(text)
    return path


def test_a_phone_of_the_inventory_measures_as_its_entry_says(phone: EmulatedPhone, alone: Path) -> None:
    bench(alone, f'[devices.pixel]\naddress = "{phone.address}"\ncpus = [0]\ngovernor = "performance"\n')
    told: list[str] = []
    with closing(open_device("pixel", on_event=told.append)) as device:
        assert isinstance(device, BenchDevice)
        assert device.facts.address == "pixel"
        assert (device.facts.runtime, device.facts.abi) == ("benchmark_model", "arm64-v8a")
        assert device.settings == Settings(1, (0,))
        (row,) = device.stream([canary_model()], QUICK)
    assert isinstance(row, Pass), row
    assert row.context.settings.cpus == (0,)
    assert row.context.governor == "performance"
    assert row.context.fence is not None
    assert row.context.suspect is None
    assert row.context.temperature_before_c is not None
    assert phone.read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() == b"schedutil"
    wait_until(lambda: not phone.processes())


def test_a_phone_needs_no_inventory_and_runs_on_its_big_cores(phone: EmulatedPhone) -> None:
    assert settings_for(phone.address) == Settings()
    with closing(open_device(phone.address)) as device:
        (row,) = device.stream([canary_model()], QUICK)
    assert isinstance(row, Pass), row
    assert row.context.settings == Settings(1, (7,))


def test_what_a_command_asks_for_comes_before_the_entry(alone: Path) -> None:
    path = bench(alone, '[devices.a]\naddress = "adb://1"\nthreads = 2\ncpus = [4, 5]\ndelegate = "gpu"\n')
    assert settings_for("a") == settings_for("a", path) == Settings(2, (4, 5), "gpu")
    assert settings_for("a", path, 1, (7,), "cpu") == Settings(1, (7,), "cpu")


def test_options_are_of_the_delegate_that_they_were_given_for(alone: Path) -> None:
    path = bench(
        alone, '[devices.a]\naddress = "adb://1"\ndelegate = "external:q.so"\ndelegate_options = ["a:b"]\n'
    )
    assert settings_for("a", path).delegate_options == ("a:b",)
    assert settings_for("a", path, delegate="external:q.so").delegate_options == ("a:b",)
    assert settings_for("a", path, delegate="gpu").delegate_options == ()
    assert settings_for("a", path, delegate="external:r.so").delegate_options == ()
    assert settings_for("a", path, delegate_options=("c:d",)).delegate_options == ("c:d",)


def test_a_board_measures_with_its_python(server: Sshd, alone: Path) -> None:
    (alone / "home/.ssh/config").write_text(server.config.read_text())
    work = alone / "work"
    bench(alone, f'[devices.pi]\naddress = "ssh://board"\nwork = "{work}"\npython = "{sys.executable}"\n')
    with closing(open_device("pi")) as device:
        assert isinstance(device, BenchDevice)
        assert device.facts.runtime == "ai_edge_litert"
        rows = list(device.stream([canary_model()], Plan(passes=2, min_runs=5, sustained=True)))
    assert [type(row) for row in rows] == [Pass, Pass]
    assert all(isinstance(row, Pass) and row.samples_ms and row.context.fence for row in rows)
    assert list((work / "models").iterdir())


def test_a_device_that_was_not_set_up_says_how_it_is(phone: EmulatedPhone, server: Sshd, alone: Path) -> None:
    (alone / "home/.ssh/config").write_text(server.config.read_text())
    bench(
        alone,
        f'[devices.pixel]\naddress = "{phone.address}"\nwork = "/data/local/tmp/elsewhere"\n'
        f'[devices.pi]\naddress = "ssh://board"\nwork = "{alone}/work"\n',
    )
    for name in ("pixel", "pi"):
        with pytest.raises(RuntimeMissing, match=f"{name} has no .*: run mnas devices setup {name}"):
            open_device(name)


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(DeviceNotFound):
        open_device("adb://127.0.0.1:1")
    with pytest.raises(BadSettings, match="there is no device 'pixel'"):
        open_device("pixel")


def test_a_device_in_use_is_waited_for_as_long_as_asked(phone: EmulatedPhone) -> None:
    transport = direct_tcp("127.0.0.1", phone.port)
    lease = Lease(transport, "/data/local/tmp/mnas", "adb://another", transport.tag)
    told: list[str] = []
    try:
        with closing(open_device(phone.address, wait_s=0.3, on_event=told.append)) as device:
            lease.acquire()
            with pytest.raises(DeviceBusy, match="in use by"):
                list(device.stream([canary_model()], QUICK))
            assert any("waiting" in said for said in told)
            lease.release()
            assert device.facts.runtime == "benchmark_model"
            assert len(device.facts.identity or "") == 16
    finally:
        lease.release()
        transport.close()


def test_who_measures_is_not_disturbed_by_who_has_to_wait(phone: EmulatedPhone) -> None:
    """All that is asked of a device in use is who has it."""
    transport = direct_tcp("127.0.0.1", phone.port)
    lease = Lease(transport, "/data/local/tmp/mnas", "adb://another", transport.tag)
    lease.acquire()
    told: list[str] = []
    try:
        before = len(phone.log)
        with pytest.raises(DeviceBusy, match="in use by"):
            open_device(phone.address, wait_s=0.3, on_event=told.append)
        asked = "\n".join(phone.log[before:])
        assert " show " in asked
        assert not [word for word in ("cpuinfo", "dumpsys", "scaling_governor") if word in asked]
        assert any("waiting" in said for said in told)
        threading.Timer(0.5, lease.release).start()
        open_device(phone.address, wait_s=30.0).close()
    finally:
        lease.release()
        transport.close()


def test_a_library_is_looked_for_beside_the_inventory(phone: EmulatedPhone, alone: Path) -> None:
    (alone / "lab").mkdir()
    path = bench(
        alone / "lab",
        f'[devices.a]\naddress = "{phone.address}"\nlibraries = ["libs/libQ.so"]\n'
        f'[devices.b]\naddress = "{phone.address}"\ndelegate = "external:libX.so"\n',
    )
    for name, missing in (
        ("a", f"line 3, device a: libraries: there is no file 'libs/libQ.so' in {alone}/lab,"),
        ("b", f"line 5, device b: .*cannot read .*{alone}/lab/libX.so"),
    ):
        with pytest.raises(BadSettings, match=missing):
            open_device(name, bench=path)


def test_an_external_delegate_is_a_file_here_or_a_path_there(phone: EmulatedPhone, alone: Path) -> None:
    with pytest.raises(BadSettings, match=r"cannot read .*libX.so"):
        open_device(phone.address, Settings(delegate="external:libX.so"))
    open_device(phone.address, Settings(delegate="external:/vendor/lib64/libX.so")).close()
    (alone / "libX.so").write_bytes(b"\x7fELF")
    open_device(phone.address, Settings(delegate="external:libX.so")).close()
