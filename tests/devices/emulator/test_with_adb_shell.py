"""The emulated phone satisfies adb-shell, which negotiates the protocol's old version, with checksums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices.emulator import EmulatedPhone
from tests.devices.phones import make_key

adb_device = pytest.importorskip("adb_shell.adb_device")
signer = pytest.importorskip("adb_shell.auth.sign_pythonrsa")
exceptions = pytest.importorskip("adb_shell.exceptions")


def device(phone: EmulatedPhone) -> Any:
    return adb_device.AdbDeviceTcp(phone.host, phone.port, default_transport_timeout_s=5)


def test_shell_and_files(phone: EmulatedPhone, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    (tmp_path / "there").write_bytes(content)
    adb = device(phone)
    assert adb.connect()
    try:
        assert adb.shell("echo hello") == "hello\n"
        adb.push(str(tmp_path / "there"), "/data/local/tmp/there", mtime=1_700_000_000)
        mode, size, mtime = adb.stat("/data/local/tmp/there")
        assert (oct(mode), size, mtime) == ("0o100770", len(content), 1_700_000_000)
        assert b"there" in [each.filename for each in adb.list("/data/local/tmp")]
        adb.pull("/data/local/tmp/there", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == content
        assert adb.stat("/data/nothing") == (0, 0, 0)
        # a longer file's refusal comes while it waits for something else, and it does not see it
        (tmp_path / "short").write_bytes(b"short")
        with pytest.raises(exceptions.PushFailedError, match="Not a directory"):
            adb.push(str(tmp_path / "short"), "/data/local/tmp/there/below")
    finally:
        adb.close()


def test_keys(start_phone: Callable[..., EmulatedPhone], tmp_path: Path) -> None:
    keys = {name: make_key(tmp_path / name) for name in ("known", "unknown")}
    signers = {
        name: signer.PythonRSASigner(path.read_text(), (tmp_path / name).read_text())
        for name, path in keys.items()
    }
    phone = start_phone([keys["known"]])
    adb = device(phone)
    with pytest.raises(exceptions.DeviceAuthError):
        adb.connect()
    assert adb.connect([signers["unknown"], signers["known"]])
    assert adb.shell("echo in") == "in\n"
    adb.close()
    with pytest.raises(exceptions.TcpTimeoutException):
        adb.connect([signers["unknown"]], auth_timeout_s=0.3)
    adb.close()
    assert phone.log[-1].startswith("prompt:")
    generous = start_phone([], accept=True)
    adb = device(generous)
    assert adb.connect([signers["unknown"]], auth_timeout_s=5)
    assert adb.shell("echo in") == "in\n"
    adb.close()
