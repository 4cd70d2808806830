from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadTable, MissingOperators
from latency_tables.figures import Figure
from latency_tables.fitting.calibration import UNCALIBRATED, Calibration
from latency_tables.fitting.context import SAME_SIZE, Sizes
from latency_tables.fitting.grouped import trimmed_means
from latency_tables.fitting.statistics import TRIMMED_VARIANCE, Observation, estimates, network_ms
from latency_tables.ops import OpSpec
from latency_tables.predict import Predictor
from tests.latency_tables.given_predictor import known, sum_variance_ms2

SPECS = [OpSpec("logistic", "float32", ((1, size),), (1, size)) for size in range(1, 9)]
FIGURES = {str(spec): 0.125 * 3**index for index, spec in enumerate(SPECS)}


@given(st.lists(st.sampled_from(SPECS), max_size=40), st.floats(0.5, 2.0))
def test_a_prediction_is_the_scaled_sum(specs, scale):
    found = known(FIGURES, scale, "t").predict(specs)
    assert found.sum_ms == pytest.approx(sum(FIGURES[str(spec)] for spec in specs), rel=1e-12)
    assert found.latency_ms == pytest.approx(found.sum_ms * scale, rel=1e-12)
    assert sum(found.operators_ms) == pytest.approx(found.latency_ms, rel=1e-12)
    assert len(found.operators_ms) == len(specs)


