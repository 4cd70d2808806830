"""Two tables beside each other: ratios, what is missing, and what chance explains."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadTable
from latency_tables.exchange.diff import Latency, diff
from latency_tables.units import retyped

RELU = [f"relu/float32/1x{size}/1x{size}" for size in range(1, 9)]
CONV = "conv_2d/float32/1x8x8x3/1x8x8x4/k1x1/s1x1/same"


def table(**ms: float) -> dict[str, Latency]:
    return {RELU[int(name[1:])]: Latency(value, 0.0) for name, value in ms.items()}


def test_ratios_by_unit_kind_and_in_all() -> None:
    first = {**table(r0=1.0, r1=2.0), CONV: Latency(7.0, 0.0)}
    second = {**table(r0=2.0, r1=2.0), CONV: Latency(3.5, 0.0)}
    found = diff(first, second)
    assert found.ratio == pytest.approx(7.5 / 10)
    conv, relu = found.kinds
    assert (conv.kind, conv.units, conv.changed, conv.ratio) == ("conv_2d", 1, 1, 0.5)
    assert (relu.kind, relu.units, relu.changed, relu.ratio) == ("relu", 2, 1, pytest.approx(4 / 3))
    assert relu.median_ratio == pytest.approx(1.5)
    assert [one.unit for one in found.units] == [CONV, RELU[0], RELU[1]]
    assert (found.changed, found.same) == (2, False)


def test_what_either_lacks_is_named() -> None:
    found = diff(table(r0=1.0, r1=1.0), table(r1=1.0, r2=1.0))
    assert (found.only_first, found.only_second, found.changed) == ((RELU[0],), (RELU[2],), 0)
    assert not found.same
    nothing = diff(table(r0=1.0), table(r1=1.0))
    assert (nothing.ratio, nothing.kinds, nothing.units) == (None, (), ())


def test_a_change_is_more_than_the_threshold_and_more_than_chance() -> None:
    def changed(ratio: float, error_ms: float | None, threshold: float = 5.0) -> bool:
        return bool(diff({CONV: Latency(1.0, error_ms)}, {CONV: Latency(ratio, error_ms)}, threshold).changed)

    assert changed(1.06, 0.0)
    assert changed(0.94, 0.0)
    assert not changed(1.04, 0.0)
    assert not changed(0.96, 0.0)
    assert changed(1.04, 0.0, 3.0)
    assert not changed(1.06, 0.02)
    assert changed(1.3, 0.02)
    assert changed(1.06, None)


def test_element_types_are_compared_when_asked_for() -> None:
    first = {f"{CONV} & {RELU[0]}": Latency(2.0, None)}
    second = {f"{CONV} & {RELU[0]}".replace("float32", "int8"): Latency(1.0, None)}
    assert diff(first, second).units == ()
    (unit,) = diff(retyped(first, "int8"), second).units
    assert unit.ratio == 0.5


MS = st.floats(1e-3, 1e3)


@given(
    first=st.dictionaries(st.sampled_from(RELU), MS, min_size=1),
    second=st.dictionaries(st.sampled_from(RELU), MS),
)
def test_the_other_way_round_is_the_inverse(first: dict[str, float], second: dict[str, float]) -> None:
    a = {unit: Latency(ms, 0.01) for unit, ms in first.items()}
    b = {unit: Latency(ms, 0.01) for unit, ms in second.items()}
    there, back = diff(a, b), diff(b, a)
    assert (there.only_first, there.only_second) == (back.only_second, back.only_first)
    assert there.same == back.same
    ratios = {one.unit: one.ratio for one in back.units}
    assert all(math.isclose(one.ratio * ratios[one.unit], 1) for one in there.units)
    assert diff(a, a).same


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadTable, match="0 or more"):
        diff(table(r0=1.0), table(r0=1.0), -1)
    with pytest.raises(BadTable, match="nothing to compare"):
        diff({}, {})
