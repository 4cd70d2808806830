from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas import joint
from mnas.architecture import Architecture
from mnas.costs import Amount, Goal, Latency, one_by_one, parameters
from mnas.errors import Infeasible
from mnas.feasible import CHEAPEST, enough, require_feasible, require_reachable
from mnas.least import cheapest, fastest
from mnas.lower import lower
from mnas.run import make_run
from mnas.search import search
from mnas.spaces.base import Choice
from tests.mnas.toy import MacsLatency, ToySpace, config


def test_an_unreachable_target_is_refused_with_the_fastest() -> None:
    space, source = ToySpace(2), MacsLatency()
    _, least = fastest(space, source.predict_ms)
    require_reachable(space, source, least)
    with pytest.raises(Infeasible, match=r"no architecture of toy at 16 pixels reaches 0\.001 ms") as caught:
        require_reachable(space, source, 0.001)
    message = str(caught.value)
    asked = float(message.split("fastest takes ")[1].split(" ms", maxsplit=1)[0])
    assert least <= asked <= 1.001 * least
    require_reachable(space, source, asked)
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
    with pytest.raises(Infeasible, match=f"fastest takes {enough(macs[1], 'latency_ms')} ms"):
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
        Infeasible,
        match=rf"no architecture of toy reaches .* contrary: the least is {enough(least, 'contrary')}:",
    ) as caught:
        require_feasible(SPACE, COSTS, [Goal("macs"), Goal("contrary", **{which: least * 0.99})])
    told = float(str(caught.value).split("the least is ")[1].split(":")[0])
    require_feasible(SPACE, COSTS, [Goal("macs"), Goal("contrary", **{which: told})])


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
                with pytest.raises(
                    Infeasible, match=r"macs and .* contrary at once, though each of them"
                ) as caught:
                    require_feasible(SPACE, COSTS, goals)
                first, second = str(caught.value).split(" has ")[1].split(":")[0].split(" and ")
                told = float(first.split()[0]), float(second.split()[0])
                require_feasible(
                    SPACE, COSTS, [Goal("macs", target=told[0]), Goal("contrary", target=told[1])]
                )
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
    with pytest.raises(Infeasible, match=f"the least is {enough(least[0], 'macs')}:"):
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


def test_what_is_counted_is_asked_for_in_whole_numbers() -> None:
    assert enough(11153.2, "parameters") == "11154"
    assert enough(2e6, "file_bytes") == "2000000"
    assert enough(1234567.5, "memory_bytes:pi5") == "1234568"
    with pytest.raises(Infeasible) as caught:
        require_feasible(SPACE, [parameters(SPACE)], [Goal("parameters", cap=1)])
    least = min(parameters(SPACE).figures(EVERY))
    assert f"the least is {least:.0f}:" in str(caught.value)


@given(st.floats(1e-6, 1e9))
def test_a_figure_that_is_asked_for_is_at_least_what_there_is(value: float) -> None:
    assert value <= float(enough(value, "latency_ms")) <= 1.002 * value


class Additive:
    """Fifteen choices of four options each; a million times as many points as are looked at."""

    name = "additive"
    choices = tuple(Choice(f"choice{place}", (0, 1, 2, 3)) for place in range(15))

    def decode(self, indices: Sequence[int]) -> tuple[int, ...]:
        return tuple(indices)


class Summed:
    """A sum over what the options of each choice cost."""

    quick = vectorised = True

    def __init__(self, name: str, table: np.ndarray) -> None:
        self.name = self.unit = name
        self.table = table

    def predict(self, architecture: tuple[int, ...]) -> Amount:
        return Amount(float(self.figures(np.array([architecture]))[0]))

    def figures(self, points: np.ndarray) -> np.ndarray:
        return self.table[np.arange(15), points].sum(axis=1)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_limits_that_a_planted_point_keeps_are_found_to_be_kept(count: int) -> None:
    """Points on the convex front of several sums, and two choices off it."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        tables = [rng.lognormal(0, 1, (15, 4)) for _ in range(count)]
        weights = rng.dirichlet(np.ones(count))
        planted = np.argmin(sum(w * table for w, table in zip(weights, tables, strict=True)), axis=1)
        planted[rng.integers(15, size=2)] = rng.integers(0, 4, 2)
        costs = [Summed(f"cost{place}", table) for place, table in enumerate(tables)]
        limits = [(cost, float(cost.figures(planted[None])[0]) * (1 + 1e-9)) for cost in costs]
        found = joint.closest(Additive(), limits)
        assert found.kept, seed
        assert not found.whole
        shares = [cost.figures(np.array([found.point]))[0] / limit for cost, limit in limits]
        assert found.shares == pytest.approx(shares)


def test_limits_of_which_it_is_not_certain_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "MANY", 20_000)
    table = np.random.default_rng(0).uniform(0, 1, (15, 4))
    costs = [Summed("rising", 1 + table), Summed("falling", 2 - table)]  # 45 together, always
    said: list[str] = []
    require_feasible(Additive(), costs, [Goal("rising", target=22.6), Goal("falling", cap=22.6)], said.append)
    assert said == []
    require_feasible(Additive(), costs, [Goal("rising", target=22.4), Goal("falling", cap=22.4)], said.append)
    assert len(said) == 1
    assert (
        "no architecture of additive was found that reaches 22.4 rising and 22.4 falling at once" in said[0]
    )
    with pytest.raises(Infeasible, match="reaches 10 rising: the least is"):
        require_feasible(Additive(), costs, [Goal("rising", target=10), Goal("falling", cap=99)], said.append)


def test_a_search_says_that_it_is_not_certain_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(joint, "MANY", 20_000)
    monkeypatch.setattr(joint, "FEW", 50)
    space = ToySpace(2)
    costs = [Named("macs", macs, space), Named("contrary", contrary, space)]
    least = np.stack([cost.figures(EVERY) for cost in costs], axis=1).min(axis=0)
    goals = [Goal("macs", target=least[0]), Goal("contrary", target=least[1])]
    with make_run(tmp_path / "x", config(trials=3)) as run:
        status = search(
            space, "random", accuracy=lambda _: 0.5, costs=costs, goals=goals, run=run
        )  # fmt: skip
        log = run.log_file.read_text()
    assert len(status.trained) == 3
    assert status.best is None
    assert "was found that reaches" in log
    assert "was found that reaches" in caplog.text
