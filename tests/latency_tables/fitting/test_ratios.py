"""Ratios between devices: what is common, what a kind has, what shapes have, and how sure each is."""

from __future__ import annotations

import numpy as np
import pytest

from latency_tables.fitting.ratios import Ratios, Seen, Spreads, features, nominal_ms


def conv(size: int, filters: int) -> str:
    return f"conv_2d/float32/1x{size}x{size}x{filters}/1x{size}x{size}x{filters}/k3x3/s1x1/same"


CONVS = [conv(size, filters) for size in (4, 8, 16, 32) for filters in (8, 16, 32, 64)]
MEANS = [f"mean/float32/1x{size}x{size}x8/1x8" for size in (4, 8, 16, 32)]
UNITS = sorted([*CONVS, *MEANS])
#: a device without oddities
USUAL = {unit: 2 * nominal_ms(unit) for unit in UNITS}


def observing(ratios: Ratios, logs: dict[str, float], error: float = 0.01) -> Seen:
    weights = np.zeros((len(logs), len(ratios.units)))
    for row, unit in zip(weights, logs, strict=True):
        row[ratios.places[unit]] = 1.0
    return Seen(weights, np.array(list(logs.values())), np.full(len(logs), error**2))


def test_features_are_logarithms_of_sizes() -> None:
    found = features("conv_2d/float32/1x8x8x3/1x4x4x16/k3x3/s2x2/same")
    assert np.exp(found).tolist() == pytest.approx([16, 3, 16, 81, 16])
    block = features("relu/float32/1x9/1x9 & fully_connected/float32/1x9/1x10")
    assert np.exp(block).tolist() == pytest.approx([1, 9, 10, 1, 1])
    assert features("add/float32/none/scalar").tolist() == [0.0] * 5


def test_one_unit_tells_the_common_factor() -> None:
    ratios = Ratios(USUAL)
    means, variances = ratios.posterior(observing(ratios, {CONVS[0]: np.log(3.0)}), Spreads())
    assert np.exp(means) == pytest.approx(np.full(len(UNITS), 3.0), rel=0.1)
    places = ratios.places
    assert variances[places[CONVS[0]]] < variances[places[CONVS[1]]] < variances[places[MEANS[0]]]


def test_a_kind_has_its_own_factor() -> None:
    ratios = Ratios(USUAL)
    logs = {**dict.fromkeys(CONVS[:4], np.log(2.0)), **dict.fromkeys(MEANS[:2], np.log(0.5))}
    seen = observing(ratios, logs)
    means, _ = ratios.posterior(seen, ratios.choose(seen))
    assert np.exp(means[ratios.places[CONVS[-1]]]) == pytest.approx(2.0, rel=0.05)
    assert np.exp(means[ratios.places[MEANS[-1]]]) == pytest.approx(0.5, rel=0.05)


def test_spreads_are_told_from_the_data() -> None:
    ratios = Ratios(USUAL)
    by_shape = {unit: 0.5 * np.sin(features(unit)[0]) + 0.5 * np.cos(features(unit)[1]) for unit in CONVS}
    alike = ratios.choose(observing(ratios, dict.fromkeys(UNITS, 0.7)))
    shaped = ratios.choose(observing(ratios, by_shape))
    assert (alike.kind, alike.shape, alike.rest, alike.slope) == (0.1, 0.05, 0.02, 0.0)
    assert shaped.shape > alike.shape


def test_alike_shapes_have_alike_ratios() -> None:
    ratios = Ratios(USUAL)
    logs = {unit: 0.2 * features(unit)[0] for unit in CONVS if unit != CONVS[5]}
    means, _ = ratios.posterior(observing(ratios, logs), Spreads(0.3, 0.8, 0.02, 2.5))
    assert means[ratios.places[CONVS[5]]] == pytest.approx(0.2 * features(CONVS[5])[0], abs=0.03)


def test_what_is_odd_on_one_device_need_not_be_on_another() -> None:
    rng = np.random.default_rng(5)
    odd = {unit: ms * float(rng.lognormal(0, 0.7)) for unit, ms in USUAL.items()}
    ratios = Ratios(odd)
    seen = observing(ratios, {unit: np.log(USUAL[unit] / odd[unit]) for unit in UNITS[::2]})
    spreads = ratios.choose(seen)
    means, _ = ratios.posterior(seen, spreads)
    assert spreads.slope == 1.0
    for unit in UNITS[1::2]:  # of these nothing was seen
        assert odd[unit] * np.exp(means[ratios.places[unit]]) == pytest.approx(USUAL[unit], rel=0.1)


def test_left_out_is_what_the_others_say() -> None:
    ratios = Ratios(USUAL)
    rng = np.random.default_rng(0)
    logs = {unit: float(rng.normal(0, 0.3)) for unit in UNITS[::2]}
    means, variances = ratios.left_out(observing(ratios, logs), Spreads())
    for place, unit in enumerate(logs):
        rest = {name: log for name, log in logs.items() if name != unit}
        expected, variance = ratios.posterior(observing(ratios, rest), Spreads())
        assert means[place] == pytest.approx(expected[ratios.places[unit]], abs=1e-6)
        assert variances[place] == pytest.approx(variance[ratios.places[unit]], abs=1e-6)


def test_sums_tell_the_ratios_of_kinds() -> None:
    ratios = Ratios(USUAL)
    rng = np.random.default_rng(1)
    parts = rng.uniform(0.5, 2.0, (12, len(UNITS)))
    parts[:, len(CONVS) :] *= rng.uniform(
        0.2, 8.0, (12, 1)
    )  # networks differ in how much of a kind they have
    truth = np.array([3.0] * len(CONVS) + [0.8] * len(MEANS))
    spreads = Spreads(0.5, 0.15, 0.05, 4.0)
    logs, variances = ratios.of_sums(parts, parts @ truth, np.full(12, 0.01**2), spreads)
    assert parts @ np.exp(logs) == pytest.approx(parts @ truth, rel=0.02)
    assert np.exp(np.median(logs[: len(CONVS)])) == pytest.approx(3.0, rel=0.1)
    assert np.exp(np.median(logs[len(CONVS) :])) == pytest.approx(0.8, rel=0.25)
    assert np.all(variances >= 0)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_sums_never_run_away(count: int) -> None:
    ratios = Ratios(USUAL)
    rng = np.random.default_rng(2)
    parts = rng.uniform(0.1, 2.0, (count, len(UNITS)))
    measured = parts @ rng.lognormal(0.0, 1.0, len(UNITS))
    logs, _ = ratios.of_sums(parts, measured, np.full(count, 0.02**2), Spreads(1.0, 0.8, 0.3, 1.0))
    assert np.all(np.abs(logs) < 4)
    assert parts @ np.exp(logs) == pytest.approx(measured, rel=0.1)
