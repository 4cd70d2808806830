from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadTable
from latency_tables.fitting.calibration import (
    PASSES,
    UNCALIBRATED,
    Anchors,
    Calibration,
    calibrate,
    fit_scale,
    median_error,
)
from latency_tables.fitting.intervals import lack_of_fit, pass_error, spread, trimmed_mean


def world(
    count: int,
    seed: int,
    *,
    lack: float = 0.02,
    noise: float = 0.01,
    scale: float = 1.3,
    constant: float = 0.0,
):
    """Sums and latencies of networks that are off by `lack` for good and by `noise` in each measurement."""
    rng = np.random.default_rng(seed)
    sums = np.exp(rng.normal(1, 0.4, count))
    return sums, (scale * sums + constant) * np.exp(rng.normal(0, lack, count) + rng.normal(0, noise, count))


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), st.floats(0.5, 2))
def test_the_scale_of_proportional_anchors_is_their_ratio(sums: list[float], ratio: float) -> None:
    assert fit_scale(sums, [one * ratio for one in sums]) == pytest.approx(ratio)


def test_the_scale_survives_an_anchor_that_went_wrong() -> None:
    assert fit_scale([1.0] * 5, [1.1, 1.1, 1.1, 1.1, 7.0]) == pytest.approx(1.1)


def test_there_is_no_calibration_without_anchors() -> None:
    with pytest.raises(BadTable, match="needs anchors"):
        fit_scale([], [])
    with pytest.raises(BadTable, match="needs anchors"):
        calibrate(Anchors([], []))


def test_one_anchor_brings_a_scale_and_no_interval() -> None:
    found = calibrate(Anchors([2.0], [3.0]))
    assert (found.scale, found.anchors, found.lack_of_fit, found.left_out_percent) == (1.5, 1, None, None)
    latency, low, high = found.finish(np.array([4.0]), np.array([1.0]))
    assert latency.tolist() == [6.0]
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("count", [10, 20])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_nine_of_ten_new_networks_are_within_their_intervals(count: int, noise: float) -> None:
    inside = []
    for seed in range(150):
        sums, measured = world(count + 20, seed, noise=noise)
        error = noise / median_error(1.0, PASSES)
        found = calibrate(Anchors(sums[:count], measured[:count], pass_error=error, passes=PASSES))
        _, low, high = found.finish(sums[count:], np.zeros(20))
        inside.append(np.mean((low <= measured[count:]) & (measured[count:] <= high)))
    assert 0.87 <= np.mean(inside) <= 0.93


def test_noise_of_anchors_is_not_taken_for_lack_of_fit() -> None:
    """Anchors measured in few passes, networks in many: intervals are for the many."""
    lacks = []
    for seed in range(40):
        sums, measured = world(20, seed, lack=0.01, noise=median_error(0.03, 3))
        lacks.append(calibrate(Anchors(sums, measured, pass_error=0.03, passes=3)).lack_of_fit)
    blind = calibrate(Anchors(*world(20, 0, lack=0.01, noise=median_error(0.03, 3)))).lack_of_fit
    assert np.median(lacks) < 0.018 < blind


def test_standard_errors_of_operators_widen_the_interval() -> None:
    sums, measured = world(20, 3)
    found = calibrate(Anchors(sums, measured))
    ends = [found.finish(np.array([4.0]), np.array([variance]))[2][0] for variance in (0.0, 0.01, 0.04)]
    assert ends == sorted(ends)
    known = calibrate(Anchors(sums, measured, variances_ms2=(0.01 * sums) ** 2))
    assert known.lack_of_fit < found.lack_of_fit


def test_left_out_sums_are_what_errors_are_told_from() -> None:
    sums, _ = world(12, 1)
    flattered = calibrate(Anchors(sums, 1.2 * sums))
    honest = calibrate(Anchors(sums, 1.2 * sums, left_out_ms=sums * (1 + 0.02 * (-1) ** np.arange(12))))
    assert flattered.left_out_percent == pytest.approx(0, abs=1e-9)
    assert honest.left_out_percent > 1.5
    assert honest.scale == pytest.approx(1.2)


def test_a_constant_is_taken_where_left_out_errors_say_so() -> None:
    found = calibrate(Anchors(*world(20, 0, lack=0.005, noise=0.0, constant=2.0)))
    assert found.shape == "affine"
    assert (found.scale, found.intercept_ms) == pytest.approx((1.3, 2.0), rel=0.05)
    assert calibrate(Anchors(*world(20, 0, lack=0.005, noise=0.0))).shape == "scale"
    assert calibrate(Anchors(*world(5, 0, lack=0.005, noise=0.0, constant=2.0))).shape == "scale"


@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=2, max_size=30),
    st.floats(0, 1),
)
def test_intervals_hold_their_latency_whatever_was_measured(
    pairs: list[tuple[float, float]], error: float
) -> None:
    sums, measured = zip(*pairs, strict=True)
    found = calibrate(Anchors(sums, measured, pass_error=error))
    latency, low, high = found.finish(np.array(sums), np.zeros(len(sums)))
    assert np.all((low <= latency) & (latency <= high))
    assert np.all(np.isfinite(latency))


def test_without_anchors_sums_are_latencies() -> None:
    latency, low, _ = UNCALIBRATED.finish(np.array([2.0]), np.array([0.1]))
    assert latency.tolist() == [2.0]
    assert np.isnan(low).all()
    assert Calibration("none", 1.0) == UNCALIBRATED


def test_a_trimmed_mean_leaves_a_fifth_out_at_either_end() -> None:
    assert trimmed_mean(np.array([100.0, 1.0, 2.0, 3.0, -50.0])) == 2.0
    assert trimmed_mean(np.array([1.0, 2.0])) == 1.5


def test_known_variance_is_no_lack_of_fit_but_never_all() -> None:
    residuals = np.array([0.03, -0.03, 0.03, -0.03])
    seen = spread(residuals)
    assert lack_of_fit(residuals, np.full(4, 0.0005)) == pytest.approx((seen**2 - 0.0005) ** 0.5)
    assert lack_of_fit(residuals, np.ones(4)) == pytest.approx(seen / 2)


def test_the_spread_is_the_standard_deviation_and_no_single_value_makes_it() -> None:
    values = np.random.default_rng(0).normal(0, 0.02, 20_000)
    assert spread(values) == pytest.approx(0.02, rel=0.02)
    disturbed = np.append(values[:29], 0.2)
    assert spread(disturbed) < 0.7 * np.std(disturbed)


def test_errors_of_left_out_anchors_make_the_interval() -> None:
    """Sums that know their own latency say nothing of how far other networks are off."""
    sums, measured = world(20, 4)
    honest = calibrate(Anchors(measured, measured, left_out_ms=sums))
    assert honest.lack_of_fit == pytest.approx(calibrate(Anchors(sums, measured)).lack_of_fit)
    assert calibrate(Anchors(measured, measured)).lack_of_fit < 1e-9


def test_pass_error_is_what_passes_of_a_network_differ_by_apart_from_the_machine() -> None:
    rng = np.random.default_rng(0)
    machine = np.exp(rng.normal(0, 0.1, 5))
    passes = [ms * machine * np.exp(rng.normal(0, 0.02, 5)) for ms in rng.uniform(1, 9, 40)]
    assert pass_error(passes) == pytest.approx(0.02, rel=0.25)
    assert pass_error([np.array([1.0])] * 5) == pass_error([]) == 0.0
    assert pass_error([np.array([1.0, 1.1]), np.array([2.0, 2.1, 2.2])]) > 0.02
