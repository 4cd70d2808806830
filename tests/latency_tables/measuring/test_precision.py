"""Which operators are not settled, and which networks are measured again for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.measurement import Settings
from latency_tables.build import PLAN, build
from latency_tables.figures import Figure
from latency_tables.measuring.precision import FLOOR_MS, choose, unsettled, weighted_standard_error_percent
from latency_tables.records import Method, Origin
from latency_tables.store import LatencyTable
from tests.latency_tables.desk import FACTS, NETWORKS, Desk, logistic


def figure(
    latency_ms: float,
    error_ms: float | None,
    method: Method = "in context",
    between_percent: float | None = None,
) -> Figure:
    return Figure("x", latency_ms, error_ms, latency_ms, method, 4, 1, 4, between_percent, None)


def test_an_operator_is_settled_by_its_percentage_or_by_what_the_clock_tells() -> None:
    figures = {
        "exact": figure(1.0, 0.02),
        "vague": figure(1.0, 0.06),
        "tiny": figure(0.001, FLOOR_MS),
        "seen once": figure(1.0, None),
        "alone": figure(1.0, 0.3, "alone", 8.0),
        "alone, of a vague ratio": figure(1.0, 0.3, "alone", 1.0),
        "alone, once": figure(1.0, 0.3, "alone"),
        "given": figure(1.0, 0.5, "imported"),
        "of unknown error": figure(1.0, None, "transferred"),
    }
    found = unsettled(figures, 2.0)
    assert found.keys() == {"vague", "seen once", "alone", "alone, once"}
    assert found["alone"] == pytest.approx(2.0)
    assert found["vague"] == pytest.approx(3.0)


UNITS = "abcdefgh"


@given(
    st.dictionaries(
        st.text("xyz", min_size=1, max_size=3), st.frozensets(st.sampled_from(UNITS)), max_size=8
    ),
    st.dictionaries(st.sampled_from(UNITS), st.floats(1.01, 10)),
    st.floats(0.5, 2),
)
def test_the_choice_holds_every_unit_that_some_network_has_and_nothing_in_vain(
    networks: dict[str, frozenset[str]], wants: dict[str, float], cost: float
) -> None:
    chosen = choose(networks, wants, dict.fromkeys(networks, cost))
    reachable = wants.keys() & frozenset().union(*networks.values())
    assert reachable <= frozenset().union(*(networks[name] for name in chosen))
    covered: set[str] = set()
    for name in chosen:
        assert (networks[name] & wants.keys()) - covered
        covered |= networks[name]


def test_cheap_networks_are_taken_before_dear_ones() -> None:
    networks = {"dear": "ab", "cheap a": "a", "cheap b": "b"}
    costs = {"dear": 10.0, "cheap a": 1.0, "cheap b": 1.0}
    assert choose(networks, {"a": 2.0, "b": 2.0}, costs) == ["cheap a", "cheap b"]
    assert choose(networks, {"a": 2.0, "b": 2.0}, costs | {"dear": 1.5}) == ["dear"]


def test_the_error_of_a_table_is_weighted_by_shares_of_time(tmp_path: Path) -> None:
    noise = {logistic(100): 0.05, logistic(900): 0.001}
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as table:
        build(table, Desk(), replace(PLAN, passes=1))
        assert weighted_standard_error_percent(table) is None
        build(table, Desk(noise=lambda spec: noise.get(spec, 0.001)), replace(PLAN, passes=4))
        errors = {
            unit: 100 * one.std_error_ms / one.latency_ms
            for unit, one in table.figures().items()
            if one.std_error_ms is not None
        }
        low, high = str(logistic(900)), str(logistic(100))
        assert errors[high] > 2 * errors[low]
        of_low = weighted_standard_error_percent(table, {low: 1.0})
        both = weighted_standard_error_percent(table, {low: 0.5, high: 0.5})
        assert of_low == pytest.approx(errors[low])
        assert both == pytest.approx((errors[low] + errors[high]) / 2)
        overall = weighted_standard_error_percent(table)
        assert overall is not None
        assert errors[low] < overall < errors[high]
