import hashlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from devices import errors
from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.registry import open_device
from latency_tables.errors import MissingOperators
from latency_tables.ops import OpSpec
from latency_tables.predict import Predictor
from mnas import spaces
from mnas.architecture import Architecture
from mnas.errors import Infeasible
from mnas.latency import (
    CHEAPEST,
    DeviceLatency,
    TableLatency,
    cheapest,
    fastest,
    require_reachable,
)
from mnas.lower import lower, lower_block, lower_classifier
from mnas.spaces import StagedSpace
from tests.latency_tables.given_predictor import known
from tests.mnas.toy import MacsLatency, ToySpace

SMALL = Architecture.parse("in_16x16x3,cv_r1_k3_s2_c8,ir_r2_k3_s1_e3_c8,fc_10")


class OneTable:
    """What a latency table is to a search: its address and its predictor."""

    address = "one.db"

    def __init__(self, *architectures: Architecture) -> None:
        specs = {spec for architecture in architectures for spec in lower(architecture).graph.specs}
        self._predictor = known({str(spec): price(spec, "") for spec in specs}, 1.25, self.address)

    def predictor(self) -> Predictor:
        return self._predictor


def price(spec: OpSpec, seed: str) -> float:
    """Milliseconds as a runtime has them: a start, the arithmetic, and a share that no formula knows."""
    chance = int(hashlib.sha256(f"{seed}{spec}".encode()).hexdigest()[:8], 16) / 16**8
    return (0.002 + spec.macs / 2e7) * (0.5 + chance)


def cost(architecture: Architecture, seed: str) -> float:
    return sum(price(spec, seed) for spec in lower(architecture).graph.specs)


def least_exactly(space: StagedSpace, seed: str) -> float:
    """Stage after stage, the least cost of reaching each shape: exact where a stage sees only its input."""

    def total(nodes: Sequence[object]) -> float:
        return sum(price(node.spec, seed) for node in nodes)  # type: ignore[attr-defined]

    stem, head = space.frame.blocks
    start = lower_block(stem, (1, space.resolution, space.resolution, space.frame.channels), "float32")
    reached = {start.output: total(start.nodes)}
    for stage, positions in enumerate(space.stages):
        after: dict[tuple[int, ...], float] = {}
        menus = [range(len(space.choices[at].options)) for at in positions]
        for shape, so_far in reached.items():
            for indices in itertools.product(*menus):
                segment = lower_block(space.block(stage, indices, shape[-1]), shape, "float32")
                spent = so_far + total(segment.nodes)
                after[segment.output] = min(spent, after.get(segment.output, spent))
        reached = after
    ends = []
    for shape, so_far in reached.items():
        last = lower_block(head, shape, "float32")
        classifier = lower_classifier(last.output, space.frame.classes, "float32")
        ends.append(so_far + total(last.nodes) + total(classifier.nodes))
    return min(ends)


def test_a_table_predicts_what_it_sums() -> None:
    source = TableLatency(OneTable(SMALL))  # type: ignore[arg-type]  # all that it needs of a table
    assert source.predict_ms(SMALL) == pytest.approx(1.25 * cost(SMALL, ""))
    assert source.quick
    assert source.name == "one.db (float32)"


def test_an_operator_that_the_table_lacks_is_named() -> None:
    source = TableLatency(OneTable(SMALL))  # type: ignore[arg-type]
    with pytest.raises(MissingOperators, match=r"one\.db lacks .* fully_connected/float32/1x8/1x11"):
        source.predict_ms(SMALL.at(16, 16, classes=11))


@pytest.mark.parametrize("seed", ["a", "b"])
def test_the_fastest_of_a_real_space_is_found(seed: str) -> None:
    space = spaces.create("mnasnet-small-images", classes=10)
    indices, least = fastest(space, lambda architecture: cost(architecture, seed))
    assert least == pytest.approx(cost(space.decode(indices), seed))
    assert least == pytest.approx(least_exactly(space, seed), rel=0.01)


def test_the_fastest_of_a_toy_space_is_found() -> None:
    space = ToySpace(2)
    sizes = [range(len(choice.options)) for choice in space.choices]
    for seed in "abc":
        least = min(cost(space.decode(indices), seed) for indices in itertools.product(*sizes))
        assert fastest(space, lambda architecture, s=seed: cost(architecture, s))[1] == pytest.approx(least)


def test_looking_stops_when_it_is_fast_enough() -> None:
    asked = []

    def count(architecture: Architecture) -> float:
        asked.append(architecture)
        return MacsLatency().predict_ms(architecture)

    fastest(ToySpace(), count, enough=1000)
    assert len(asked) == 1


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


class Bench:
    """A device that answers with a latency by the size of the model, or with a failure."""

    settings = Settings()
    facts = DeviceFacts("bench", "none", "none", 1, None, "none", "none", "none", "none")

    def __init__(self, failure: str | None = None) -> None:
        self.failure = failure
        self.measured: list[ModelFile] = []

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for index, model in itertools.product(range(plan.passes), models):
            self.measured.append(model)
            if self.failure:
                yield Failure(model.name, model.sha256, self.failure, "as told")
                return
            figures = tuple(len(model.content) / 1e4 * (1 + 0.01 * at + index) for at in range(5))
            yield Pass(model.name, model.sha256, index, figures, 0, None, 1, 1, None, None, None)  # type: ignore[arg-type]  # no context

    def close(self) -> None:
        pass


def test_a_device_measures_the_lower_quartile_of_the_median_pass() -> None:
    bench = Bench()
    source = DeviceLatency(bench, Plan(passes=3))
    latency_ms = source.predict_ms(SMALL)
    assert latency_ms == pytest.approx(len(bench.measured[0].content) / 1e4 * 2.01)
    assert len({model.sha256 for model in bench.measured}) == 1
    assert source.name == "measured on bench (float32)"
    assert not source.quick


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("ModelRejected", errors.ModelRejected),
        ("WorkerCrashed", errors.WorkerCrashed),
        ("?", errors.DeviceTrouble),
    ],
)
def test_what_the_device_cannot_measure_raises_as_it_says(failure: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="as told"):
        DeviceLatency(Bench(failure), Plan()).predict_ms(SMALL)


def test_where_latency_is_measured_few_models_are_looked_at() -> None:
    bench = Bench()
    with pytest.raises(Infeasible, match=r"none of the 5 cheapest networks.*measured on bench"):
        require_reachable(ToySpace(2), DeviceLatency(bench, Plan()), 0.0001)
    assert len({model.sha256 for model in bench.measured}) == CHEAPEST == 5
    fast = Bench()
    require_reachable(ToySpace(2), DeviceLatency(fast, Plan()), 1e6)
    assert len({model.sha256 for model in fast.measured}) == 1


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


def test_the_local_device_measures_an_architecture() -> None:
    with closing(open_device("local", Settings())) as device:
        plan = Plan(min_runs=5)
        small = DeviceLatency(device, plan).predict_ms(SMALL)
        large = DeviceLatency(device, plan).predict_ms(SMALL.at(128, 128))
        int8 = DeviceLatency(device, plan, "int8").predict_ms(SMALL)
    assert 0 < small < large
    assert 0 < int8 < large
