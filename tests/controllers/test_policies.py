import pickle
from collections.abc import Callable

import numpy as np
import pytest

from controllers.policies.independent import Independent
from controllers.policies.policy import Policy, decide
from controllers.policies.recurrent import Recurrent

SIZES = (3, 2, 4, 1, 3)
AIMS = np.array([0, 1, 2, 1, 0, 0, 2])

MAKERS: dict[str, Callable[[], Policy]] = {
    "independent": lambda: Independent(SIZES, gain=2.0, aims=3, dtype=np.float64),
    "recurrent": lambda: Recurrent(SIZES, 0, units=6, dtype=np.float64),
    "recurrent, biased, several aims": lambda: Recurrent(
        SIZES, 0, aims=3, units=6, gain=3.0, dtype=np.float64
    ),
}


@pytest.fixture(params=MAKERS)
def policy(request: pytest.FixtureRequest) -> Policy:
    """Somewhere in the middle of learning."""
    made = MAKERS[request.param]()
    made.parameters[:] += np.random.default_rng(1).normal(scale=0.4, size=made.parameters.size)
    return made


def numerical(objective: Callable[[], float], parameters: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Slopes of an objective by each parameter, from both sides."""
    slopes = np.zeros(parameters.size)
    for at in range(parameters.size):
        here = parameters[at]
        parameters[at] = here + step
        above = objective()
        parameters[at] = here - step
        slopes[at] = (above - objective()) / (2 * step)
        parameters[at] = here
    return slopes


@pytest.mark.parametrize("term", ["policy", "entropy", "both"])
def test_gradients_are_those_of_finite_differences(policy: Policy, term: str) -> None:
    rng = np.random.default_rng(2)
    points = policy.sample(rng, len(AIMS))
    weights = rng.normal(size=points.shape) * (term != "entropy")
    entropy_weight = 0.7 * (term != "policy")

    def objective() -> float:
        decisions = decide(policy, points, AIMS)
        return float(
            np.sum(weights * decisions.log_probabilities) + entropy_weight * np.sum(decisions.entropies)
        )

    gradient = decide(policy, points, AIMS).gradient(weights, entropy_weight)
    assert np.abs(gradient).max() > 0.1
    np.testing.assert_allclose(gradient, numerical(objective, policy.parameters), atol=1e-7, rtol=1e-6)


def test_probabilities_of_all_points_are_one_together(policy: Policy) -> None:
    points = np.array(list(np.ndindex(SIZES)))
    for aim in range(3):
        decisions = decide(policy, points, np.full(len(points), aim))
        probabilities = np.exp(decisions.log_probabilities.sum(axis=1))
        assert probabilities.sum() == pytest.approx(1.0)
        # the entropy of a point is the expected sum of its decisions' entropies (chain rule)
        entropy = -np.sum(probabilities * np.log(probabilities))
        assert np.sum(probabilities * decisions.entropies.sum(axis=1)) == pytest.approx(entropy)


def test_points_are_drawn_as_often_as_they_are_probable(policy: Policy) -> None:
    every = np.array(list(np.ndindex(SIZES)))
    decisions = decide(policy, every, np.full(len(every), 2))
    expected = np.exp(decisions.log_probabilities.sum(axis=1))
    drawn = policy.sample(np.random.default_rng(3), 20_000, 2)
    found = np.bincount(np.ravel_multi_index(drawn.T, SIZES), minlength=len(every)) / len(drawn)
    # 5 standard deviations of a share of 20 000 draws
    assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected / len(drawn)) + 1e-3)


def test_a_recurrent_decision_depends_on_those_before_and_on_no_later_one() -> None:
    policy = Recurrent(SIZES, 0, units=6, dtype=np.float64)
    points = np.zeros((2, len(SIZES)), np.int64)
    points[1, 2] = 1
    logits, _ = policy.forward(points)
    np.testing.assert_array_equal(logits[0, :3], logits[1, :3])
    assert np.all(logits[0, 4] != logits[1, 4])


def test_at_first_all_options_are_about_equally_likely() -> None:
    for policy in (Independent(SIZES), Recurrent(SIZES, 4), Recurrent(SIZES, 4, gain=20.0)):
        entropies = decide(policy, policy.sample(np.random.default_rng(5), 50)).entropies
        np.testing.assert_allclose(entropies.mean(axis=0), np.log(SIZES), atol=0.01)


def test_first_parameters_follow_from_the_seed_and_differ_by_it() -> None:
    first, again, other = (Recurrent(SIZES, seed).parameters for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


def test_copies_keep_what_was_learned(policy: Policy) -> None:
    copy = pickle.loads(pickle.dumps(policy))
    copy.parameters[:] *= 2
    policy.parameters[:] *= 2
    points = policy.sample(np.random.default_rng(6), 5)
    np.testing.assert_array_equal(
        decide(copy, points).log_probabilities, decide(policy, points).log_probabilities
    )
