"""`mnas table` with a phone of the inventory, as its users see it: built, shown, validated."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.emulator import BENCHMARK_MODEL
from tests.devices.phones import emulated_phone
from tests.mnas.tables import OPTIONS

ENDS_S = 240.0


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bench with a phone that was set up; its operators take known times, and its profile names them."""
    here = tmp_path_factory.mktemp("bench")
    (here / "home").mkdir()
    with emulated_phone(rooted=True, latency="operators", profile="xnnpack") as phone:
        (here / "bench.toml").write_text(f'[devices.pixel]\naddress = "{phone.address}"\ncooldown_s = 0\n')
        done = end(here, "devices", "setup", "pixel", "--benchmark-model", BENCHMARK_MODEL)
        assert done.returncode == 0, done.stderr
        yield here


def end(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command of mnas to its end in the bench's folder, with no adb server about."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {
        "HOME": str(folder / "home"),
        "MNAS_STATE_DIR": str(folder / "state"),
        "ANDROID_ADB_SERVER_PORT": str(port),
    }
    environment = {name: value for name, value in os.environ.items() if name != "MNAS_BENCH"} | own
    return subprocess.run(
        [sys.executable, "-m", "mnas", *map(str, words)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        check=False,
    )


def test_a_phones_table_predicts_what_the_phone_takes(folder: Path) -> None:
    words = ("table", "build", *OPTIONS, "--anchors", 6, "-d", "pixel", "-o", "t.db", "--json", "-q")
    built = end(folder, *words)
    assert built.returncode == 0, built.stderr
    document = json.loads(built.stdout)
    assert (document["missing_operators"], document["no_profiler"]) == ([], None)
    assert document["operators_alone"] == 0
    judged = end(
        folder,
        "table",
        "validate",
        "t.db",
        "-d",
        "pixel",
        "--networks",
        4,
        "--passes",
        1,
        "-o",
        "v",
        "--json",
        "-q",
    )
    assert judged.returncode in (0, 4), judged.stderr
    assert json.loads(judged.stdout)["mape_percent"] < 2
