"""What benchmarks/transfer.py calls met, told from points that are made up."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.benchmark_modules import loaded


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return loaded("transfer")


def points(benchmark: ModuleType, own: float, unseen: float) -> list[Any]:
    return [
        benchmark.Point("transferred", 20, own, own, own, unseen, None),
        benchmark.Point("fresh, of the same cost", 20, None, None, None, 5.0, None),
    ]


@pytest.mark.parametrize(
    ("errors", "met"),
    [
        ([(3.0, 4.0)], True),
        ([(3.0, 4.0), (40.0, 50.0)], True),  # one is refused
        ([(3.0, 7.0)], False),  # more than twice its own account
        ([(9.0, 11.0)], False),
        ([(40.0, 50.0), (11.0, 8.0)], False),  # none is made
        ([(3.0, 4.0), (3.0, 7.0)], False),
    ],
)
def test_a_table_at_least_is_made_and_keeps_its_word(
    benchmark: ModuleType, errors: list[tuple[float, float]], met: bool
) -> None:
    found = {str(number): points(benchmark, *one) for number, one in enumerate(errors)}
    verdict = benchmark.judge(found)
    assert verdict.met is met
    made = sum(own <= benchmark.MAX_ERROR_PERCENT for own, _ in errors)
    assert f"{made} of {len(errors)} transfer" in verdict.text
