"""Emulated phones, keys and Google's adb for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devices.emulator import EmulatedPhone
from devices.errors import DeviceTrouble


def needs(*programs: str) -> None:
    """Skip the test where one of these programs is not installed."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def emulated_phone(*arguments: Any, **options: Any) -> EmulatedPhone:
    """An emulated phone; skips the test where there can be none."""
    needs("unshare", "mksh", "toybox")
    try:
        return EmulatedPhone(*arguments, **options)
    except DeviceTrouble as error:
        pytest.skip(str(error))


@pytest.fixture
def phone() -> Iterator[EmulatedPhone]:
    """A phone that lets everybody in."""
    with emulated_phone() as phone:
        yield phone


@pytest.fixture
def start_phone() -> Iterator[Callable[..., EmulatedPhone]]:
    """Starts phones, with the arguments of `EmulatedPhone`; they end with the test."""
    with contextlib.ExitStack() as started:
        yield lambda *arguments, **options: started.enter_context(emulated_phone(*arguments, **options))


def make_key(path: Path) -> Path:
    """A host's key at this path; returns the path of its public part."""
    needs("adb")
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["adb", "keygen", str(path)], check=True, capture_output=True, timeout=30)
    return path.with_name(f"{path.name}.pub")


@dataclass(frozen=True, slots=True)
class AdbServer:
    """Google's adb with a server of its own, at this port, with this home directory."""

    port: int
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("A")}
        return {**kept, "HOME": str(self.home), "ANDROID_ADB_SERVER_PORT": str(self.port)}

    def adb(self, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Any:
        """Run `adb` to its end: a `subprocess.CompletedProcess` with bytes."""
        return subprocess.run(
            ["adb", *arguments],
            check=False,
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=timeout_s,
        )


@pytest.fixture
def adb_server(tmp_path: Path) -> Iterator[AdbServer]:
    """A running adb server that knows no phone yet."""
    needs("adb")
    home = tmp_path / "adb-home"
    make_key(home / ".android/adbkey")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = AdbServer(port, home)
    server.adb("start-server")
    yield server
    server.adb("kill-server")
