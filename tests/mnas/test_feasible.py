from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from mnas.architecture import Architecture
from mnas.costs import Amount, Goal, Latency, one_by_one, parameters
from mnas.errors import Infeasible
from mnas.feasible import CHEAPEST, require_feasible, require_reachable
from mnas.least import cheapest, fastest
from mnas.lower import lower
from tests.mnas.toy import MacsLatency, ToySpace


def test_an_unreachable_target_is_refused_with_the_fastest() -> None:
    space, source = ToySpace(2), MacsLatency()
    _, least = fastest(space, source.predict_ms)
    require_reachable(space, source, least)
    with pytest.raises(Infeasible, match=r"no architecture of toy at 16 pixels reaches 0\.001 ms") as caught:
        require_reachable(space, source, 0.001)
    message = str(caught.value)
    assert f"fastest takes {least:.3g} ms" in message
    named = message.split("): ")[1].split(". Ask", maxsplit=1)[0]
    assert source.predict_ms(Architecture.parse(named)) == pytest.approx(least)


class Measured(MacsLatency):
    """Counts what is measured."""

    quick = False

    def __init__(self) -> None:
        self.measured: list[Architecture] = []

    def predict_ms(self, architecture: Architecture) -> float:
        self.measured.append(architecture)
        return super().predict_ms(architecture)


def test_where_latency_is_measured_few_models_are_looked_at() -> None:
    bench = Measured()
    with pytest.raises(Infeasible, match=r"none of the 5 cheapest networks, by multiply-accumulates,"):
        require_reachable(ToySpace(2), bench, 0.0001)
    assert len(set(bench.measured)) == CHEAPEST == 5
    fast = Measured()
    require_reachable(ToySpace(2), fast, 1e6)
    assert len(fast.measured) == 1


def test_the_fewest_multiplications_need_not_be_the_fastest() -> None:
    class Contrary(MacsLatency):
        """The network of the fewest multiply-accumulates is slow."""

        quick = False

        def predict_ms(self, architecture: Architecture) -> float:
            return 9.0 if architecture == least else super().predict_ms(architecture)

    least, *others = cheapest(ToySpace(2), 4)
    macs = [MacsLatency().predict_ms(one) for one in (least, *others)]
    assert macs == sorted(macs)
    assert len({least, *others}) == 4
    require_reachable(ToySpace(2), Contrary(), macs[1])
    with pytest.raises(Infeasible, match=f"fastest takes {macs[1]:.3g} ms"):
        require_reachable(ToySpace(2), Contrary(), macs[1] * 0.99)


SPACE = ToySpace(2)
EVERY = np.array(list(product(*(range(len(choice.options)) for choice in SPACE.choices))))


class Named:
    """A cost that is small where another one is large: by what its function says."""

    quick = True
    vectorised = False

    def __init__(self, name: str, figure: Callable[[Architecture], float], space: object = SPACE) -> None:
        self.name = self.unit = name
        self.figure, self.space = figure, space

    def predict(self, architecture: Architecture) -> Amount:
        return Amount(self.figure(architecture))

    def figures(self, points: np.ndarray) -> np.ndarray:
        return one_by_one(self, self.space, points)


def macs(architecture: Architecture) -> float:
    return lower(architecture).macs / 1e6


def contrary(architecture: Architecture) -> float:
    """Falls where multiply-accumulates rise, but not by the same measure."""
    return 3e4 / lower(architecture).parameters


COSTS = (Named("macs", macs), Named("contrary", contrary))


@pytest.fixture(scope="module")
def figures() -> np.ndarray:
    return np.stack([cost.figures(EVERY) for cost in COSTS], axis=1)


@pytest.mark.parametrize("which", ["target", "cap"])
def test_each_cost_alone_is_refused_with_the_least(figures: np.ndarray, which: str) -> None:
    least = figures[:, 1].min()
    require_feasible(SPACE, COSTS, [Goal("macs"), Goal("contrary", **{which: least})])
    with pytest.raises(
        Infeasible, match=rf"no architecture of toy reaches .* contrary: the least is {least:.3g}"
    ):
        require_feasible(SPACE, COSTS, [Goal("macs"), Goal("contrary", **{which: least * 0.99})])


def test_a_target_counts_rather_than_a_cap() -> None:
    with pytest.raises(Infeasible, match=r"reaches 0\.001 macs"):
        require_feasible(SPACE, COSTS[:1], [Goal("macs", target=0.001, cap=100)])


def test_all_together_are_refused_only_where_nothing_meets_them(figures: np.ndarray) -> None:
    """Against looking at every point, at limits between the ends of both costs."""
    verdicts = []
    for one in np.quantile(figures[:, 0], [0.02, 0.1, 0.3, 0.6]):
        for other in np.quantile(figures[:, 1], [0.02, 0.1, 0.3, 0.6]):
            goals = [Goal("macs", target=one), Goal("contrary", objective=False, cap=other)]
            possible = bool(np.any(np.all(figures <= [one, other], axis=1)))
            verdicts.append(possible)
            if possible:
                require_feasible(SPACE, COSTS, goals)
            else:
                with pytest.raises(Infeasible, match=r"macs and .* contrary at once, though each of them"):
                    require_feasible(SPACE, COSTS, goals)
    assert {True, False} == set(verdicts)


class Few(ToySpace):
    """Some of the points only, and none of them cheap."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__(2)
        self.points = points


def test_of_points_that_exist_only_they_count(figures: np.ndarray) -> None:
    dear = EVERY[figures[:, 0] > np.median(figures[:, 0])]
    space = Few(dear)
    costs = [Named("macs", macs, space), Named("contrary", contrary, space)]
    own = np.stack([cost.figures(dear) for cost in costs], axis=1)
    least = own.min(axis=0)
    require_feasible(space, costs, [Goal("macs", target=least[0]), Goal("contrary")])
    with pytest.raises(Infeasible, match=f"the least is {least[0]:.3g}"):
        require_feasible(space, costs, [Goal("macs", target=figures[:, 0].min()), Goal("contrary")])
    with pytest.raises(Infeasible, match="at once, though each of them is reached"):
        require_feasible(space, costs, [Goal("macs", target=least[0]), Goal("contrary", cap=least[1])])
    require_feasible(space, costs, [Goal("macs"), Goal("contrary")])


def test_what_is_measured_is_not_looked_for_together() -> None:
    bench = Measured()
    costs = [Latency(bench, SPACE), parameters(SPACE)]
    require_feasible(SPACE, costs, [Goal("latency_ms", target=1e6), Goal("parameters", cap=1e9)])
    assert len(bench.measured) == 1
    with pytest.raises(Infeasible, match="the 5 cheapest networks"):
        require_feasible(SPACE, costs, [Goal("latency_ms", target=1e-6), Goal("parameters", cap=1e9)])
