"""A phone and an adb server for all tests of a module."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.adb.keys import make_if_absent
from devices.emulator import EmulatedPhone
from tests.devices.phones import AdbServer, emulated_phone, needs


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key."""
    path = tmp_path_factory.mktemp("key") / "adbkey"
    make_if_absent(path)
    return path


@pytest.fixture(scope="module")
def shared_phone(key: Path) -> Iterator[EmulatedPhone]:
    """A phone that knows the key."""
    with emulated_phone([key.with_name("adbkey.pub")]) as phone:
        yield phone


@pytest.fixture(scope="module")
def shared_server(
    shared_phone: EmulatedPhone, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AdbServer]:
    """An adb server that has the key and knows the phone."""
    needs("adb")
    home = tmp_path_factory.mktemp("adb-home")
    (home / ".android").mkdir()
    for name in (key.name, f"{key.name}.pub"):
        (home / ".android" / name).write_bytes(key.with_name(name).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = AdbServer(port, home)
    server.adb("start-server")
    plug_in(server, shared_phone)
    yield server
    server.adb("kill-server")


def plug_in(server: AdbServer, phone: EmulatedPhone) -> None:
    """Let a server know a phone, and wait until it can be used."""
    serial = f"{phone.host}:{phone.port}"
    for _ in range(200):
        server.adb("connect", serial)
        if server.adb("-s", serial, "get-state").stdout.strip() == b"device":
            return
        server.adb("disconnect", serial)
        time.sleep(0.05)
    raise AssertionError("the server does not find the phone")
