from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.fitting.corrections import LEAST_MS, PROFILE_ERROR, Prior, correct
from latency_tables.units import kind_of


def of_profile(profiled_ms: np.ndarray, kinds: list[str]) -> Prior:
    """Of units that the profile has, all of them."""
    errors = np.full(len(profiled_ms), PROFILE_ERROR)
    return Prior(profiled_ms, kinds, np.ones(len(profiled_ms), bool), errors, errors)


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
    figures = correct(of_profile(profiled, [kind_of(name) for name in names]), counts, whole).latencies_ms
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
        correct(of_profile(profiled, ["add"] * 12), counts, speed * counts @ profiled).latencies_ms
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
        correct(of_profile(profiled, ["add"] * 12), counts, ms).left_out_ms for ms in (measured, far_off)
    )
    np.testing.assert_allclose(before[7], after[7], rtol=0.01)


def test_left_out_sums_are_as_large_as_sums():
    """The factor between sums and latencies is in neither, so that calibrations may compare them."""
    rng = np.random.default_rng(2)
    profiled = rng.uniform(0.01, 0.2, 12)
    counts = rng.integers(0, 4, (40, 12)).astype(float)
    found = correct(of_profile(profiled, ["add"] * 12), counts, counts @ (profiled + 0.003) * 1.1)
    ratios = found.left_out_ms / (counts @ found.latencies_ms)
    assert np.median(ratios) == pytest.approx(1, abs=0.002)


@given(
    st.lists(st.lists(st.sampled_from(["add/1", "mul/1", "mul/2"]), min_size=1), max_size=6),
    st.floats(0.001, 100),
)
def test_figures_are_positive_whatever_was_measured(networks, latency_ms):
    names = ["add/1", "mul/1", "mul/2"]
    counts = counts_of(networks, names).reshape(len(networks), 3)
    prior = of_profile(np.array([0.0, 0.5, 3.0]), ["add", "mul", "mul"])
    found = correct(prior, counts, np.full(len(networks), latency_ms))
    assert np.all(found.latencies_ms >= LEAST_MS)
    assert len(found.left_out_ms) == len(networks)


def test_networks_of_operators_below_the_clock_are_told_from_their_latencies():
    """The profile gives most operators no time at all; some kinds take nearly none."""
    rng = np.random.default_rng(3)
    kinds = np.array(["conv", "mul", "mean"] * 20)
    true = np.where(kinds == "conv", rng.uniform(0.0004, 0.002, 60), 0.00006)
    profiled = np.floor(true * 1000) / 1000
    members = [rng.choice(60, rng.integers(10, 55), replace=False) for _ in range(60)]
    counts = np.array([np.isin(np.arange(60), one) for one in members], float)
    whole = counts @ true * rng.normal(1, 0.005, 60)
    found = correct(of_profile(profiled, kinds.tolist()), counts[:40], whole[:40])
    sums = counts[40:] @ found.latencies_ms
    errors = sums / whole[40:] * np.median(whole[40:] / sums) - 1
    assert np.mean(np.abs(errors)) < 0.06
    own = counts[:40] @ found.latencies_ms / whole[:40]
    left_out = found.left_out_ms / whole[:40]
    assert np.std(own / np.median(own)) < np.std(left_out / np.median(left_out))
    assert found.latencies_ms.min() >= LEAST_MS
