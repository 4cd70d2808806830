from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.measurement import Context, DeviceFacts, Failure, ModelFile, OperatorTime, Pass, Settings
from devices.plan import Plan
from devices.registry import open_device
from latency_tables import tflite
from latency_tables.build import PLAN as BUILD_PLAN
from latency_tables.build import build
from latency_tables.errors import BadTable, MissingOperators
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network, Origin
from latency_tables.store import LatencyTable
from latency_tables.validate import PLAN, HeldOut, compare, validate

FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")


def chain(*repeats: int) -> Graph:
    """Convolutions of one image: `repeats[i]` times the one of kernel size 1 + 2 i."""
    shape = (1, 24, 24, 16)
    specs = [
        OpSpec("conv_2d", "float32", (shape,), shape, (size, size), (1, 1), padding="same")
        for size, times in zip((1, 3, 5), repeats, strict=False)
        for _ in range(times)
    ]
    nodes = tuple(Node(spec, (index - 1,)) for index, spec in enumerate(specs))
    return Graph((shape,), "float32", nodes, (len(specs) - 1,))


NETWORKS = [
    Network("cover-0", chain(1, 1), "cover"),
    Network("anchor-0", chain(1, 2), "anchor"),
    Network("anchor-1", chain(2, 1), "anchor"),
]
HELD_OUT = [("a", chain(2, 2)), ("b", chain(1, 3)), ("c", chain(6, 1)), ("d", chain(3, 3))]


class Desk:
    """A device on which a 1x1 convolution takes 1 ms, a 3x3 one 2 ms, and a second instance 2 % more."""

    def __init__(self, failing: Sequence[str] = (), drift: float = 1.0) -> None:
        self.facts, self.settings = FACTS, Settings()
        self.names: list[str] = []
        self.contents: set[bytes] = set()
        self._failing, self._drift = failing, drift

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for model in models:
            self.names.append(model.name)
            self.contents.add(model.content)
            if model.name in self._failing:
                yield Failure(model.name, model.sha256, "DeadlineExceeded", "too slow")
                continue
            graph = tflite.read(model.content)
            times = [1.0 if spec.kernel == (1, 1) else 2.0 for spec in graph.specs]
            whole = sum(times) * self._drift * (1.02 if model.name.endswith("/2") else 1.0)
            labels = ["Fully Connected (NC, F32) GEMM", "Convolution (NHWC, F32) IGEMM"]
            rows = tuple(OperatorTime(i, labels[ms > 1], True, ms) for i, ms in enumerate(times))
            context = Context(FACTS, self.settings, "2026-01-02T03:04:05+00:00", "xnnpack", None, None, 0.0)
            yield Pass(model.name, model.sha256, 0, (whole,) * 5, 0, None, 1.0, 1.0, None, rows, context)

    def close(self) -> None:
        pass


@pytest.fixture
def table(tmp_path):
    with LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), NETWORKS) as made:
        build(made, Desk(), replace(BUILD_PLAN, passes=1))
        yield made


def test_figures_of_a_device_that_is_what_it_seems(table):
    result = validate(table, HELD_OUT, Desk())
    assert result.networks == 4
    assert result.noise_floor_percent == pytest.approx(100 * 0.02 / 1.02)
    assert result.mape_percent == pytest.approx(1.0, abs=0.1)  # between the two instances
    assert result.within_5_percent == result.within_10_percent == 100
    assert result.spearman == pytest.approx(1.0)


def test_a_machine_that_became_slower_shows_as_bias(table):
    result = validate(table, HELD_OUT, Desk(drift=1.25))
    assert result.bias_percent == pytest.approx(100 / 1.25 / 1.01 - 100, abs=0.2)
    assert result.within_10_percent == 0
    assert result.spearman == pytest.approx(1.0)


def test_every_network_is_measured_as_two_instances_in_every_pass(table):
    device = Desk()
    validate(table, HELD_OUT, device, replace(PLAN, passes=3))
    assert sorted(device.names) == sorted(f"{n}/{i}" for n, _ in HELD_OUT for i in (1, 2) for _ in range(3))
    assert len(device.contents) == 2 * len(HELD_OUT)
    assert device.names[:8] != device.names[8:16]


def test_a_failure_is_a_value(table):
    result = validate(table, HELD_OUT, Desk(failing=["b/2"]), replace(PLAN, passes=2))
    assert [one.name for one in result.details] == ["a", "c", "d"]
    assert [one.model for one in result.failures] == ["b/2"]


def test_nothing_measured_is_an_error(table):
    failing = [f"{name}/1" for name, _ in HELD_OUT]
    with pytest.raises(BadTable, match="no held-out network was measured, 4 failed: too slow"):
        validate(table, HELD_OUT, Desk(failing=failing), replace(PLAN, passes=1))


def test_networks_of_the_table_are_not_held_out(table):
    with pytest.raises(BadTable, match="twin: in the table"):
        validate(table, [*HELD_OUT, ("twin", chain(1, 2))], Desk())


def test_an_operator_that_is_missing_is_named_before_anything_is_measured(table):
    device = Desk()
    with pytest.raises(MissingOperators, match="k5x5"):
        validate(table, [("e", chain(1, 1, 1))], device)
    assert device.names == []


def test_another_device_is_refused(table):
    device = Desk()
    device.settings = Settings(threads=2)
    with pytest.raises(BadTable, match="threads is 2, the table's is 1"):
        validate(table, HELD_OUT, device)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.5, 2.0)), min_size=1, max_size=20))
def test_shares_and_errors_agree(pairs):
    details = [HeldOut(str(i), ms * off, ms, (ms, ms)) for i, (ms, off) in enumerate(pairs)]
    result = compare(details)
    assert result.noise_floor_percent == 0
    assert 0 <= result.within_5_percent <= result.within_10_percent <= 100
    assert result.mape_percent >= (100 - result.within_10_percent) * 0.099
    assert (result.spearman is None) or -1.0000001 <= result.spearman <= 1.0000001


def test_a_perfect_predictor_is_off_by_half_the_noise_floor():
    rng = np.random.default_rng(0)
    details = [
        HeldOut(str(ms), float(ms), float(np.median([first, second])), (float(first), float(second)))
        for ms in np.linspace(1, 50, 2000)
        for first, second in [ms * rng.normal(1, 0.03, 2)]
    ]
    result = compare(details)
    assert result.mape_percent == pytest.approx(result.noise_floor_percent / 2, rel=0.05)


def test_the_noise_floor_is_the_second_instance_against_the_first():
    result = compare([HeldOut("a", 1.0, 1.0, (1.1, 1.0)), HeldOut("b", 1.0, 1.0, (1.0, 1.25))])
    assert result.noise_floor_percent == pytest.approx((10 + 20) / 2)


def test_two_networks_have_no_rank_correlation():
    assert compare([HeldOut(name, 1.0, 1.0, (1.0, 1.0)) for name in "ab"]).spearman is None


def test_on_this_machine_a_table_predicts_what_it_measured(tmp_path):
    device = open_device("local")
    try:
        origin = Origin({}, device.facts, device.settings)
        with LatencyTable.create(tmp_path / "t.db", origin, NETWORKS) as table:
            report = build(table, device, replace(BUILD_PLAN, passes=2, min_time_s=0.02))
            result = validate(table, HELD_OUT, device, replace(PLAN, passes=2, min_time_s=0.02))
    finally:
        device.close()
    assert (report.missing, report.failures) == ((), ())
    assert result.networks == 4
    # far beyond what a disturbed machine adds, far below what a sum that leaves something out would
    assert result.mape_percent < 40
