from __future__ import annotations

import numpy as np
import pytest

from latency_tables.judging.residuals import blame, trend


def kind_of(part: str) -> str:
    return part.partition("/")[0]


def test_a_trend_is_found_with_its_size():
    rng = np.random.default_rng(0)
    depth = np.arange(20, 60)
    found = trend(depth, 0.1 * depth - 3 + rng.normal(0, 0.2, 40))
    assert found.low_percent < 0.1 < found.high_percent
    assert found.across_percent == pytest.approx(0.1 * 39, abs=0.4)
    assert found.clear


def test_noise_has_no_trend():
    rng = np.random.default_rng(1)
    found = [trend(np.arange(40), rng.normal(0, 2, 40)) for _ in range(100)]
    assert sum(one.clear for one in found) <= 12  # five expected


@pytest.mark.parametrize("depths", [[], [1, 2, 3], [7, 7, 7, 7, 7]])
def test_few_networks_or_one_depth_have_no_trend(depths):
    assert trend(depths, [1.0] * len(depths)) is None


def networks(rng, parts, count=40):
    """Networks that have a random half of the parts each, for random times."""
    return [
        {part: float(rng.uniform(0.2, 1)) for part in parts if rng.random() < 0.5} | {parts[0]: 1.0}
        for _ in range(count)
    ]


def test_a_kind_that_is_too_slow_is_blamed():
    rng = np.random.default_rng(2)
    parts = [f"{kind}/{number}" for kind in "abc" for number in range(6)]
    found = networks(rng, parts)
    off = [
        sum(20 * ms for part, ms in one.items() if part.startswith("b")) / sum(one.values())
        + rng.normal(0, 0.3)
        for one in found
    ]
    kinds, _ = blame(found, off, kind_of)
    assert kinds[0].of == "b"
    assert kinds[0].error_percent == pytest.approx(20, abs=3)
    assert kinds[0].std_error_percent < 3
    assert all(abs(one.error_percent) < 3 for one in kinds[1:])
    assert sum(one.share_percent for one in kinds) == pytest.approx(100)
    assert kinds[0].networks == 40


def test_one_operator_that_is_too_fast_is_blamed_beyond_its_kind():
    rng = np.random.default_rng(3)
    parts = [f"{kind}/{number}" for kind in "abc" for number in range(6)]
    found = networks(rng, parts, 60)
    off = [-30 * one.get("c/4", 0.0) / sum(one.values()) + rng.normal(0, 0.2) for one in found]
    kinds, operators = blame(found, off, kind_of)
    assert operators[0].of == "c/4"
    assert operators[0].error_percent < -20
    assert operators[0].networks == sum("c/4" in one for one in found)
    assert operators[0].effect_percent > 5 * operators[1].effect_percent
    assert all(abs(one.error_percent) < 6 for one in kinds)


def test_where_there_is_noise_only_nobody_stands_out():
    rng = np.random.default_rng(4)
    parts = [f"{kind}/{number}" for kind in "abc" for number in range(6)]
    found = networks(rng, parts)
    for one in (each for side in blame(found, rng.normal(0, 1, 40), kind_of) for each in side):
        assert abs(one.error_percent) < 3.5 * one.std_error_percent


def test_no_parts_no_blame():
    assert blame([], [], kind_of) == ([], [])