@given(st.lists(st.sampled_from(SPECS), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_operators_does_not_matter(specs, rng):
    predictor = known(FIGURES, 1.1, "t")
    shuffled = list(specs)
    rng.shuffle(shuffled)
    assert predictor.predict(shuffled).latency_ms == predictor.predict(specs).latency_ms


def test_missing_operators_are_named_and_never_summed():
    there, missing = SPECS[0], OpSpec("logistic", "int8", ((1, 5),), (1, 5))
    with pytest.raises(
        MissingOperators, match=r"table t\.db lacks 1 operator.*logistic/int8/1x5/1x5"
    ) as caught:
        known(FIGURES, 1.0, "t.db").predict([there, missing, missing])
    assert caught.value.keys == (str(missing),)


OBSERVATIONS = st.lists(
    st.builds(
        Observation,
        st.sampled_from("abc"),
        st.sampled_from(["n1", "n2", "n3"]),
        st.integers(0, 2),
        st.floats(0.001, 10),
    ),
    min_size=1,
    max_size=30,
)


@given(OBSERVATIONS, st.integers(0, 100))
def test_estimates_do_not_depend_on_the_order_of_observations(observations, seed):
    shuffled = list(observations)
    random.Random(seed).shuffle(shuffled)
    assert estimates(shuffled) == estimates(observations)


@given(OBSERVATIONS)
def test_an_estimate_lies_among_its_observations(observations):
    found = estimates(observations)
    assert found.keys() == {seen.operator for seen in observations}
    for operator, estimate in found.items():
        seen = [one.mean_ms for one in observations if one.operator == operator]
        assert min(seen) * (1 - 1e-9) <= estimate.profiled_ms <= max(seen) * (1 + 1e-9)
        assert estimate.observations == len(seen)


def test_a_disturbed_pass_does_not_move_an_estimate():
    quiet = [Observation("a", "n", index, 1.0) for index in range(4)]
    assert estimates([*quiet, Observation("a", "n", 4, 50.0)])["a"].profiled_ms == 1.0


def test_a_network_is_the_median_over_passes_of_their_lower_quartiles():
    assert network_ms([[1, 1, 1, 9], [2, 2, 2, 2], [50, 60, 70, 80]]) == 2.0


def test_a_network_without_samples_has_no_latency():
    with pytest.raises(BadTable, match="at least one sample"):
        network_ms([[]])


BLOCK = " & ".join(map(str, SPECS[:2]))
LONGER = " & ".join(map(str, SPECS[:3]))


def figure(unit: str, ms: float, error: float | None = None, exponent: float = 0.0) -> Figure:
    return Figure(unit, ms, error, ms, "in context", 3, 2, 3, 1.0, 1.0, exponent)


def predictor(
    *figures: Figure, sizes: Sizes = SAME_SIZE, calibration: Calibration | None = None
) -> Predictor:
    found = calibration or Calibration("scale", 2.0, anchors=20, lack_of_fit=0.02, multiplier=1.7)
    return Predictor({one.unit: one for one in figures}, found, "t.db", sizes)


def test_the_longest_unit_is_taken_first() -> None:
    blocks = predictor(
        figure(BLOCK, 5.0), figure(LONGER, 7.0), *(figure(str(spec), 1.0) for spec in SPECS[:4])
    )
    assert not blocks.single
    assert blocks.units_of(SPECS[:4]) == [LONGER, str(SPECS[3])]
    assert blocks.units_of([SPECS[1], SPECS[0], SPECS[1], SPECS[3]]) == [str(SPECS[1]), BLOCK, str(SPECS[3])]
    found = blocks.predict([*SPECS[:3], SPECS[3]])
    assert found.sum_ms == 8.0
    assert found.operators_ms == pytest.approx((14 / 3, 14 / 3, 14 / 3, 2.0))


def test_a_block_is_no_figure_of_its_operators() -> None:
    with pytest.raises(MissingOperators) as caught:
        predictor(figure(BLOCK, 5.0)).predict([SPECS[0], SPECS[2]])
    assert caught.value.keys == (str(SPECS[0]), str(SPECS[2]))


@given(st.lists(st.sampled_from(SPECS[:5]), min_size=1, max_size=30))
def test_sums_are_what_finish_is_given(specs: list[OpSpec]) -> None:
    figures = [figure(str(spec), 0.1 * n + 0.1, 0.01 * n, 0.05 * n) for n, spec in enumerate(SPECS[:5])]
    one = predictor(*figures, sizes=Sizes(2.0, 0.5, 6.0))
    counts = Counter(map(str, specs))
    sums = sum(count * one.unit_ms(unit) for unit, count in counts.items())
    variances = sum(count**2 * one.variance_ms2(unit) for unit, count in counts.items())
    growths = sum(count * one.growth_ms(unit) for unit, count in counts.items())
    found = one.predict(specs)
    latency, low, high = one.finish(np.array([sums]), np.array([variances]), np.array([growths]))
    assert (found.latency_ms, found.low_ms, found.high_ms) == pytest.approx(
        (latency[0], low[0], high[0]), rel=1e-12
    )
    assert found.sum_ms == pytest.approx(
        sums * (np.clip(sums, 0.5, 6.0) / 2.0) ** (growths / sums), rel=1e-12
    )
    assert sum(found.operators_ms) == pytest.approx(found.latency_ms, rel=1e-12)
    assert found.low_ms < found.latency_ms < found.high_ms
    assert sum_variance_ms2(one, specs) == pytest.approx(variances, rel=1e-12)


def test_an_operator_that_occurs_more_often_is_less_sure() -> None:
    """It is off every time by the same."""
    one = predictor(figure(str(SPECS[0]), 1.0, 0.1), figure(str(SPECS[1]), 1.0, 0.1))
    assert sum_variance_ms2(one, [SPECS[0]] * 2) == pytest.approx(0.04)
    assert sum_variance_ms2(one, SPECS[:2]) == pytest.approx(0.02)


def test_an_unknown_standard_error_is_the_usual_one_of_the_kind_and_never_none() -> None:
    kinds = [OpSpec(kind, "float32", ((1, 9),), (1, 9)) for kind in ("tanh", "tanh", "relu")]
    kinds[1] = OpSpec("tanh", "float32", ((1, 8),), (1, 8))
    sure = [
        figure(str(SPECS[0]), 2.0, 0.1),
        figure(str(SPECS[1]), 1.0, 0.05),
        figure(str(kinds[0]), 1.0, 0.2),
    ]
    one = predictor(*sure, figure(str(SPECS[2]), 3.0), figure(str(kinds[1]), 2.0), figure(str(kinds[2]), 2.0))
    assert one.variance_ms2(str(SPECS[2])) == pytest.approx((0.05 * 3) ** 2)
    assert one.variance_ms2(str(kinds[1])) == pytest.approx((0.2 * 2) ** 2)
    assert one.variance_ms2(str(kinds[2])) == pytest.approx((0.05 * 2) ** 2)  # none of its kind: of all
    widths = [found.high_ms - found.low_ms for found in map(one.predict, ([SPECS[2]], [kinds[1]]))]
    certain = predictor(figure(str(SPECS[2]), 3.0, 0.0)).predict([SPECS[2]])
    assert widths[0] > 1.5 * (certain.high_ms - certain.low_ms)
    nothing_known = predictor(figure(str(SPECS[0]), 2.0), figure(str(SPECS[1]), 1.0))
    assert nothing_known.variance_ms2(str(SPECS[0])) == 0.0


def test_without_anchors_there_is_no_interval() -> None:
    found = predictor(figure(str(SPECS[0]), 1.5), calibration=UNCALIBRATED).predict(SPECS[:1])
    assert (found.latency_ms, found.low_ms, found.high_ms) == (1.5, None, None)


def test_an_intercept_is_in_no_operator() -> None:
    found = predictor(figure(str(SPECS[0]), 1.5), calibration=Calibration("affine", 2.0, 0.5)).predict(
        SPECS[:1]
    )
    assert (found.latency_ms, found.operators_ms) == (3.5, (3.0,))


def test_anchors_of_another_time_change_the_calibration_alone() -> None:
    one = predictor(
        *(figure(str(spec), ms, exponent=0.1) for spec, ms in zip(SPECS, range(1, 9), strict=True)),
        sizes=Sizes(9.0),
    )
    networks = {f"n{count}": SPECS[: count + 1] for count in range(8)}
    again = one.reanchored(
        networks, {name: 1.7 * one.predict(specs).sum_ms for name, specs in networks.items()}
    )
    assert again.scale == pytest.approx(1.7)
    assert (again.figures, again.sizes) == (one.figures, one.sizes)
    assert again.predict(SPECS).latency_ms == pytest.approx(1.7 * one.predict(SPECS).sum_ms)
    with pytest.raises(BadTable, match="needs anchors"):
        one.reanchored({}, {})


@pytest.mark.parametrize("ask", ["unit_ms", "growth_ms", "variance_ms2"])
def test_a_unit_without_figure_is_named(ask: str) -> None:
    with pytest.raises(MissingOperators, match=r"t\.db lacks 1 operator"):
        getattr(predictor(), ask)(str(SPECS[0]))


@pytest.mark.parametrize(("networks", "passes"), [(1, 2), (1, 3), (1, 10), (3, 2), (3, 4), (3, 10)])
def test_standard_errors_are_how_far_figures_are_off(networks: int, passes: int) -> None:
    """Against the truth, and whatever the machine's speed did: it moves far more than any operator."""
    noise, off, errors = 0.03, [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        times = rng.uniform(0.02, 0.3, 60)
        speeds = rng.normal(1, 0.1, (networks, passes))
        found = estimates(
            Observation(f"add/{n}", f"n{network}", index, ms * speeds[network, index] * rng.normal(1, noise))
            for n, ms in enumerate(times)
            for network in range(networks)
            for index in range(passes)
        )
        one = np.array([np.log(found[f"add/{n}"].typical_ms / ms) for n, ms in enumerate(times)])
        off.append(one - one.mean())  # the machine's speed is in all of them
        errors.append([found[f"add/{n}"].standard_error_ms / ms for n, ms in enumerate(times)])
    true, said = (np.sqrt(np.mean(np.square(each))) for each in (off, errors))
    assert said == pytest.approx(true, rel=0.12)


def test_the_standard_error_of_one_pass_is_unknown() -> None:
    assert estimates([Observation("a", "n", 0, 1.0)])["a"].standard_error_ms is None


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8, 12, 40])
def test_the_variance_of_trimmed_means_is_as_simulated(count: int) -> None:
    draws = np.random.default_rng(0).normal(size=(20_000, count))
    groups = np.repeat(np.arange(len(draws)), count)
    found = trimmed_means(groups, draws.ravel(), len(draws)).var() * count
    assert found == pytest.approx(TRIMMED_VARIANCE[min(count, len(TRIMMED_VARIANCE) - 1)], rel=0.05)
