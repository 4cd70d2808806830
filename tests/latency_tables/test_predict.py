from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadTable, MissingOperators
from latency_tables.ops import OpSpec
from latency_tables.predict import Predictor
from latency_tables.statistics import Observation, estimates, network_ms

SPECS = [OpSpec("logistic", "float32", ((1, size),), (1, size)) for size in range(1, 9)]
FIGURES = {str(spec): 0.125 * 3**index for index, spec in enumerate(SPECS)}


@given(st.lists(st.sampled_from(SPECS), max_size=40), st.floats(0.5, 2.0))
def test_a_prediction_is_the_scaled_sum(specs, scale):
    found = Predictor.known(FIGURES, scale, "t").predict(specs)
    assert found.sum_ms == pytest.approx(sum(FIGURES[str(spec)] for spec in specs), rel=1e-12)
    assert found.latency_ms == pytest.approx(found.sum_ms * scale, rel=1e-12)
    assert sum(found.operators_ms) == pytest.approx(found.latency_ms, rel=1e-12)
    assert len(found.operators_ms) == len(specs)


@given(st.lists(st.sampled_from(SPECS), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_operators_does_not_matter(specs, rng):
    predictor = Predictor.known(FIGURES, 1.1, "t")
    shuffled = list(specs)
    rng.shuffle(shuffled)
    assert predictor.predict(shuffled).latency_ms == predictor.predict(specs).latency_ms


def test_missing_operators_are_named_and_never_summed():
    known, missing = SPECS[0], OpSpec("logistic", "int8", ((1, 5),), (1, 5))
    with pytest.raises(
        MissingOperators, match=r"table t\.db lacks 1 operator.*logistic/int8/1x5/1x5"
    ) as caught:
        Predictor.known(FIGURES, 1.0, "t.db").predict([known, missing, missing])
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
