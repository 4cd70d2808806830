from __future__ import annotations

import numpy as np
import pytest

from latency_tables.fitting.fallback import LEAST_SPREAD, UNKNOWN_SPREAD, from_alone

RATIOS = {"conv_2d": 1.1, "mul": 1.6}
EMPTY_MS = 0.004


def units(per_kind: int) -> dict[str, float]:
    """Times in networks."""
    rng = np.random.default_rng(0)
    return {f"{kind}/{number}": rng.uniform(0.01, 0.5) for kind in RATIOS for number in range(per_kind)}


def alone(times_ms: dict[str, float]) -> dict[str, float]:
    return {unit: ms / RATIOS[unit.partition("/")[0]] + EMPTY_MS for unit, ms in times_ms.items()}


def test_ratios_of_kinds_and_the_empty_call_are_told_from_operators_that_have_both() -> None:
    true = units(8)
    known = {unit: ms for unit, ms in true.items() if int(unit.partition("/")[2]) < 5}
    found = from_alone(alone(true), known)
    assert found.empty_ms == pytest.approx(EMPTY_MS, rel=0.02)
    assert {kind: one.value for kind, one in found.ratios.items()} == pytest.approx(RATIOS, rel=0.01)
    assert found.times_ms == pytest.approx(true, rel=0.02)
    assert all(error == LEAST_SPREAD for error in found.errors.values())


def test_a_kind_with_too_few_takes_the_ratio_of_all_and_is_less_sure() -> None:
    true = units(6)
    known = {unit: ms for unit, ms in true.items() if unit.startswith("conv_2d")} | {"mul/0": true["mul/0"]}
    found = from_alone(alone(true), known)
    assert found.ratios["mul"].value == pytest.approx(RATIOS["conv_2d"], rel=0.1)
    assert found.ratios["conv_2d"].spread == pytest.approx(LEAST_SPREAD)


def test_without_any_the_ratio_is_1_and_unknown() -> None:
    found = from_alone({"conv_2d/1": 0.2, "mul/1": 0.1}, {})
    assert found.times_ms == {"conv_2d/1": 0.2, "mul/1": 0.1}
    assert set(found.errors.values()) == {UNKNOWN_SPREAD}


def test_without_any_the_empty_call_shows_in_whole_networks() -> None:
    """What is in a sum once for each operator is in no network."""
    rng = np.random.default_rng(1)
    true = {f"conv_2d/{number}": rng.uniform(0.01, 0.1) for number in range(30)}
    networks = []
    for _ in range(20):
        chosen = rng.choice(list(true), size=rng.integers(5, 40))
        names, counts = np.unique(chosen, return_counts=True)
        counted = dict(zip(names.tolist(), counts.tolist(), strict=True))
        networks.append((counted, 1.2 * sum(true[name] * count for name, count in counted.items())))
    found = from_alone({unit: ms + EMPTY_MS for unit, ms in true.items()}, {}, networks)
    assert found.empty_ms == pytest.approx(EMPTY_MS, rel=0.05)


def test_nothing_alone_is_nothing() -> None:
    assert from_alone({}, {"mul/1": 1.0}).times_ms == {}


def test_times_are_positive_whatever_is_contradictory() -> None:
    found = from_alone(
        {f"mul/{n}": 0.001 * (n + 1) for n in range(5)}, {f"mul/{n}": 5.0 / (n + 1) for n in range(5)}
    )
    assert all(ms > 0 for ms in found.times_ms.values())


def test_an_empty_call_that_is_most_of_a_latency_is_found() -> None:
    """As `benchmark_model` tells it on an emulated phone, where an operator alone takes 0.85 of its time."""
    context_ms = (0.0909, 0.0205, 0.0084, 0.0114, 0.0215, 0.0335, 0.0366)
    times = {f"depthwise_conv_2d/{number}": ms for number, ms in enumerate(context_ms)}
    alone_ms = {unit: 0.02 + 0.85 * ms for unit, ms in times.items()} | {"depthwise_conv_2d/new": 0.3097}
    found = from_alone(alone_ms, times)
    assert found.empty_ms == pytest.approx(0.02, rel=0.01)
    assert found.times_ms["depthwise_conv_2d/new"] == pytest.approx((0.3097 - 0.02) / 0.85, rel=0.01)
    assert found.errors["depthwise_conv_2d/new"] < 0.05
