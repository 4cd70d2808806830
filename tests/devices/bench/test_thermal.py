from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from devices.bench.thermal import Waited, hottest_c, wait_until_cool
from devices.errors import BadSettings, LinkLost, TooHot
from devices.local import LocalTransport
from tests.devices.pretend_phone import PretendPhone


class Time:
    """A clock that sleeping advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(seconds, 0.001)


def readings(values: Iterable[float | None]) -> Callable[[], float | None]:
    rest = iter(values)
    return lambda: next(rest)


def wait(
    values: Iterable[float | None], budget_s: float = 60.0, on_wait: Callable[[str], None] | None = None
) -> Waited:
    time = Time()
    return wait_until_cool(readings(values), 40.0, budget_s, on_wait, clock=time.clock, sleep=time.sleep)


def test_a_cool_device_is_not_waited_for() -> None:
    assert wait([39.9]) == Waited(0.0, 39.9, 39.9)


def test_a_hot_device_is_waited_for() -> None:
    said: list[str] = []
    assert wait([55.0, 48.25, 40.0, 39.5], on_wait=said.append) == Waited(15.0, 55.0, 39.5)
    assert said == ["waiting until the device is below 40 °C: it is at 55.0 °C"]


def test_waiting_is_told_every_half_minute() -> None:
    said: list[str] = []
    wait([50.0 - i for i in range(20)], 600.0, said.append)
    assert said == [
        "waiting until the device is below 40 °C: it is at 50.0 °C",
        "waiting until the device is below 40 °C: it is at 44.0 °C",
    ]


def test_a_device_that_stays_hot() -> None:
    with pytest.raises(TooHot, match=r"at 44\.5 °C, not below 40 °C, after 12 s; let it cool down"):
        wait([50.0, 47.0, 45.0, 44.5], 12.0)


def test_no_budget_is_no_wait() -> None:
    with pytest.raises(TooHot, match="after 0 s"):
        wait([50.0], 0.0)


def test_a_device_that_does_not_tell() -> None:
    assert wait([None]) == Waited(0.0, None, None)
    assert wait([float("nan")]) == Waited(0.0, None, None)


def test_a_hot_device_that_no_longer_tells_is_not_taken_for_cool() -> None:
    with pytest.raises(TooHot, match="a temperature it no longer tells"):
        wait([50.0, None, float("nan"), None], 15.0)
    assert wait([50.0, None, 38.0]).after_c == 38.0


def test_a_broken_link_is_not_a_temperature() -> None:
    def read() -> float:
        raise LinkLost("gone")

    with pytest.raises(LinkLost):
        wait_until_cool(read, 40.0, 60.0)


@pytest.mark.parametrize("limit_c", [0.0, -1.0, 150.0, float("nan"), float("inf")])
def test_limits_that_are_no_temperature(limit_c: float) -> None:
    with pytest.raises(BadSettings, match="between 0 and 150"):
        wait_until_cool(lambda: 20.0, limit_c, 60.0)


def test_the_hotter_of_processor_and_skin(tmp_path: Path) -> None:
    phone = PretendPhone(tmp_path)
    assert hottest_c(phone, phone.work, root=phone.root) == 29.1  # of the battery: it tells no other
    phone.write("/sys/class/thermal/thermal_zone0/type", "cpu-0-0-usr")
    phone.write("/sys/class/thermal/thermal_zone0/temp", "51200")
    phone.write("/sys/class/thermal/thermal_zone1/type", "skin-therm")
    phone.write("/sys/class/thermal/thermal_zone1/temp", "38500")
    phone.write("/sys/class/thermal/thermal_zone2/type", "soc")
    phone.write("/sys/class/thermal/thermal_zone2/temp", "95")
    assert hottest_c(phone, phone.work, root=phone.root) == 51.2


def test_a_machine_without_sensors(tmp_path: Path) -> None:
    assert hottest_c(LocalTransport(), str(tmp_path), root=str(tmp_path)) is None
