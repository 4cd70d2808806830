from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from latency_tables.store import LatencyTable
from mnas import spaces
from mnas.costs import Goal, Latency, file_bytes, parameters
from mnas.latency import TableLatency
from mnas.problem import FEW, MANY, REWARD, default_reward, problem_of
from mnas.reward import Exponents
from mnas.spaces.sampling import typical
from tests.mnas import measured_table
from tests.mnas.measured_table import WIDTH
from tests.mnas.toy import MacsLatency, ToySpace

SPACE = ToySpace(2)
LATENCIES = (Latency(MacsLatency(), SPACE), Latency(MacsLatency(), SPACE, "pi5"))
COSTS = (*LATENCIES, parameters(SPACE))
GOALS = (
    Goal("latency_ms", target=1.0),
    Goal("latency_ms:pi5", objective=False, cap=0.9),
    Goal("parameters", cap=1e9),
)


class Slower:
    """A device that takes a multiple of what its table says."""

    def __init__(self, **factors: float) -> None:
        self.factors = {name.replace("_pi5", ":pi5"): factor for name, factor in factors.items()}

    def factor(self, cost: str) -> float:
        return self.factors.get(cost, 1.0)


def trial(values: list[float], **attributes: float) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(values=values, user_attrs=attributes, state=TrialState.COMPLETE)


def test_the_figures_are_those_of_the_study() -> None:
    problem = problem_of(SPACE, COSTS, GOALS)
    assert dict(problem.choices) == {choice.name: choice.options for choice in SPACE.choices}
    assert problem.points is None
    known = problem.known
    assert known is not None
    assert known.objectives == (1, None, 2)  # accuracy is objective 0
    points = typical(SPACE)[:20]
    figures = known.figures(points)
    assert figures.shape == (20, 3)
    for row, figure in zip(points.tolist(), figures.tolist(), strict=True):
        assert figure == [cost.predict(SPACE.decode(row)).value for cost in COSTS]


def test_what_is_allowed_moves_with_the_correction() -> None:
    figures = np.array([[5.0, 0.8, 1e6], [5.0, 0.9, 1e6], [0.1, 0.91, 1e6], [0.1, 0.5, 2e9]])
    correction = Slower()
    known = problem_of(SPACE, COSTS, GOALS, correction).known
    assert known is not None
    assert known.allowed(figures).tolist() == [True, True, False, False]
    correction.factors["latency_ms:pi5"] = 1.1
    assert known.allowed(figures).tolist() == [True, False, False, False]
    correction.factors["latency_ms:pi5"] = 0.9
    assert known.allowed(figures).tolist() == [True, True, True, False]


def test_how_many_may_be_looked_up(tmp_path: Path) -> None:
    space = spaces.create("mnasnet-small-images", resolution=28, width=WIDTH, channels=1, classes=10)
    with LatencyTable.open(measured_table.make(tmp_path / "t.db")) as table:
        latency = Latency(TableLatency(table), space)
    goals = [Goal("latency_ms"), Goal("file_bytes")]
    quick = problem_of(space, [latency, file_bytes(space)], goals).known
    slow = problem_of(space, [latency, file_bytes(space, "int8")], goals).known
    assert quick is not None
    assert slow is not None
    assert (quick.pool, slow.pool) == (MANY, FEW)


class Measured(MacsLatency):
    quick = False


def test_what_is_measured_or_said_to_be_unknown_is_not_told() -> None:
    assert problem_of(SPACE, [Latency(Measured(), SPACE)], [Goal("latency_ms")]).known is None
    assert problem_of(SPACE, LATENCIES[:1], [Goal("latency_ms", known=False)]).known is None
    mixed = problem_of(
        SPACE, [Latency(Measured(), SPACE), COSTS[2]], [Goal("latency_ms"), Goal("parameters")]
    )
    assert mixed.known is not None
    assert mixed.known.objectives == (2,)


def test_a_noted_reward_counts_as_it_is() -> None:
    problem = problem_of(SPACE, COSTS, GOALS)
    assert problem.reward is not None
    assert problem.reward(trial([0.8, 2.0, 1e5], **{REWARD: 0.123})) == 0.123
    assert problem.reward(trial([0.8, 2.0, 1e5])) == pytest.approx(0.8 * 2**-0.07)
    own = problem_of(SPACE, COSTS, GOALS, reward=lambda accuracy, costs: accuracy - costs["parameters"])
    assert own.reward is not None
    assert own.reward(trial([0.8, 2.0, 0.1])) == pytest.approx(0.7)


def test_the_number_of_trials_is_told_where_it_stays() -> None:
    assert problem_of(SPACE, COSTS, GOALS).trials is None
    assert problem_of(SPACE, COSTS, GOALS, trials=9).trials == 9


def test_where_nobody_has_an_aim_no_reward_is_told() -> None:
    assert problem_of(SPACE, LATENCIES, [Goal("latency_ms"), Goal("latency_ms:pi5", cap=3)]).reward is None


def test_the_default_reward_is_over_targets_else_over_medians() -> None:
    aimed = default_reward(SPACE, COSTS, GOALS, Exponents.of("hard"))
    assert aimed.targets == {"latency_ms": 1.0}
    assert aimed(0.8, {"latency_ms": 2.0, "parameters": 1e6}) == pytest.approx(0.4)
    free = [
        Goal("latency_ms"),
        Goal("latency_ms:pi5", objective=False, cap=5),
        Goal("parameters", known=False),
    ]
    assert default_reward(SPACE, COSTS, free).targets == {
        "latency_ms": pytest.approx(np.median(COSTS[0].figures(typical(SPACE)))),
        "parameters": 1.0,
    }


def test_a_problem_survives_pickling() -> None:
    problem = problem_of(SPACE, COSTS, GOALS, Slower(latency_ms_pi5=1.1))
    again = pickle.loads(pickle.dumps(problem))
    points = typical(SPACE)[:5]
    figures = problem.known.figures(points)
    np.testing.assert_array_equal(again.known.figures(points), figures)
    np.testing.assert_array_equal(again.known.allowed(figures), problem.known.allowed(figures))
    assert again.reward(trial([0.8, 2.0, 1e5])) == problem.reward(trial([0.8, 2.0, 1e5]))


class Few(ToySpace):
    def __init__(self) -> None:
        super().__init__(2)
        self.points = typical(ToySpace(2))[:7]


def test_points_that_exist_are_told() -> None:
    problem = problem_of(Few(), LATENCIES[:1], [Goal("latency_ms")])
    assert problem.size == spaces.size(Few()) == len(Few().points)
    assert typical(Few()) is not None
    assert len(typical(Few())) == 7
