"""Figures for another device: ratios found again, and an error that knows nothing of what it is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from latency_tables.errors import BadTable
from latency_tables.figures import Figure
from latency_tables.fitting.fit import Measured, fit
from latency_tables.fitting.statistics import Observation
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network
from latency_tables.transfer import LEAST_SAMPLES, transfer

KINDS = {"logistic": 3.0, "relu": 0.5}
SPECS = [OpSpec(kind, "float32", ((1, size),), (1, size)) for kind in KINDS for size in (8, 16, 32, 64, 128)]
#: of the device that is known: half a millisecond and one for every hundred elements
SOURCE = {
    str(spec): Figure(
        str(spec), 0.5 + spec.output[-1] / 100, 0.001, None, "in context", 9, 3, 3, None, None, 0.1
    )
    for spec in SPECS
}
FACTOR = 1.1


def true_ms(spec: OpSpec) -> float:
    return KINDS[spec.kind] * SOURCE[str(spec)].latency_ms


def networks(count: int, seed: int = 0) -> list[Network]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        specs = [SPECS[place] for place in rng.integers(0, len(SPECS), 6)]
        nodes = tuple(Node(spec, (-1 - place,)) for place, spec in enumerate(specs))
        graph = Graph(tuple(spec.inputs[0] for spec in specs), "float32", nodes, tuple(range(len(specs))))
        found.append(Network(f"sample-{number}", graph, "anchor"))
    return found


def measured(count: int, *, profile: bool = True, odd: str = "", slower: float = 1.0) -> Measured:
    """Samples of two passes, of which one may take longer than it should: its operators, too."""
    every = networks(count)
    ms = {}
    observations = []
    for one in every:
        factor = slower if one.name == odd else 1.0
        total = FACTOR * factor * sum(map(true_ms, one.graph.specs))
        ms[one.name] = [(total, total), (1.001 * total, 1.001 * total)]
        observations += [
            Observation(str(spec), one.name, index, factor * true_ms(spec) * (1 + index / 1000))
            for spec in one.graph.specs
            for index in (0, 1)
        ]
    return Measured(every, ms, ms, observations if profile else [])


def errors_percent(samples: Measured, figures: tuple) -> np.ndarray:
    predictor = fit(replace(samples, given=figures), "t")
    return np.array(
        [
            100 * abs(predictor.predict(specs).latency_ms / (FACTOR * sum(map(true_ms, specs))) - 1)
            for specs in (one.graph.specs for one in networks(20, seed=9))
        ]
    )


def test_what_few_samples_show_is_told_of_all_units() -> None:
    samples = measured(4)
    found = transfer(SOURCE, samples, "t")
    assert found.measured < len(SOURCE) == len(found.figures)
    by_unit = {one.unit: one for one in found.figures}
    for spec in SPECS:
        assert by_unit[str(spec)].latency_ms == pytest.approx(true_ms(spec), rel=0.15)
        assert by_unit[str(spec)].exponent == 0.1
        assert by_unit[str(spec)].method == "transferred"
        assert (by_unit[str(spec)].std_ms or 0) > 0
    assert np.mean(errors_percent(samples, found.figures)) < 2
    assert found == transfer(SOURCE, samples, "t")


def test_whole_latencies_suffice_where_there_are_more() -> None:
    samples = measured(20, profile=False)
    found = transfer(SOURCE, samples, "t")
    assert found.measured == 0
    assert np.mean(errors_percent(samples, found.figures)) < 3
    assert found.mape_percent < 5


@pytest.mark.parametrize("profile", [True, False])
def test_a_sample_is_predicted_without_anything_of_its_own(profile: bool) -> None:
    usual = transfer(SOURCE, measured(12, profile=profile), "t")
    odd = transfer(SOURCE, measured(12, profile=profile, odd="sample-3", slower=1.5), "t")
    before = next(one for one in usual.residuals if one.network == "sample-3")
    after = next(one for one in odd.residuals if one.network == "sample-3")
    assert after.measured_ms == pytest.approx(1.5 * before.measured_ms)
    # it took half as long again, and its prediction, from the others, did not move
    assert after.predicted_ms == before.predicted_ms
    assert after.error_percent == pytest.approx(-33, abs=3)
    assert odd.mape_percent > usual.mape_percent
    assert odd.low_percent <= odd.mape_percent <= odd.high_percent


def test_how_far_ratios_differ_is_told_without_what_is_left_out() -> None:
    """The operators of a sample take anything: no prediction of it may know that."""
    usual = measured(5)
    factors = dict(
        zip(map(str, SPECS), np.random.default_rng(1).choice((0.3, 1.0, 3.0), len(SPECS)), strict=True)
    )
    odd = replace(
        usual,
        observations=[
            replace(one, mean_ms=one.mean_ms * float(factors[one.operator]))
            if one.network == "sample-1"
            else one
            for one in usual.observations
        ],
    )
    before, after = transfer(SOURCE, usual, "t"), transfer(SOURCE, odd, "t")
    assert after.spreads != before.spreads
    predicted = [
        [one.predicted_ms for one in found.residuals if one.network == "sample-1"]
        for found in (before, after)
    ]
    assert predicted[0] == predicted[1]


def test_a_spoilt_sample_spoils_no_table() -> None:
    samples = measured(12, odd="sample-3", slower=1.5)
    assert np.median(errors_percent(samples, transfer(SOURCE, samples, "t").figures)) < 8


def test_intervals_without_a_profile_are_as_wide_as_left_out_samples_are_off() -> None:
    samples = measured(12, profile=False, odd="sample-3", slower=1.5)
    found = transfer(SOURCE, samples, "t")
    predictor = fit(replace(samples, given=found.figures), "t")
    widths = [
        (found.high_ms or 0) / found.latency_ms - 1
        for found in (predictor.predict(one.graph.specs) for one in networks(20, seed=9))
    ]
    assert 100 * np.mean(widths) > found.mape_percent


def test_noisy_passes_are_believed_less() -> None:
    rng = np.random.default_rng(4)
    samples = measured(20, profile=False)
    noisy = {
        name: [tuple(rng.lognormal(0, 0.3) * ms for ms in one) for one in passes]
        for name, passes in samples.anchors_ms.items()
    }
    samples = replace(samples, samples_ms=noisy, anchors_ms=noisy)
    figures = transfer(SOURCE, samples, "t").figures
    ratios = [one.latency_ms / SOURCE[one.unit].latency_ms for one in figures]
    assert max(ratios) / min(ratios) < 12  # there are 6 between the kinds


def test_a_device_that_runs_blocks_as_one_tells_by_whole_latencies() -> None:
    samples = measured(20)
    fused = []
    for one in samples.networks:
        for index in (0, 1):
            *block, last = one.graph.specs
            ms = sum(map(true_ms, block))
            fused.append(Observation(" & ".join(map(str, block)), one.name, index, ms))
            fused.append(Observation(str(last), one.name, index, true_ms(last)))
    samples = replace(samples, observations=fused)
    found = transfer(SOURCE, samples, "t")
    assert found.measured > 20
    assert np.mean(errors_percent(samples, found.figures)) < 3


def test_too_few_samples_and_unknown_operators_are_refused() -> None:
    with pytest.raises(BadTable, match=f"it takes {LEAST_SAMPLES} or more"):
        transfer(SOURCE, measured(3), "t")
    lacking = {unit: one for unit, one in SOURCE.items() if "logistic" in unit}
    with pytest.raises(BadTable, match="lacks relu"):
        transfer(lacking, measured(6, profile=False), "t")
