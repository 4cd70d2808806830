from __future__ import annotations

import math

import pytest

from devices.errors import BadSettings
from devices.plan import Plan


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passes", 0),
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
