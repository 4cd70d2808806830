from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from devices.errors import DeviceTrouble
from devices.inventory.address import Address
from devices.inventory.entry import Entry
from devices.local import LocalTransport
from devices.reach import transport_to, work_folder
from devices.transport import CommandResult


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def test_this_machine_is_reached_without_a_way() -> None:
    assert isinstance(transport_to(Address("local")), LocalTransport)


@pytest.mark.parametrize(
    "address", ["adb://127.0.0.1:1", "adb://[::1]:1", "ssh://lab@127.0.0.1:1", "ssh://[::1]:1"]
)
def test_nothing_is_reached_before_it_is_used(address: str) -> None:
    """Nor does letting go reach anything."""
    transport_to(Address.parse(address)).close()


def test_a_path_below_the_home_is_made_absolute(tmp_path: Path) -> None:
    transport = LocalTransport()
    assert work_folder(transport, Entry("a", "ssh://a")) == f"{os.path.realpath(tmp_path)}/.cache/mnas"
    assert work_folder(transport, Entry("a", "ssh://a", work="/var/tmp/mnas")) == "/var/tmp/mnas"
    assert work_folder(transport, Entry("a", "adb://a")) == "/data/local/tmp/mnas"


class Saying(LocalTransport):
    def __init__(self, stdout: bytes, exit_code: int = 0) -> None:
        super().__init__()
        self.result = CommandResult(exit_code, stdout, b"\x1b[2Jno home\n")

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        return self.result


@pytest.mark.parametrize(
    "transport",
    [
        Saying(b"", 1),
        Saying(b"/root\n"),
        Saying(b"root\nend\n"),
        Saying(b"/a\x1b[2J\nend\n"),
        Saying(b"/a\nb\nend\n"),
        Saying(b"/" + b"a" * 100_000 + b"\nend\n"),
    ],
)
def test_a_home_that_makes_no_sense_is_no_home(transport: Saying) -> None:
    with pytest.raises(
        DeviceTrouble, match="pi does not tell where its user's home is: no home; name a work"
    ) as error:
        work_folder(transport, Entry("pi", "ssh://pi"))
    assert str(error.value).isprintable()
