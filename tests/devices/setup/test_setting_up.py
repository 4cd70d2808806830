"""Making a device ready: who has it meanwhile, and what is noted of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.adb import direct_tcp
from devices.bench.lease import Lease, holder
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.errors import BadSettings, DeviceBusy
from devices.inventory.entry import Entry
from devices.inventory.file import load
from devices.setup import setting_up
from devices.setup.board import BoardRuntime
from devices.setup.setting_up import Ready, set_up
from devices.ssh import SshTransport
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import emulated_phone
from tests.devices.sshd import Sshd, running_sshd


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone() as phone:
        yield phone


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    (tmp_path / "sshd").mkdir()
    with running_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    (tmp_path / "home/.ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "home"


def test_a_programs_sum_is_noted_in_the_inventory_that_has_the_device(
    phone: EmulatedPhone, tmp_path: Path
) -> None:
    bench = tmp_path / "bench.toml"
    text = f'[devices.a]\naddress = "{phone.address}"  # the desk\'s\n'
    bench.write_text(text)
    ready = set_up(load(bench).entry("a"), bench, program=BENCHMARK_MODEL)
    assert (ready.runtime, ready.version, ready.bench) == ("benchmark_model", "unknown", bench)
    assert bench.read_text() == f'{text}benchmark_model_sha256 = "{ready.sha256}"\n'
    assert set_up(load(bench).entry("a"), bench, program=BENCHMARK_MODEL) == ready
    unnamed = set_up(load(bench).entry(phone.address), bench, program=BENCHMARK_MODEL)
    assert (unnamed.sha256, unnamed.bench) == (ready.sha256, None)
    wait_until(lambda: not phone.processes())


def test_what_was_changed_meanwhile_stays(phone: EmulatedPhone, tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text(begin := f'[devices.a]\naddress = "{phone.address}"\n')

    def edit(said: str) -> None:
        bench.write_text(f"{begin}threads = 2\n")

    ready = set_up(load(bench).entry("a"), bench, program=BENCHMARK_MODEL, on_event=edit)
    assert bench.read_text() == f'{begin}threads = 2\nbenchmark_model_sha256 = "{ready.sha256}"\n'


def test_a_device_that_was_taken_out_meanwhile_stays_out(phone: EmulatedPhone, tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text(text := f'[devices.a]\naddress = "{phone.address}"\n')
    entry = load(bench).entry("a")
    for now in ("# none\n", text.replace(phone.address, "adb://another")):
        bench.write_text(now)
        assert set_up(entry, bench, program=BENCHMARK_MODEL).bench is None
        assert bench.read_text() == now


def test_a_board_gets_its_python_while_nobody_else_can_have_it(
    server: Sshd, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".ssh/config").write_text(server.config.read_text())
    given: list[Any] = []

    def made(transport: SshTransport, *rest: Any) -> BoardRuntime:
        given.extend([holder(transport), *rest])
        return BoardRuntime("/x/venv/bin/python", "3.11.2", "ai-edge-litert", "2.3.0", "2.4.6", True)

    monkeypatch.setattr(setting_up, "set_up_board", made)
    ready = set_up(Entry("pi", "ssh://board"), tmp_path / "bench.toml", wheels=tmp_path, python="python3.11")
    assert ready == Ready("ai-edge-litert", "2.3.0", "/x/venv/bin/python", python_version="3.11.2")
    held, work, _, wheels, python = given
    assert held is not None
    assert (work, wheels, python) == (f"{server.home}/.cache/mnas", tmp_path, "python3.11")
    transport = SshTransport("board", config=server.config)
    assert holder(transport) is None
    transport.close()


def test_a_device_in_use_is_left_alone(phone: EmulatedPhone) -> None:
    transport = direct_tcp("127.0.0.1", phone.port)
    lease = Lease(transport, "/data/local/tmp/mnas", "adb://another", transport.tag)
    lease.acquire()
    try:
        with pytest.raises(DeviceBusy):
            set_up(Entry("a", phone.address), program=BENCHMARK_MODEL)
    finally:
        lease.release()
        transport.close()


def test_this_machine_needs_none() -> None:
    with pytest.raises(BadSettings, match="local is this machine and needs no setting up"):
        set_up(Entry("local", "local"))


def test_what_cannot_be_put_there_leaves_the_inventory_alone(phone: EmulatedPhone, tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text(text := f'[devices.a]\naddress = "{phone.address}"\n')
    with pytest.raises(BadSettings, match="no version of LiteRT"):
        set_up(load(bench).entry("a"), bench, version="no such version")
    assert bench.read_text() == text
