from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from latency_tables.store import LatencyTable
from latency_tables.tflite import write
from mnas import spaces
from mnas.costs import Amount, Cost, Goal, Latency, file_bytes, goals_for, other, parameters
from mnas.errors import BadInput
from mnas.latency import TableLatency
from mnas.lower import lower
from mnas.spaces.sampling import typical
from mnas.wanted import LATENCY
from tests.mnas import measured_table
from tests.mnas.measured_table import WIDTH
from tests.mnas.toy import MacsLatency, ToySpace

SPACE = spaces.create("mnasnet-small-images", resolution=28, width=WIDTH, channels=1, classes=10)
POINTS = typical(SPACE)[:30]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("table") / "t.db"
    measured_table.make(made, resources=True)
    return made


def alone(cost: Cost, points: np.ndarray = POINTS) -> list[float]:
    return [cost.predict(SPACE.decode(row)).value for row in points.tolist()]


def test_a_latency_of_many_is_that_of_each(file: Path) -> None:
    with LatencyTable.open(file) as table:
        cost = Latency(TableLatency(table), SPACE)
        source = TableLatency(table)
    assert (cost.name, cost.unit, cost.quick, cost.vectorised) == (LATENCY, "ms", True, True)
    np.testing.assert_allclose(cost.figures(POINTS), alone(cost), rtol=1e-9)
    found = source.predict(SPACE.decode(POINTS[0].tolist()))
    assert cost.predict(SPACE.decode(POINTS[0].tolist())) == Amount(
        found.latency_ms, found.low_ms, found.high_ms
    )


def test_a_source_without_a_short_cut_is_asked_for_each() -> None:
    space = ToySpace(2)
    cost = Latency(MacsLatency(), space, "pi5")
    assert (cost.name, cost.unit, cost.vectorised) == ("latency_ms:pi5", "ms on pi5", False)
    points = np.array([[0] * 6, [1] * 6])
    expected = [MacsLatency().predict_ms(space.decode(row)) for row in points.tolist()]
    assert cost.figures(points).tolist() == expected


@pytest.mark.parametrize(
    ("name", "unit", "vectorised"),
    [
        ("parameters", "parameters", True),
        ("file_bytes", "bytes", True),
        ("memory_bytes", "bytes of memory", False),
        ("energy_mj", "mJ", False),
        ("energy_mj:pi5", "mJ on pi5", False),
    ],
)
def test_costs_by_name(file: Path, name: str, unit: str, vectorised: bool) -> None:
    with LatencyTable.open(file) as table:
        cost = other(name, SPACE, table=table)
    assert (cost.name, cost.unit, cost.quick, cost.vectorised) == (name, unit, True, vectorised)
    np.testing.assert_allclose(cost.figures(POINTS), alone(cost), rtol=1e-9)


def test_what_a_table_tells_of_memory_and_energy(file: Path) -> None:
    """The table's device keeps parameters twice, beside a megabyte, and draws two watts all the time."""
    network = SPACE.decode(POINTS[0].tolist())
    with LatencyTable.open(file) as table:
        memory, energy = (other(name, SPACE, table=table) for name in ("memory_bytes", "energy_mj"))
        latency_ms = TableLatency(table).predict_ms(network)
    expected = 1e6 + 2 * other("file_bytes", SPACE).predict(network).value
    assert memory.predict(network).value == pytest.approx(expected, rel=0.05)
    assert energy.predict(network).value == pytest.approx(2 * latency_ms, rel=0.02)


def test_a_network_s_own_costs() -> None:
    network = SPACE.decode(POINTS[3].tolist())
    assert parameters(SPACE).predict(network) == Amount(lower(network).parameters)
    for dtype in ("float32", "int8"):
        size = len(write(lower(network, dtype).graph))
        assert file_bytes(SPACE, dtype).predict(network).value == pytest.approx(size, rel=0.03)
    assert not file_bytes(SPACE, "int8").vectorised
    assert (
        file_bytes(SPACE, "int8").figures(POINTS[3:4])[0] == file_bytes(SPACE, "int8").predict(network).value
    )


@pytest.mark.parametrize("name", ["weight", "parameters:pi5", "energy_mj:", "latency_ms", ""])
def test_costs_that_there_are_not(name: str) -> None:
    with pytest.raises(BadInput, match=r"allowed: parameters, file_bytes, memory_bytes, energy_mj"):
        other(name, SPACE)


def test_costs_that_the_table_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="energy_mj is predicted from a latency table; give one"):
        other("energy_mj", SPACE)
    with LatencyTable.open(measured_table.make(tmp_path / "t.db")) as table:
        for name in ("energy_mj", "memory_bytes:pi5"):
            with pytest.raises(BadInput, match=f"does not know {name}: its device did not tell"):
                other(name, SPACE, table=table)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_limits_are_above_zero(value: float) -> None:
    for limit in ("target", "cap"):
        with pytest.raises(BadInput, match=f"the {limit} of parameters is"):
            Goal("parameters", **{limit: value})


def test_a_cap_is_not_below_the_target() -> None:
    with pytest.raises(BadInput, match="the cap of latency_ms is 1, below its target 2"):
        Goal(LATENCY, target=2, cap=1)
    assert Goal(LATENCY, target=2, cap=2).cap == 2


def test_every_cost_has_a_goal() -> None:
    costs = [Latency(MacsLatency(), SPACE), Latency(MacsLatency(), SPACE, "pi5"), parameters(SPACE)]
    capped = Goal("latency_ms:pi5", objective=False, cap=80)
    assert goals_for(costs, [capped]) == (Goal(LATENCY), capped, Goal("parameters"))
    for goals, message in (
        (
            [Goal("weight")],
            "weight, which is no cost here; there are: latency_ms, latency_ms:pi5, param",
        ),
        ([capped, capped], "two goals are about the same cost"),
        ([Goal(cost.name, objective=False) for cost in costs], "no cost is an objective"),
        ([Goal(LATENCY, cap=3, known=False)], "latency_ms is unknown before .* cannot have a cap"),
    ):
        with pytest.raises(BadInput, match=message):
            goals_for(costs, goals)
    with pytest.raises(BadInput, match="two costs are called parameters"):
        goals_for([*costs, parameters(SPACE)], [])


def test_costs_survive_pickling(file: Path) -> None:
    """Strategies hold them, and Optuna's samplers are to be pickled."""
    with LatencyTable.open(file) as table:
        costs = [
            Latency(TableLatency(table), SPACE),
            other("energy_mj", SPACE, table=table),
            parameters(SPACE),
        ]
    for cost in costs:
        before = cost.figures(POINTS[:3])
        again = pickle.loads(pickle.dumps(cost))
        np.testing.assert_array_equal(again.figures(POINTS[:3]), before)
