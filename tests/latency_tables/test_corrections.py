from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.corrections import LEAST_MS, Prior, correct
from latency_tables.units import kind_of


def counts_of(networks: list[list[str]], names: list[str]) -> np.ndarray:
    return np.array([[float(network.count(name)) for name in names] for network in networks])


def test_what_a_profile_rounds_away_is_found_in_whole_networks():
    rng = random.Random(0)
    true_ms = {f"add/{size}": 0.0004 for size in range(1, 8)}
    true_ms |= {f"mul/{size}": size * 0.001 + 0.0007 for size in range(1, 8)}
    names = list(true_ms)
    true = np.array(list(true_ms.values()))
    profiled = np.floor(true / 0.001) * 0.001  # to whole microseconds
    counts = counts_of([rng.choices(names, k=rng.randint(20, 60)) for _ in range(40)], names)
    whole = counts @ true
    figures = correct(
        Prior.of_profile(profiled, [kind_of(name) for name in names]), counts, whole
    ).latencies_ms
    errors = [
        np.mean(np.abs(sums / whole * np.median(whole / sums) - 1))
        for sums in (counts @ profiled, counts @ figures)
    ]
    assert errors[1] < errors[0] / 2
    assert figures.min() > 0


def test_the_speed_of_the_machine_is_not_in_the_figures():
    rng = np.random.default_rng(0)
    profiled = rng.uniform(0.01, 0.2, 12)
    counts = rng.integers(0, 4, (30, 12)).astype(float)
    found = [
        correct(Prior.of_profile(profiled, ["add"] * 12), counts, speed * counts @ profiled).latencies_ms
        for speed in (0.8, 1.0, 1.3)
    ]
    np.testing.assert_allclose(found[0], found[1])
    np.testing.assert_allclose(found[2], found[1])


def test_a_left_out_sum_knows_nothing_of_its_own_latency():
    rng = np.random.default_rng(1)
    profiled = rng.uniform(0.01, 0.2, 12)
    counts = rng.integers(0, 4, (31, 12)).astype(float)
    measured = counts @ profiled * rng.normal(1, 0.02, 31)
    far_off = measured.copy()
    far_off[7] *= 1.4
    before, after = (
        correct(Prior.of_profile(profiled, ["add"] * 12), counts, ms).left_out_ms
        for ms in (measured, far_off)
    )
    np.testing.assert_allclose(before[7], after[7], rtol=1e-9 + abs(np.median(far_off / measured) - 1))


@given(
    st.lists(st.lists(st.sampled_from(["add/1", "mul/1", "mul/2"]), min_size=1), max_size=6),
    st.floats(0.001, 100),
)
def test_figures_are_positive_whatever_was_measured(networks, latency_ms):
    names = ["add/1", "mul/1", "mul/2"]
    counts = counts_of(networks, names).reshape(len(networks), 3)
    prior = Prior.of_profile(np.array([0.0, 0.5, 3.0]), ["add", "mul", "mul"])
    found = correct(prior, counts, np.full(len(networks), latency_ms))
    assert np.all(found.latencies_ms >= LEAST_MS)
    assert len(found.left_out_ms) == len(networks)
