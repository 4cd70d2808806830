import pickle
from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase

from controllers import registry
from controllers.errors import UnknownController

optuna.logging.set_verbosity(optuna.logging.WARNING)


class TestBasics(BasicSamplerTestCase):
    """Optuna's own contract; `sampler` above is every name of the registry."""

    @pytest.fixture(params=registry.names())
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: registry.create(request.param, seed=3)


class TestSeveralObjectives(MultiObjectiveSamplerTestCase):
    """Likewise."""

    @pytest.fixture(params=registry.names())
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: registry.create(request.param, seed=3)


def test_names_create_samplers_that_say_who_they_are() -> None:
    assert {"random", "nsga2", "nsga3", "tpe", "qmc", "regularized_evolution"} <= set(registry.names())
    for name in registry.names():
        assert str(registry.create(name, 7)) == f"{name}(seed=7)"


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UnknownController, match=r"'none'; there are: random, nsga2"):
        registry.create("none", 0)


@pytest.mark.parametrize("name", registry.names())
def test_samplers_travel_to_other_processes(name: str) -> None:
    assert str(pickle.loads(pickle.dumps(registry.create(name, 1)))) == f"{name}(seed=1)"
