"""Conditions on an emulated phone: over the ADB protocol, in a phone's own shell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devices.adb import AdbTransport, direct_tcp
from devices.bench.conditions import Conditions, Wanted
from devices.bench.thermal import hottest_c, wait_until_cool
from devices.emulator import EmulatedPhone
from devices.errors import TransientError
from devices.facts import DeviceState, state
from devices.survey import survey
from tests.devices.phones import start_phone  # noqa: F401 - a fixture

WORK = "/data/local/tmp/mnas"
FAST = Wanted("performance", 1_500_000)
HELD = (
    "cores 0-7: governor performance",
    "cores 0-3: 1497600 kHz",
    "cores 4-6: 1209600 kHz",
    "core 7: 1305600 kHz",
    "screen on",
)
Start = Callable[..., EmulatedPhone]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


@contextmanager
def reached(phone: EmulatedPhone) -> Iterator[AdbTransport]:
    transport = direct_tcp(phone.host, phone.port)
    try:
        yield transport
    finally:
        transport.close()


def settings(now: DeviceState) -> tuple[object, ...]:
    limits = [(one.governor, one.min_khz, one.max_khz) for one in now.policies]
    return (*limits, now.stay_on, now.screen_on)


def test_a_rooted_phone_is_set_up_and_put_back(start_phone: Start) -> None:  # noqa: F811
    with start_phone(rooted=True) as phone, reached(phone) as transport:
        before = state(survey(transport, WORK))
        assert before.privilege == "su"
        ours = Conditions(transport, WORK, phone.address, FAST)
        assert ours.apply() == HELD
        assert phone.read("/sys/devices/system/cpu/cpufreq/policy7/scaling_max_freq") == b"1305600\n"
        assert ours.restore() == ()
        assert settings(state(survey(transport, WORK))) == settings(before)
        assert transport.run(["ls", WORK]).stdout == b""


def test_a_phone_without_root_is_measured_as_it_is(start_phone: Start) -> None:  # noqa: F811
    with start_phone() as phone, reached(phone) as transport:
        transport.run(["input", "keyevent", "223"])
        before = state(survey(transport, WORK))
        assert before.screen_on is False
        ours = Conditions(transport, WORK, phone.address, FAST)
        notes = ours.apply()
        assert "cores 0-7: governor performance not set: the device lets nobody be root" in notes
        assert "cores 0-7: governor schedutil" in notes
        assert notes[-1] == "screen on"
        after = state(survey(transport, WORK))
        assert (after.screen_on, after.stays_awake) == (True, True)
        assert ours.restore() == ()
        assert settings(state(survey(transport, WORK))) == settings(before)


def test_a_cable_that_is_pulled_leaves_a_script(start_phone: Start) -> None:  # noqa: F811
    """Somebody else, who knows of nothing, puts it back."""
    with start_phone(rooted=True) as phone:
        with reached(phone) as transport:
            before = state(survey(transport, WORK))
            Conditions(transport, WORK, phone.address, FAST).apply()
            phone.unplug(1.0)
            with pytest.raises(TransientError):
                Conditions(transport, WORK, phone.address, FAST).restore()
        assert phone.read("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor") == b"performance\n"
        with reached(phone) as transport:
            assert eventually(lambda: Conditions(transport, WORK, "adb://other").restore_leftover()) == ()
            assert settings(state(survey(transport, WORK))) == settings(before)


def test_after_a_restart_the_rest_is_put_back(start_phone: Start) -> None:  # noqa: F811
    """The kernel forgets its governors; Android keeps its settings."""
    with start_phone(rooted=True) as phone, reached(phone) as transport:
        before = state(survey(transport, WORK))
        Conditions(transport, WORK, phone.address, FAST).apply()
        phone.reboot(0.2)
        booted = eventually(lambda: state(survey(transport, WORK)))
        assert booted.boot_id != before.boot_id
        assert (booted.governors[0], booted.stay_on) == ("schedutil", "15")
        assert Conditions(transport, WORK, phone.address).restore_leftover() == ()
        assert settings(state(survey(transport, WORK))) == settings(before)


def test_a_hot_phone_is_waited_for(start_phone: Start) -> None:  # noqa: F811
    with start_phone() as phone, reached(phone) as transport:
        phone.heat(85.0)
        hot = state(survey(transport, WORK, glance=True))
        assert (hot.processor_c, hot.throttled_now) == (85.0, True)
        waited = wait_until_cool(
            lambda: hottest_c(transport, WORK), 50.0, 60.0, lambda _: phone.cool(), poll_s=0.1
        )
        assert (waited.before_c, waited.after_c) == (85.0, 41.5)


def test_a_hot_phones_frequency_is_left_alone(start_phone: Start) -> None:  # noqa: F811
    """What heat has lowered is not taken for what the owner wants."""
    with start_phone(rooted=True) as phone, reached(phone) as transport:
        phone.heat(85.0)
        phone.write("/sys/devices/system/cpu/cpufreq/policy7/scaling_max_freq", b"1862400\n")
        ours = Conditions(transport, WORK, phone.address, FAST)
        notes = ours.apply()
        assert "core 7: 1500000 kHz not set while heat holds the frequency down" in "; ".join(notes)
        assert "cores 0-3: 1497600 kHz" in notes
        phone.write("/sys/devices/system/cpu/cpufreq/policy7/scaling_max_freq", b"2841600\n")
        assert ours.restore() == ()


def eventually(attempt: Callable[[], Any]) -> Any:
    """What an attempt gives once the link is there again."""
    for _ in range(50):
        try:
            return attempt()
        except TransientError:
            time.sleep(0.1)
    return attempt()
