"""A job lets go of an emulated phone, whatever the link does: what it set is put back before that is free."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devices.adb import AdbTransport, direct_tcp
from devices.bench.hold import Hold
from devices.bench.lease import holder
from devices.bench.wanted import Wanted
from devices.emulator import EmulatedPhone
from devices.emulator.faults import Fault
from devices.errors import LinkLost
from tests.devices.phones import start_phone  # noqa: F401 - a fixture

WORK = "/data/local/tmp/mnas"
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
Start = Callable[..., EmulatedPhone]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def held(phone: EmulatedPhone, **more: object) -> tuple[Hold, AdbTransport, list[str]]:
    transport = direct_tcp(phone.host, phone.port)
    said: list[str] = []
    hold = Hold(
        transport,
        WORK,
        phone.address,
        transport.tag,
        wanted=Wanted("performance"),
        on_event=said.append,
        **more,  # type: ignore[arg-type]
    )
    hold.settle()
    assert phone.read(GOVERNOR) == b"performance\n"
    return hold, transport, said


@pytest.mark.parametrize("messages", [1, 4])
def test_a_link_that_breaks_for_a_moment_at_the_end_leaves_nothing(
    start_phone: Start,  # noqa: F811
    messages: int,
) -> None:
    with start_phone(rooted=True) as phone:
        hold, transport, said = held(phone)
        phone.inject(Fault("unplug", after_messages=messages, seconds=0))
        hold.let_go()
        assert phone.fired() == ["unplug"]
        assert phone.read(GOVERNOR) == b"schedutil\n"
        assert holder(transport) is None
        assert any("once more" in line for line in said)
        transport.close()


def test_what_the_host_cannot_put_back_the_device_puts_back_before_it_is_free(
    start_phone: Start,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> tuple[str, ...]:
        raise LinkLost("the cable")

    with start_phone(rooted=True) as phone:
        hold, transport, _ = held(phone)
        monkeypatch.setattr("devices.bench.hold.PUT_BACK_S", 0.3)
        monkeypatch.setattr(hold._conditions, "restore", broken)
        with pytest.raises(LinkLost):
            hold.let_go()
        assert phone.read(GOVERNOR) == b"schedutil\n"
        assert holder(transport) is None
        transport.close()
