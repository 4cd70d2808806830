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
from mnas.architecture import Architecture
from mnas.latency import DeviceLatency, TableLatency
from mnas.lower import lower
from tests.latency_tables.given_predictor import known

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


def test_a_table_predicts_what_it_sums() -> None:
    source = TableLatency(OneTable(SMALL))  # type: ignore[arg-type]  # all that it needs of a table
    assert source.predict_ms(SMALL) == pytest.approx(1.25 * cost(SMALL, ""))
    assert source.quick
    assert source.name == "one.db (float32)"


def test_an_operator_that_the_table_lacks_is_named() -> None:
    source = TableLatency(OneTable(SMALL))  # type: ignore[arg-type]
    with pytest.raises(MissingOperators, match=r"one\.db lacks .* fully_connected/float32/1x8/1x11"):
        source.predict_ms(SMALL.at(16, 16, classes=11))


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


def test_the_local_device_measures_an_architecture() -> None:
    with closing(open_device("local", Settings())) as device:
        plan = Plan(min_runs=5)
        small = DeviceLatency(device, plan).predict_ms(SMALL)
        large = DeviceLatency(device, plan).predict_ms(SMALL.at(128, 128))
        int8 = DeviceLatency(device, plan, "int8").predict_ms(SMALL)
    assert 0 < small < large
    assert 0 < int8 < large
