"""Optuna's own contract of samplers, for every strategy in the registry.

Most of these cases exercise what a strategy does with parameters that it does not choose: drawing them at
random. What this project promises beyond them is in `test_contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from controllers import registry
from tests.controllers.contract import NAMES


@pytest.fixture(params=NAMES)
def sampler(request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
    return lambda: registry.create(request.param, seed=3)


class Shared:
    @pytest.fixture
    def sampler(self, sampler: Callable[[], BaseSampler]) -> Callable[[], BaseSampler]:
        return sampler


class TestBasics(Shared, BasicSamplerTestCase):
    pass


class TestSeveralObjectives(Shared, MultiObjectiveSamplerTestCase):
    pass


class TestTogether(Shared, RelativeSamplerTestCase):
    """The cases of options; those of numbers are named here."""

    def test_sample_relative_numerical(self) -> None:  # type: ignore[override]
        """Strategies of this project choose between options; they leave numbers to chance, one by one."""

    def test_sample_relative_mixed(self) -> None:  # type: ignore[override]
        """Likewise."""
