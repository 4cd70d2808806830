import numpy as np
import pytest
from scipy.optimize import approx_fprime

from controllers.guided.encoding import Encoding, Floats
from controllers.guided.surrogate import Overlap, Posterior, fit

ENCODING = Encoding.of({"a": ("x", "y", "z"), "b": (1, 2, 3), "c": ("x", "y"), "d": ("x", "y")})


def drawn(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Points, and values in which d has no part."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, (3, 3, 2, 2), size=(count, 4))
    values = points[:, 0] * 1.0 - points[:, 1] * 0.8 + points[:, 0] * points[:, 2] * 0.5
    values = values + rng.normal(0, 0.1, count)
    return ENCODING.features(points), (values - values.mean()) / values.std()


def kernel() -> Overlap:
    return Overlap(ENCODING.groups, 1.3, 0.07, np.array([0.4, 0.9, 0.2, 1.1, 0.05]))


def many_options() -> tuple[Overlap, Floats]:
    """A kernel, and features of six points, of choices with more options than have features of their own."""
    words, numbers = [f"w{at}" for at in range(100)], list(range(100))
    encoding = Encoding.of({"word": words, "few": (1, 2, 3), "number": numbers})
    points = np.random.default_rng(0).integers(0, (3, 3, 100), size=(6, 3))
    return Overlap(encoding.groups, 1.3, 0.07, np.array([0.4, 0.9, 0.2, 1.1, 0.5])), encoding.features(points)


@pytest.mark.parametrize("options", ["few", "many"])
def test_the_gradient_is_that_of_the_covariance(options: str) -> None:
    one, features = (kernel(), drawn(6)[0]) if options == "few" else many_options()
    _, gradient = one(features, eval_gradient=True)
    for row, column in ((0, 0), (0, 1), (2, 5)):

        def entry(theta: Floats, row: int = row, column: int = column) -> float:
            return float(one.clone_with_theta(theta)(features)[row, column])

        assert gradient[row, column] == pytest.approx(approx_fprime(one.theta, entry, 1e-7), abs=1e-5)


def test_a_belief_that_grew_is_the_one_that_was_made_at_once() -> None:
    features, values = drawn(30)
    candidates = drawn(20, 1)[0]
    whole = Posterior.of(kernel(), features, values, candidates)
    grown = Posterior.of(kernel(), features[:2], values[:2], candidates)
    for feature, value in zip(features[2:], values[2:], strict=True):
        grown = grown.with_point(feature, float(value))
    assert grown.mean == pytest.approx(whole.mean, abs=1e-6)
    assert grown.variance == pytest.approx(whole.variance, abs=1e-6)
    covariance = kernel()(features)
    across = kernel()(features, candidates)
    assert whole.mean == pytest.approx(across.T @ np.linalg.solve(covariance, values), abs=1e-6)
    left = 1.3 - np.sum(across * np.linalg.solve(covariance, across), axis=0)
    assert whole.variance == pytest.approx(left, abs=1e-6)


def test_a_point_without_a_value_lowers_the_doubt_and_moves_no_mean() -> None:
    features, values = drawn(10)
    before = Posterior.of(kernel(), features, values, drawn(20, 1)[0])
    after = before.with_point(before.candidates[3], None)
    assert np.array_equal(after.mean, before.mean)
    assert np.all(after.variance <= before.variance + 1e-12)
    assert after.variance[3] < 0.5 * before.variance[3]
    assert before.expected(before.candidates[3]) == pytest.approx(before.mean[3])


def test_draws_have_the_belief_s_mean_and_an_evaluation_s_variance() -> None:
    features, values = drawn(10)
    belief = Posterior.of(kernel(), features, values, drawn(20, 1)[0])
    draws = belief.draws(np.arange(5), 20_000, np.random.default_rng(0))
    assert draws.mean(axis=0) == pytest.approx(belief.mean[:5], abs=0.05)
    assert draws.var(axis=0) == pytest.approx(belief.variance[:5] + 0.07, rel=0.1)


def test_a_fit_predicts_and_finds_out_what_does_not_matter() -> None:
    features, values = drawn(60)
    fitted = fit(ENCODING.groups, features, values)
    rates = dict(zip("abBcd", fitted.rates, strict=True))
    assert rates["d"] < min(rates["a"], rates["b"] + rates["B"])
    new, truth = drawn(200, 2)
    error = np.mean((Posterior.of(fitted, features, values, new).mean - truth) ** 2)
    assert error < 0.1


@pytest.mark.parametrize("values", [np.zeros(5), np.array([0.0, 0, 0, 0, 9])])
def test_a_fit_survives_values_that_say_nothing(values: Floats) -> None:
    features = np.repeat(drawn(2)[0][:1], 5, axis=0)
    fitted = fit(ENCODING.groups, features, values)
    assert np.isfinite(Posterior.of(fitted, features, values, features).mean).all()


def test_values_without_noise_are_fitted_without_a_warning() -> None:
    points = np.stack(np.unravel_index(np.arange(36), (3, 3, 2, 2)), axis=1)
    values = points @ np.array([1.0, -0.8, 0.5, 0.3])
    fitted = fit(ENCODING.groups, ENCODING.features(points), (values - values.mean()) / values.std())
    assert fitted.noise < 1e-3


def test_single_precision_is_nearly_the_same() -> None:
    features, _ = drawn(30)
    quick = kernel().smooth(features.astype(np.float32), features.astype(np.float32))
    assert quick.dtype == np.float32
    assert quick == pytest.approx(kernel().smooth(features, features), abs=1e-5)
