from __future__ import annotations

import math

import pytest

from devices.errors import BadSettings
from devices.plan import Plan


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passes", 0),
        ("passes", 100_001),
        ("passes", 99_999_999),
        ("warmup_runs", 1_000_001),
        ("min_runs", 10_000_001),
        ("min_time_s", 86_401.0),
        ("deadline_s", 86_401.0),
        ("warmup_runs", -1),
        ("min_runs", 0),
        ("min_time_s", -1.0),
        ("min_time_s", math.nan),
        ("min_time_s", math.inf),
        ("deadline_s", 0.0),
        ("deadline_s", -1.0),
        ("deadline_s", math.nan),
        ("deadline_s", math.inf),
    ],
)
def test_plans_that_cannot_be(field: str, value: float) -> None:
    with pytest.raises(BadSettings, match=rf"{field} is {value}; it must be"):
        Plan(**{field: value})  # type: ignore[arg-type] # wrong on purpose


def test_the_least_of_plans() -> None:
    assert Plan(passes=1, warmup_runs=0, min_runs=1, min_time_s=0.0, deadline_s=0.001).min_runs == 1


def test_the_most_of_plans() -> None:
    """A day of passes of 5 s is within it."""
    plan = Plan(passes=100_000, warmup_runs=10**6, min_runs=10**7, min_time_s=86_400.0, deadline_s=86_400.0)
    assert plan.passes >= 86_400 / 5
