from __future__ import annotations

import pytest

from devices.bench.limits import TEMPERATURE_C, Limits
from devices.errors import BadSettings


@pytest.mark.parametrize("limit_c", [*TEMPERATURE_C, -1.0, float("nan"), float("inf")])
def test_a_temperature_limit_lies_between_its_bounds(limit_c: float) -> None:
    with pytest.raises(BadSettings, match="must lie between 0 and 150"):
        Limits(limit_c)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_patience_is_finite(value: float) -> None:
    with pytest.raises(BadSettings, match="cooldown_s"):
        Limits(cooldown_s=value)
    with pytest.raises(BadSettings, match="reconnect_s"):
        Limits(reconnect_s=value)
