from __future__ import annotations

from collections.abc import Callable

import pytest

from devices.bench.retry import LONGEST_PAUSE_S, retry
from devices.errors import DeviceOffline, DevicesError, DeviceTrouble, LinkLost, TransientError


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds


def failing(times: int, kind: type[DevicesError] = LinkLost) -> Callable[[], int]:
    calls = 0

    def call() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise kind(f"break {calls}")
        return calls

    return call


def test_it_is_tried_until_the_link_holds() -> None:
    clock, said = Clock(), []
    answer = retry(
        failing(3), 60.0, lambda error, pause: said.append(str(error)), clock=clock, sleep=clock.sleep
    )
    assert answer == 4
    assert said == ["break 1", "break 2", "break 3"]
    assert clock.pauses_s == [0.25, 0.5, 1.0]


def test_pauses_have_a_cap_and_the_whole_has_an_end() -> None:
    clock = Clock()
    with pytest.raises(DeviceOffline):
        retry(failing(1000, DeviceOffline), 100.0, clock=clock, sleep=clock.sleep)
    assert max(clock.pauses_s) == LONGEST_PAUSE_S
    assert clock.now_s == pytest.approx(100.0)


@pytest.mark.parametrize("kind", [DeviceTrouble, DevicesError])
def test_only_a_broken_link_is_tried_again(kind: type[DevicesError]) -> None:
    clock = Clock()
    assert not issubclass(kind, TransientError)
    with pytest.raises(kind, match="break 1"):
        retry(failing(1, kind), 100.0, clock=clock, sleep=clock.sleep)
    assert clock.pauses_s == []


def test_without_a_budget_there_is_one_try() -> None:
    with pytest.raises(LinkLost, match="break 1"):
        retry(failing(1), 0.0)
