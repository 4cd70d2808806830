from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BadSettings
from devices.measurement import Context, DeviceFacts, Pass, Settings
from devices.sustained import plateau

FACTS = DeviceFacts("a", "m", "c", 1, None, "o", None, "r", "1")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def passes(latency_ms: Callable[[float], float], count: int, every_s: float = 5.0) -> list[Pass]:
    made = []
    for number in range(count):
        at_s = number * every_s
        context = Context(
            FACTS,
            Settings(),
            (BEGIN + timedelta(seconds=at_s)).isoformat(),
            "xnnpack",
            temperature_after_c=30 + number,
        )
        made.append(Pass("m", "0", number, (latency_ms(at_s),) * 3, 0, None, None, None, None, None, context))
    return made


def test_a_phone_that_gets_hot_settles_later() -> None:
    """Cool for a minute, then slower and slower, then steady at 1.5 times the time."""
    found = plateau(passes(lambda at_s: float(np.interp(at_s, [60, 120], [10.0, 15.0])), 61))
    assert found.reached
    assert found.latency_ms == pytest.approx(15.0)
    assert found.slowdown == pytest.approx(0.5)
    assert 100 <= found.begins_s <= 125
    assert found.lasted_s == 300.0
    assert found.temperature_c == 90


def test_a_device_that_stays_cool_is_on_its_plateau_at_once() -> None:
    rng = np.random.default_rng(0)
    found = plateau(passes(lambda _: float(rng.normal(10.0, 0.1)), 30))
    assert (found.reached, found.begins_s, found.passes) == (True, 0.0, 30)
    assert found.latency_ms == pytest.approx(10.0, rel=0.02)


def test_one_disturbed_pass_is_no_end_of_a_plateau() -> None:
    found = plateau(passes(lambda at_s: 30.0 if at_s == 100.0 else 10.0, 40))
    assert found.reached
    assert found.begins_s == 0.0
    assert found.latency_ms == 10.0


def test_what_still_grows_has_no_plateau() -> None:
    found = plateau(passes(lambda at_s: 10.0 + at_s / 10, 40))
    assert not found.reached
    assert found.passes == 10
    assert found.latency_ms == pytest.approx(10 + (195 - 22.5) / 10)


def test_too_few_passes_are_refused() -> None:
    with pytest.raises(BadSettings, match="3 passes"):
        plateau(passes(lambda _: 1.0, 3))


@given(st.lists(st.floats(0.01, 1e4), min_size=4, max_size=60))
def test_any_latencies_have_an_answer(latencies: list[float]) -> None:
    made = passes(lambda at_s: latencies[round(at_s / 5)], len(latencies))
    found = plateau(made[::-1])
    assert min(latencies) <= found.latency_ms <= max(latencies)
    assert found.first_ms == pytest.approx(latencies[0])
    assert 4 <= found.passes <= len(latencies)
