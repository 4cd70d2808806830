"""The emulated phone satisfies Google's own adb."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.emulator import EmulatedPhone
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import AdbServer, make_key


@pytest.fixture
def serial(phone: EmulatedPhone, adb_server: AdbServer) -> str:
    connect(adb_server, phone)
    return f"{phone.host}:{phone.port}"


def connect(adb_server: AdbServer, phone: EmulatedPhone) -> bytes:
    return adb_server.adb("connect", f"{phone.host}:{phone.port}").stdout


def test_exit_code_and_both_streams(adb_server: AdbServer, serial: str) -> None:
    result = adb_server.adb("-s", serial, "shell", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, b"out\n", b"err\n")
    assert adb_server.adb("-s", serial, "shell", "kill -9 $$").returncode == 137
    assert adb_server.adb("-s", serial, "shell", "no-such-program").returncode == 127


def test_input_and_its_end(adb_server: AdbServer, phone: EmulatedPhone, serial: str) -> None:
    data = os.urandom(3_000_000)
    assert adb_server.adb("-s", serial, "shell", "cat", stdin=data).stdout == data
    assert adb_server.adb("-s", serial, "exec-in", "cat >/data/local/tmp/in", stdin=data).returncode == 0
    wait_until(
        lambda: (phone.folder / "local/tmp/in").exists() and phone.read("/data/local/tmp/in") == data
    )  # adb does not wait for it
    assert adb_server.adb("-s", serial, "exec-out", "cat /data/local/tmp/in").stdout == data


def test_100_mb_there_and_back(adb_server: AdbServer, serial: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(os.urandom(1 << 20) * 100)
    digest = hashlib.sha256((tmp_path / "there").read_bytes()).hexdigest()
    pushed = adb_server.adb("-s", serial, "push", str(tmp_path / "there"), "/data/local/tmp/file")
    assert pushed.returncode == 0, pushed
    found = adb_server.adb("-s", serial, "shell", "sha256sum /data/local/tmp/file").stdout.decode()
    assert found.split()[0] == digest
    pulled = adb_server.adb("-s", serial, "pull", "/data/local/tmp/file", str(tmp_path / "back"))
    assert pulled.returncode == 0, pulled
    assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == digest


def test_files_that_cannot_be(adb_server: AdbServer, serial: str, tmp_path: Path) -> None:
    missing = adb_server.adb("-s", serial, "pull", "/data/nothing", str(tmp_path / "x"))
    assert missing.returncode == 1
    assert b"does not exist" in missing.stderr + missing.stdout
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    adb_server.adb("-s", serial, "push", str(tmp_path / "file"), "/data/local/tmp/file")
    refused = adb_server.adb("-s", serial, "push", str(tmp_path / "file"), "/data/local/tmp/file/below")
    assert refused.returncode == 1
    assert b"couldn't create file: Not a directory" in refused.stderr + refused.stdout


def test_a_wrong_key_is_refused_until_it_is_accepted(
    adb_server: AdbServer, start_phone: Callable[..., EmulatedPhone], tmp_path: Path
) -> None:
    phone = start_phone([make_key(tmp_path / "other/adbkey")])
    assert b"failed to authenticate" in connect(adb_server, phone)
    assert b"unauthorized" in adb_server.adb("devices").stdout
    refused = adb_server.adb("-s", f"{phone.host}:{phone.port}", "shell", "id")
    assert refused.returncode == 1
    assert b"unauthorized" in refused.stderr
    wait_until(lambda: phone.accept_keys() == 1)  # its prompt may still be on its way
    wait_until(lambda: b"\tdevice" in adb_server.adb("devices").stdout)
    assert adb_server.adb("-s", f"{phone.host}:{phone.port}", "shell", "id").returncode == 0


def test_the_right_key_comes_in(adb_server: AdbServer, start_phone: Callable[..., EmulatedPhone]) -> None:
    phone = start_phone([adb_server.home / ".android/adbkey.pub"])
    assert b"connected to" in connect(adb_server, phone)
    assert adb_server.adb("shell", "echo hello").stdout == b"hello\n"
